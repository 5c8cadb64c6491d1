import type { ChunkEvent } from '../../src/index.js';
import { asSpeed, assertSame, type Case, type Context, type Goal, type Measured } from '../case.js';
import { BYTES, CHUNKS, DISK, GRANULARITY, type Kind } from '../data/bitmaps.js';
import { IntoBitmap } from '../data/into-bitmap.js';
import { streamOf } from '../data/streams.js';
import { loadCore } from '../library.js';
import { type Contestant, compare, type Pace, timed } from '../measure.js';
import { binaryParserRanges, parseByBinaryParser } from '../peers/binary-parser.js';
import { kaitaiRanges, parseByKaitai } from '../peers/kaitai.js';

/** Sectors that a byte of the bitmap stands for. */
const SECTORS_PER_BYTE = (GRANULARITY / 512) * 8;
/** Times in a row: enough for whoever makes garbage to collect it in its own time. */
const TIMES = 8;
const AMOUNT = { chunks: CHUNKS, bytes: BYTES, times: TIMES };

/** A stream that is the whole of its buffer, which is what kaitai-struct reads. */
type Stream = Uint8Array<ArrayBuffer>;

/** Adds up where ranges are and how long their data are: what every contestant must have read. */
class Sum {
  value = 0;
  add(firstSector: number, sectorCount: number, size: number): void {
    this.value = (this.value * 31 + firstSector + 7 * sectorCount + size) % 2 ** 40;
  }
}

async function streamFor(context: Context, kind: Kind): Promise<Stream> {
  return Uint8Array.from(await streamOf(context.dist, kind));
}

/** The sum of a stream, on which both peers agree. */
function sumByPeers(stream: Stream): number {
  const kaitai = new Sum();
  for (const range of kaitaiRanges(parseByKaitai(stream))) {
    kaitai.add(range.firstSector, range.sectorCount, 'data' in range ? range.data.length : 0);
  }
  const other = new Sum();
  for (const { firstSectorHigh, firstSectorLow, sectorCount, data } of binaryParserRanges(
    parseByBinaryParser(stream),
  )) {
    other.add(firstSectorHigh * 2 ** 32 + firstSectorLow, sectorCount, data?.length ?? 0);
  }
  assertSame('ranges', kaitai.value, other.value);
  return kaitai.value;
}

/** Both peers, parsing a whole stream; what they make is kept until the round is over. */
function parsers(stream: Stream): Contestant[] {
  return [
    { name: 'kaitai-struct', round: timed(() => void parseByKaitai(stream), TIMES) },
    { name: 'binary-parser', round: timed(() => void parseByBinaryParser(stream), TIMES) },
  ];
}

/** Garbage is collected before each turn, so that nobody pays for another's. */
function tidy({ pace, collect }: Context): Pace {
  return { ...pace, collect };
}

/** Header by header, in place. */
async function cursor(context: Context, kind: Kind): Promise<Measured> {
  const { ChunkCursor, DEFAULT_LIMITS } = await loadCore(context.dist);
  const stream = await streamFor(context, kind);
  const { maxBitsBytes } = DEFAULT_LIMITS;
  const walk = (): number => {
    const chunk = new ChunkCursor();
    const { length } = stream;
    let sum = 0;
    for (let at = 0; at < length; ) {
      at += chunk.read(stream, at, length, at, maxBitsBytes) + chunk.size;
      sum += chunk.firstSector + chunk.sectorCount;
    }
    return sum;
  };
  const found = new Sum();
  const chunk = new ChunkCursor();
  for (let at = 0; at < stream.length; at += chunk.size) {
    at += chunk.read(stream, at, stream.length, at, maxBitsBytes);
    if (chunk.kind === 'bits' || chunk.kind === 'zeroes') found.add(chunk.firstSector, chunk.sectorCount, chunk.size);
  }
  assertSame('ranges', found.value, sumByPeers(stream));
  const ours = { name: 'ChunkCursor', round: timed(walk, TIMES) };
  return asSpeed(await compare(ours, parsers(stream), tidy(context)), AMOUNT);
}

/** The push parser, which tells a handler. */
async function parser(context: Context, kind: Kind): Promise<Measured> {
  const { SectionParser } = await loadCore(context.dist);
  const stream = await streamFor(context, kind);
  const work = (): number => {
    let sum = 0;
    const handler = {
      chunk(at: { readonly firstSector: number; readonly sectorCount: number }): void {
        sum += at.firstSector + at.sectorCount;
      },
      data(): void {},
    };
    new SectionParser(handler).push(stream);
    return sum;
  };
  const ours = { name: 'SectionParser', round: timed(work, TIMES) };
  return asSpeed(await compare(ours, parsers(stream), tidy(context)), AMOUNT);
}

/** Event objects, all of them kept as the peers keep theirs. */
async function events(context: Context, kind: Kind): Promise<Measured> {
  const { SectionDecoder } = await loadCore(context.dist);
  const stream = await streamFor(context, kind);
  const decode = (): unknown[] => {
    const all: unknown[] = [];
    for (const event of new SectionDecoder().push(stream)) all.push(event);
    return all;
  };
  const found = new Sum();
  for (const { chunk } of decode() as ChunkEvent[]) {
    if (chunk.kind === 'bits') found.add(chunk.firstSector, chunk.sectorCount, chunk.data.length);
    else if (chunk.kind === 'zeroes') found.add(chunk.firstSector, chunk.sectorCount, 0);
  }
  assertSame('ranges', found.value, sumByPeers(stream));
  const ours = { name: 'SectionDecoder', round: timed(() => void decode(), TIMES) };
  return asSpeed(await compare(ours, parsers(stream), tidy(context)), AMOUNT);
}

/** Everything up to a bitmap that is there: the peers parse, then copy. */
async function into(context: Context, kind: Kind): Promise<Measured> {
  const { Bitmap, SectionParser } = await loadCore(context.dist);
  const stream = await streamFor(context, kind);
  const bits = new Bitmap(GRANULARITY, { size: DISK });
  const target = new Uint8Array(BYTES).fill(1);
  const store = (first: number, count: number, data: Uint8Array | undefined): void => {
    const at = first / SECTORS_PER_BYTE;
    if (data === undefined) target.fill(0, at, at + count / SECTORS_PER_BYTE);
    else target.set(data, at);
  };
  const decode = (): void => new SectionParser(new IntoBitmap(bits)).push(stream);
  const byKaitai = (): void => {
    for (const range of kaitaiRanges(parseByKaitai(stream))) {
      store(range.firstSector, range.sectorCount, 'data' in range ? range.data : undefined);
    }
  };
  const byBinaryParser = (): void => {
    for (const range of binaryParserRanges(parseByBinaryParser(stream))) {
      store(range.firstSectorHigh * 2 ** 32 + range.firstSectorLow, range.sectorCount, range.data);
    }
  };
  decode();
  const ours = new Uint8Array(BYTES);
  bits.readBytes(0, ours);
  for (const work of [byKaitai, byBinaryParser]) {
    target.fill(1);
    work();
    assertSame('bitmap', Buffer.compare(ours, target), 0);
  }
  const others = [
    { name: 'kaitai-struct', round: timed(byKaitai, TIMES) },
    { name: 'binary-parser', round: timed(byBinaryParser, TIMES) },
  ];
  const comparison = await compare({ name: 'SectionParser', round: timed(decode, TIMES) }, others, tidy(context));
  return asSpeed(comparison, AMOUNT);
}

type Run = (context: Context, kind: Kind) => Promise<Measured>;

function peersCase(group: string, kind: Kind, title: string, run: Run, goal?: Goal): Case {
  const against = 'the faster of kaitai-struct and binary-parser';
  const base = { name: `${group}-${kind}`, group, title: `${title}, ${kind}`, against };
  return { ...base, ...(goal && { goal }), run: (context) => run(context, kind) };
}

export const PEERS: readonly Case[] = [
  peersCase('cursor', 'dense', 'ChunkCursor', cursor, { atLeast: 8 }),
  peersCase('cursor', 'empty', 'ChunkCursor', cursor, { atLeast: 5 }),
  peersCase('parser', 'dense', 'SectionParser with a handler', parser),
  peersCase('parser', 'empty', 'SectionParser with a handler', parser),
  peersCase('events', 'dense', 'event objects, the payload a lazy view', events, { atLeast: 2 }),
  peersCase('events', 'empty', 'event objects', events),
  peersCase('into', 'dense', 'into a reused bitmap', into, { atLeast: 1.4 }),
  peersCase('into', 'empty', 'into a reused bitmap', into, { atLeast: 7 }),
];
