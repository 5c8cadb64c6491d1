// npm run chain-cases -- DIR: holds chains, relative names and backing strings against the cases in DIR.
import { judgeChainFolder } from '../test/chain/chain-cases.js';

const folder = process.argv[2];
if (folder === undefined) {
  console.error('usage: npm run chain-cases -- DIR   (a folder with chain-cases.json)');
  process.exit(2);
}
let agree = 0;
let differ = 0;
for await (const [name, problem] of judgeChainFolder(folder)) {
  if (problem === undefined) agree++;
  else differ++;
  if (problem !== undefined) console.log(`${name}: ${problem}`);
}
console.log(`${agree} agree, ${differ} differ`);
process.exitCode = differ > 0 || agree === 0 ? 1 : 0;
