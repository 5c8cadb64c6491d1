import type { BadChunkEvent, ChunkEvent } from '../../src/chunk/chunk-collector.js';

/**
 * The decoder of dirty-bitmap sections once more, written from wire-format.md alone, for bytes that are all at hand: no
 * windows, no cursor, BigInt throughout. It is slow and obvious; the fast one must say the same.
 */
export interface NaiveResult {
  readonly events: readonly object[];
  /** What stopped it, and where. */
  readonly fault: { readonly code: string; readonly offset: number } | undefined;
}

/** What a decoder may refuse, as `SectionDecoder` takes it. */
export interface NaiveOptions {
  readonly refuse?: readonly string[];
  readonly maxBitsBytes?: number;
  readonly maxBitmaps?: number;
}

/** All deviations, in the order in which they are reported. */
const ORDER = [
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
];

/** The input ends before the field does. */
class Cut extends Error {}
class Fault extends Error {
  readonly code: string;
  readonly offset: number;
  constructor(code: string, offset: number) {
    super(code);
    this.code = code;
    this.offset = offset;
  }
}

export function naiveSections(bytes: Uint8Array, options: NaiveOptions = {}): NaiveResult {
  const { refuse = [], maxBitsBytes = 10_240, maxBitmaps = 65_536 } = options;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const events: object[] = [];
  const bitmaps = new Set<string>();
  let at = 0;
  let node: string | undefined;
  let target: string | undefined;
  let inside = false;

  const room = (count: number): number => {
    if (at + count > bytes.length) throw new Cut();
    at += count;
    return at - count;
  };
  const u8 = (): number => view.getUint8(room(1));
  const u32 = (): number => view.getUint32(room(4));
  const u64 = (): bigint => view.getBigUint64(room(8));
  const text = (count: number): string => toHex(bytes.subarray(room(count), at));

  const flagsField = (): { width: number; flags: number } => {
    const first = u8();
    if (first < 0x80) return { width: 1, flags: first };
    const second = u8();
    if (second < 0x80) return { width: 2, flags: (first - 0x80) * 256 + second };
    return { width: 4, flags: (((first - 0x80) * 256 + second - 0x80) * 256 + u8()) * 256 + u8() };
  };

  const chunk = (): void => {
    const offset = at;
    const wrong = new Set<string>();
    const { width, flags } = flagsField();
    const has = (bit: number): boolean => Math.floor(flags / bit) % 2 === 1;
    if ([0x10, 0x20, 0x40].filter(has).length > 1) wrong.add('flags-two-kinds');
    if (has(0x02) && !has(0x40)) wrong.add('flags-zeroes-without-bits');
    if (flags > 0x7f) wrong.add('flags-unknown');
    if (flags === 0) wrong.add('flags-none');
    const fitsTwo = flags < 0x8000 && !has(0x80);
    if ((width === 2 && flags < 0x80) || (width === 4 && fitsTwo)) wrong.add('flags-wide');
    const kind = has(0x10) ? 'start' : has(0x20) ? 'complete' : !has(0x40) ? 'bare' : has(0x02) ? 'zeroes' : 'bits';

    const name = (bit: number): string | undefined => {
      if (!has(bit)) return undefined;
      const found = text(u8());
      if (found === '') wrong.add('name-empty');
      if (found.match(/../g)?.includes('00')) wrong.add('name-nul');
      return found;
    };
    const names = { node: name(0x08), bitmap: name(0x04) };

    const fields: Record<string, unknown> = {};
    let data = 0;
    if (kind === 'start') {
      fields['granularity'] = u32();
      fields['startFlags'] = u8();
      const valid = Array.from({ length: 23 }, (_, power) => 2 ** (9 + power));
      if (!valid.includes(fields['granularity'] as number)) wrong.add('granularity-invalid');
      if ((fields['startFlags'] as number) >= 8) wrong.add('start-flags-reserved');
      if (((fields['startFlags'] as number) & 4) !== 0) wrong.add('start-flags-autoload');
    } else if (kind === 'bits' || kind === 'zeroes') {
      const first = u64();
      const count = u32();
      if ((first + BigInt(count)) * 512n > 1n << 53n) wrong.add('sector-overflow');
      if (count === 0 && !(kind === 'zeroes' && first === 0n)) wrong.add('sector-count-zero');
      Object.assign(fields, { firstSector: first.toString(), sectorCount: count });
      if (kind === 'bits') {
        const size = u64();
        if (size > BigInt(maxBitsBytes)) throw new Fault('bits-size-limit', at - 8);
        data = Number(size);
      }
    }

    const deviations = ORDER.filter((code) => wrong.has(code));
    const refused = deviations.find((code) => refuse.includes(code));
    if (refused !== undefined) throw new Fault(refused, offset);

    // The names are remembered for as long as the stream goes on; a new node forgets the bitmap.
    if (names.node !== undefined && names.node !== node) {
      node = names.node;
      target = undefined;
    }
    if (names.bitmap !== undefined) {
      target = node === undefined ? undefined : `${node}/${names.bitmap}`;
      if (target !== undefined && !bitmaps.has(target) && bitmaps.size >= maxBitmaps) throw new Fault('limit', offset);
      if (target !== undefined) bitmaps.add(target);
    }

    const length = at - offset + data;
    const overflows = wrong.has('sector-overflow');
    if (overflows) events.push({ type: 'bad-chunk', code: 'sector-overflow', offset, length });
    const bits = kind === 'bits' ? { data: text(data) } : {};
    const eos = has(0x01);
    const event = {
      type: 'chunk',
      offset,
      length,
      kind,
      flags,
      width,
      eos,
      ...names,
      target,
      ...fields,
      ...bits,
      deviations,
    };
    if (!overflows) events.push(event);
    inside = !eos;
  };

  try {
    while (at < bytes.length) {
      inside = true;
      chunk();
    }
  } catch (error) {
    if (error instanceof Fault) return { events, fault: { code: error.code, offset: error.offset } };
    if (!(error instanceof Cut)) throw error;
  }
  return { events, fault: inside ? { code: 'stream-cut', offset: bytes.length } : undefined };
}

/** An event of the fast decoder in the form of {@link naiveSections}'s. */
export function plainEvent(event: ChunkEvent | BadChunkEvent): object {
  if (event.type === 'bad-chunk') {
    const { type, code, offset, length } = event;
    return { type, code, offset, length };
  }
  const { chunk, target } = event;
  const { offset, length, kind, flags, flagsWidth: width, eos, node, bitmap, deviations } = chunk;
  const fields: Record<string, unknown> = {};
  if (kind === 'start') Object.assign(fields, { granularity: chunk.granularity, startFlags: chunk.startFlags });
  if (kind === 'bits' || kind === 'zeroes') {
    Object.assign(fields, { firstSector: String(chunk.firstSector), sectorCount: chunk.sectorCount });
  }
  if (kind === 'bits') fields['data'] = toHex(chunk.data);
  return {
    ...{ type: 'chunk', offset, length, kind, flags, width, eos },
    ...{ node: node && toHex(node.bytes), bitmap: bitmap && toHex(bitmap.bytes) },
    target: target && `${toHex(target.node.bytes)}/${toHex(target.bitmap.bytes)}`,
    ...fields,
    deviations: [...deviations],
  };
}

function toHex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
