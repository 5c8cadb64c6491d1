// node --import tsx crash-child.ts IMAGE SEED FIRST WAY STEP: changes the bitmaps of an image again and again, and says when
// it begins and when it has ended; with STEP it kills itself after so many steps. For crash-kill.ts.
import { writeSync } from 'node:fs';
import { commitImage } from '../../src/io/qcow2-commit.js';
import { killChange } from './crash-kill.js';

const [path, seed, first, way, dieAfter] = process.argv.slice(2) as [string, string, string, 'ofd' | 'qemu-io', string];
let steps = 0;
for (let index = Number(first); ; index++) {
  const { change, paranoid } = killChange(Number(seed), index);
  writeSync(1, `begin ${index}\n`);
  await commitImage(path, change, {
    paranoid,
    lockWays: [way],
    onStep() {
      if (++steps === Number(dieAfter)) process.kill(process.pid, 'SIGKILL');
    },
  });
  writeSync(1, `end ${index}\n`);
}
