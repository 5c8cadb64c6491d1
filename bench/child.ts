// Runs one case, in a process of its own so that its heap and its compiled code disturb no other, and sends what it
// found to the parent. Arguments: the name of the case, the folder of the built package, the seconds to measure.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CASES } from './cases.js';

const [name, dist = '', seconds] = process.argv.slice(2);
const found = CASES.find((one) => one.name === name);
if (found === undefined || globalThis.gc === undefined) throw new Error('started by run.ts only');

const folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-bench-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const gc = globalThis.gc as unknown as (options: { type: string }) => void;
const collect = (): void => gc({ type: 'minor' });
const pace = { seconds: Number(seconds), rounds: 15, warmUp: 5 };
const measured = await found.run({ pace, collect, folder, dist });
process.send?.(measured, () => process.disconnect());
