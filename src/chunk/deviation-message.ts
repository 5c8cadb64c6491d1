import { u64Text } from '../bytes/u64.js';
import { DirtyBitmapError } from '../errors.js';
import type { ChunkCursor } from './chunk-cursor.js';
import { type Deviation, deviationsOf } from './deviation.js';

const hex = (value: number): string => `0x${value.toString(16)}`;

/** What was expected, what was found, what QEMU does. */
const MESSAGES: Readonly<Record<Deviation, (c: ChunkCursor) => string>> = {
  'name-empty': () => 'a name of 1 to 255 bytes was expected, found one of 0 bytes (QEMU refuses to load it)',
  'name-nul': () => 'a name without NUL was expected; QEMU ends the name at the first NUL',
  'flags-two-kinds': (c) =>
    `flags ${hex(c.flags)}: expected one of START, COMPLETE, BITS, found several; decoded as ${c.kind}, as QEMU does`,
  'flags-zeroes-without-bits': (c) => `flags ${hex(c.flags)}: ZEROES means nothing without BITS; ignored, as QEMU does`,
  'flags-unknown': (c) => `flags ${hex(c.flags)}: bits above 0x7f are not defined; ignored, as QEMU does`,
  'flags-wide': (c) => `flags ${hex(c.flags)} stand in ${c.flagsWidth} bytes where fewer would do; no QEMU writes that`,
  'flags-none': () => 'a chunk without any flag; no sender makes it, QEMU steps over it',
  'granularity-invalid': (c) =>
    `granularity: expected a power of two from 512 to 2147483648 bytes, found ${c.granularity}; QEMU aborts on it`,
  'start-flags-reserved': (c) =>
    `START byte ${hex(c.startFlags)}: bits 3 to 7 must be zero; QEMU fails the migration on it`,
  'start-flags-autoload': (c) => `START byte ${hex(c.startFlags)}: bit 2 (autoload) is obsolete; ignored, as QEMU does`,
  'sector-overflow': (c) =>
    `sectors ${u64Text(c.firstSectorHigh, c.firstSectorLow)} + ${c.sectorCount}: the range must end by 2^53 bytes; ` +
    'the chunk is not applied (QEMU lets the number wrap around)',
  'sector-count-zero': (c) =>
    `a ${c.kind} chunk of 0 sectors at sector ${c.firstSector}: it covers nothing; QEMU accepts it without effect`,
};

/** The message of one deviation of the chunk under the cursor. */
export function deviationMessage(code: Deviation, cursor: ChunkCursor): string {
  return MESSAGES[code](cursor);
}

/** Throws the first deviation of the chunk under the cursor that `refused` holds. `offset` is the chunk's, in bytes. */
export function refuseDeviations(cursor: ChunkCursor, refused: number, offset: number): void {
  const found = cursor.deviations & refused;
  if (found === 0) return;
  const code = deviationsOf(found)[0] as Deviation;
  throw new DirtyBitmapError(code, deviationMessage(code, cursor), { offset });
}
