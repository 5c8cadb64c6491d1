// npm run qcow2-images -- DIR: holds what we read of every image in DIR/images against DIR/images.json. Images that must be
// refused agree where an error names a rule and an offset and no bits come of it.
import { openRandomAccess } from '../src/io/random-access-file.js';
import { readQcow2 } from '../src/qcow2/read-qcow2.js';
import { compareImage, imagePath, readTruths } from '../test/qcow2/images-truth.js';

const root = process.argv[2];
if (root === undefined) {
  console.error('usage: npm run qcow2-images -- DIR   (a folder with images.json and images/)');
  process.exit(2);
}

let agree = 0;
let differ = 0;
for (const [name, truth] of Object.entries(readTruths(root))) {
  const problems = compareImage(await outcomeOf(imagePath(root, name)), truth);
  if (problems.length === 0) agree++;
  else differ++;
  for (const problem of problems) console.log(`${name}: ${problem}`);
}
console.log(`${agree} agree, ${differ} differ`);
process.exitCode = differ > 0 || agree === 0 ? 1 : 0;

/** The image as we read it, or the error. */
async function outcomeOf(path: string): Promise<unknown> {
  const file = await openRandomAccess(path);
  try {
    return await readQcow2(file);
  } catch (error) {
    return error;
  } finally {
    await file.close();
  }
}
