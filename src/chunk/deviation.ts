import type { Code } from '../rules.js';

/**
 * Ways in which a chunk can be malformed and yet leave no doubt where the next one begins. Each is decoded as QEMU
 * decodes it and reported, or refused where the caller asks for that. The order is that of the bits in
 * `ChunkCursor.deviations`.
 */
export const DEVIATIONS = [
  'name-empty',
  'name-nul',
  'flags-two-kinds',
  'flags-zeroes-without-bits',
  'flags-unknown',
  'flags-wide',
  'flags-none',
  'granularity-invalid',
  'start-flags-reserved',
  'start-flags-autoload',
  'sector-overflow',
  'sector-count-zero',
] as const satisfies readonly Code[];

/** A chunk deviation's code. */
export type Deviation = (typeof DEVIATIONS)[number];

/** The bit of each deviation in `ChunkCursor.deviations`. */
export const DEVIATION_BIT: Readonly<Record<Deviation, number>> = Object.freeze(
  Object.fromEntries(DEVIATIONS.map((code, at) => [code, 1 << at])) as Record<Deviation, number>,
);

/** Which deviations are errors: none, all, or those listed. */
export type Refusal = 'none' | 'all' | readonly Deviation[];

/** The bits of a refusal. */
export function refusalMask(refuse: Refusal): number {
  if (refuse === 'none') return 0;
  if (refuse === 'all') return 2 ** DEVIATIONS.length - 1;
  return refuse.reduce((mask, code) => mask | DEVIATION_BIT[code], 0);
}

/** The deviations of a mask, in the order of {@link DEVIATIONS}. */
export function deviationsOf(mask: number): readonly Deviation[] {
  if (mask === 0) return NONE;
  return DEVIATIONS.filter((code) => (mask & DEVIATION_BIT[code]) !== 0);
}

const NONE: readonly Deviation[] = Object.freeze([]);
