// npm run merge-cases -- DIR: holds our plans against the cases in DIR, to the letter.
import { judgeMergeFolder } from '../test/chain/merge-cases.js';

const folder = process.argv[2];
if (folder === undefined) {
  console.error('usage: npm run merge-cases -- DIR   (a folder with cases.json, derived-cases.json, validity.json)');
  process.exit(2);
}
let agree = 0;
let differ = 0;
for (const [name, problem] of judgeMergeFolder(folder)) {
  if (problem === undefined) agree++;
  else differ++;
  if (problem !== undefined) console.log(`${name}: ${problem}`);
}
console.log(`${agree} agree, ${differ} differ`);
process.exitCode = differ > 0 || agree === 0 ? 1 : 0;
