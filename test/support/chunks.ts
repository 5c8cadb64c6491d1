import { ByteWriter } from '../../src/bytes/byte-writer.js';
import { nameFromText } from '../../src/bytes/text.js';
import { SectionParser } from '../../src/chunk/section-decoder.js';
import type { Destination } from '../../src/migration/destination.js';

/** Names that a chunk carries; what is left out means that of the chunk before. */
export interface Names {
  readonly node?: string;
  readonly bitmap?: string;
}

/** Writes the body of a dirty-bitmap section by hand, well-formed or not. */
export class Chunks {
  readonly #out = new ByteWriter();

  start(names: Names, granularity: number, startFlags: number): this {
    this.#header(0x10, names);
    this.#out.u32(granularity);
    this.#out.u8(startFlags);
    return this;
  }

  bits(names: Names, firstSector: number, sectorCount: number, data: Uint8Array | readonly number[]): this {
    this.#header(0x40, names);
    this.#out.u64(firstSector);
    this.#out.u32(sectorCount);
    this.#out.u64(data.length);
    this.#out.bytes(Uint8Array.from(data));
    return this;
  }

  zeroes(names: Names, firstSector: number, sectorCount: number): this {
    this.#header(0x42, names);
    this.#out.u64(firstSector);
    this.#out.u32(sectorCount);
    return this;
  }

  complete(names: Names = {}): this {
    this.#header(0x20, names);
    return this;
  }

  /** Any bytes. */
  raw(...bytes: number[]): this {
    this.#out.bytes(Uint8Array.from(bytes));
    return this;
  }

  /** The section, ended by its EOS. */
  eos(): Uint8Array {
    this.#out.u8(0x01);
    return this.#out.finish();
  }

  #header(kind: number, { node, bitmap }: Names): void {
    this.#out.u8(kind | (bitmap === undefined ? 0 : 0x04) | (node === undefined ? 0 : 0x08));
    if (node !== undefined) this.#out.str8(nameFromText(node).bytes);
    if (bitmap !== undefined) this.#out.str8(nameFromText(bitmap).bytes);
  }
}

/** What feeds a destination with section bodies, in pieces of any size. */
export class Feed {
  readonly destination: Destination;
  readonly #parser: SectionParser;

  constructor(destination: Destination) {
    this.destination = destination;
    this.#parser = new SectionParser(destination);
  }

  /** A section. What the parser itself refuses fails the destination. */
  push(body: Uint8Array, piece: number = body.length): void {
    this.destination.section(1);
    for (let at = 0; at < body.length; at += piece) this.pushPart(body.subarray(at, at + piece));
  }

  /** A part of a section. */
  pushPart(bytes: Uint8Array): void {
    try {
      this.#parser.push(bytes);
    } catch (error) {
      this.destination.fail(error);
      throw error;
    }
  }
}

/** The code of the error that is thrown; undefined where none is. */
export function codeOf(work: () => unknown): string | undefined {
  try {
    work();
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
  return undefined;
}
