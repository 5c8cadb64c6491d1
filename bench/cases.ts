import type { Case } from './case.js';
import { BITMAP } from './cases/bitmap.js';
import { CAPTURE } from './cases/capture.js';
import { COMPACT } from './cases/compact.js';
import { DECODE } from './cases/decode.js';
import { ENCODE } from './cases/encode.js';
import { MAP } from './cases/map.js';
import { MEMORY } from './cases/memory.js';
import { PEERS } from './cases/peers.js';
import { PIPE } from './cases/pipe.js';
import { START } from './cases/start.js';
import { TAP } from './cases/tap.js';

/** All cases, in the order of the table. */
export const CASES: readonly Case[] = [
  ...ENCODE,
  ...DECODE,
  ...PEERS,
  ...PIPE,
  ...COMPACT,
  ...CAPTURE,
  ...BITMAP,
  ...MAP,
  ...MEMORY,
  ...START,
  ...TAP,
];

/**
 * The cases whose name or group begins with one of these; all where nothing is asked for.
 * @throws Error where nothing begins with one of them.
 */
export function selectCases(wanted: readonly string[]): readonly Case[] {
  if (wanted.length === 0) return CASES;
  const fits = (one: Case, start: string): boolean => one.name.startsWith(start) || one.group.startsWith(start);
  for (const start of wanted) {
    if (!CASES.some((one) => fits(one, start)))
      throw new Error(`no case or group begins with ${JSON.stringify(start)}`);
  }
  return CASES.filter((one) => wanted.some((start) => fits(one, start)));
}
