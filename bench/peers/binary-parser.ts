import { Parser } from 'binary-parser/dist/binary_parser.js';

/**
 * The grammar for binary-parser. Sectors and sizes are read as two numbers, which is quicker than its 64-bit integers,
 * and what a chunk is goes by the whole byte of flags, which is quicker than testing bits: one for each that is used.
 */

/** A range as it is read; its data are there where it has any. */
export interface ParsedRange {
  readonly firstSectorHigh: number;
  readonly firstSectorLow: number;
  readonly sectorCount: number;
  readonly sizeLow?: number;
  readonly data?: Uint8Array;
}

interface Parsed {
  readonly sections: readonly { readonly chunks: readonly { readonly flags: number; readonly body: ParsedRange }[] }[];
}

const zeroes = new Parser().uint32('firstSectorHigh').uint32('firstSectorLow').uint32('sectorCount');
const bits = new Parser()
  .uint32('firstSectorHigh')
  .uint32('firstSectorLow')
  .uint32('sectorCount')
  .uint32('sizeHigh')
  .uint32('sizeLow')
  .buffer('data', { length: 'sizeLow' });
const name = (which: string): Parser =>
  new Parser().uint8(`${which}Length`).buffer(which, { length: `${which}Length` });
const start = new Parser()
  .nest({ type: name('node') })
  .nest({ type: name('bitmap') })
  .uint32('granularity')
  .uint8('startFlags');
const nothing = new Parser();

const chunk = new Parser().uint8('flags').choice('body', {
  tag: 'flags',
  choices: { 1: nothing, 28: start, 32: nothing, 64: bits, 66: zeroes },
});
const section = new Parser().array('chunks', {
  type: chunk,
  readUntil: (item: { readonly flags: number }) => (item.flags & 1) !== 0,
});
const parser = new Parser().array('sections', { type: section, readUntil: 'eof' });

/** All chunks of the bodies of sections, one behind the other. */
export function parseByBinaryParser(stream: Uint8Array): Parsed {
  // It takes a Buffer, and any Uint8Array; a Buffer's views cost more.
  return parser.parse(stream as Buffer) as Parsed;
}

/** The ranges that were found. */
export function* binaryParserRanges(parsed: Parsed): Generator<ParsedRange> {
  for (const { chunks } of parsed.sections) {
    for (const { flags, body } of chunks) if ((flags & 0x40) !== 0) yield body;
  }
}
