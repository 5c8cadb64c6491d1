import type { ByteQueue } from '../bytes/byte-queue.js';
import { readU16, readU32 } from '../bytes/u64.js';
import { DirtyBitmapError } from '../errors.js';
import type { Limits } from '../limits.js';
import { COMMANDS, ITEM, type Section } from './items.js';

/** A device section whose place is known. Offsets are in bytes from the start of the input. */
export interface DevicePlace {
  readonly section: Section;
  /** Offset of the item byte of its header. */
  readonly offset: number;
  readonly bodyOffset: number;
  /** Offset of its footer. */
  readonly bodyEnd: number;
}

/** A device section that may be the one the scanner stands in, and the one before it. */
interface Possible {
  readonly section: Section;
  readonly offset: number;
  readonly bodyOffset: number;
  readonly before: Possible | undefined;
  /** Offset of the footer of the section before. */
  readonly beforeEnd: number;
}

/** What follows a footer: something to go on with, or the header of a device, which may be one or not. */
interface Next {
  readonly leadsOn: boolean;
  /** START or FULL: its header. */
  readonly section: Section | undefined;
}

const LEADS_ON: Next = { leadsOn: true, section: undefined };

/** What the scanner must know about the stream so far. */
export interface ScanContext {
  /** Whether a section id was used, and for an iterable. */
  known(id: number): 'iterable' | 'device' | undefined;
  /** All bitmaps are through: from here on only devices and the end are believed. */
  readonly tail: boolean;
  /** Bytes of the whole input, where that is known. */
  readonly total: number | undefined;
}

/** Footer, and the longest section header after it. */
const LOOK_AHEAD = 5 + 1 + 4 + 1 + 255 + 8;
/** Bytes that are held to see whether a size from the vmdesc is right where a footer comes before it. */
const MAX_HELD = 64 * 1024;
/** Comparisons of section ids that one stream may cost: far above any real one. */
const MAX_STEPS = 10_000_000;

/**
 * Finds the end of device sections, which do not tell their length: by the size that the vmdesc gives, or, without one,
 * by searching for a footer that something legal follows. Bytes are looked at once and not kept: where a footer might
 * be one and might be device state, both possibilities are followed until one of them leads on.
 * Source: container.md sections 9.1 and 9.2.
 */
export class DeviceScanner {
  need = 5;
  /** Set where a size from the vmdesc did not lead to the footer: the section's name. */
  mismatch: DevicePlace | undefined;
  readonly #queue: ByteQueue;
  readonly #context: ScanContext;
  readonly #maxBytes: number;
  readonly #maxSections: number;
  #possible = new Map<number, Possible[]>();
  #count = 0;
  #steps = 0;
  #newest = 0;
  #exactEnd: number | undefined;
  #first: Possible | undefined;

  constructor(queue: ByteQueue, context: ScanContext, limits: Limits) {
    this.#queue = queue;
    this.#context = context;
    this.#maxBytes = limits.maxDeviceBytes;
    this.#maxSections = limits.maxSections;
  }

  /** Begins at the body of a section. `size`: bytes of the body, where the vmdesc tells. */
  begin(section: Section, offset: number, size: number | undefined): void {
    const bodyOffset = this.#queue.offset;
    this.#possible.clear();
    this.#count = 0;
    this.mismatch = undefined;
    this.#exactEnd = size === undefined ? undefined : bodyOffset + size;
    this.#first = { section, offset, bodyOffset, before: undefined, beforeEnd: 0 };
    this.#add(this.#first);
    const { total } = this.#context;
    if (this.#exactEnd === undefined || total === undefined || this.#exactEnd + 5 <= total) return;
    // It would end behind the file.
    this.mismatch = { ...this.#first, bodyEnd: this.#exactEnd };
    this.#exactEnd = undefined;
  }

  /** Bytes that are known to be the section's own, from the queue's offset. */
  get skip(): number {
    return this.#exactEnd === undefined ? 0 : Math.max(0, this.#exactEnd - this.#queue.offset);
  }

  /**
   * Goes on.
   * @returns the sections that were stepped over, the last of them ended by the footer at the queue's position;
   * undefined where the bytes ran out.
   * @throws DirtyBitmapError `device-unsized` where no end is found within the limit.
   */
  run(final: boolean): DevicePlace[] | undefined {
    const queue = this.#queue;
    for (;;) {
      if (queue.offset === this.#exactEnd) {
        const exact = this.#atExactEnd(final);
        if (exact !== null) return exact;
      }
      if (!queue.ensure(1)) return this.#wait(1);
      // No further than may be searched: else a longer section would pass where all of it comes in one piece.
      const searched = this.#exactEnd ?? this.#newest + this.#maxBytes + 1;
      const windowEnd = Math.min(queue.end, queue.pos + Math.max(0, searched - queue.offset));
      const found = queue.bytes.indexOf(ITEM.FOOTER, queue.pos);
      if (found < 0 || found >= windowEnd) {
        queue.pos = windowEnd;
      } else {
        queue.pos = found;
        const places = this.#footerHere(final);
        if (places !== null) return places;
        queue.pos++;
      }
      this.#checkSize();
    }
  }

  /** Null where the footer is not there; then the size was wrong, and the scan alone goes on. */
  #atExactEnd(final: boolean): DevicePlace[] | undefined | null {
    const queue = this.#queue;
    const first = this.#first as Possible;
    if (!queue.ensure(5) && !final) return this.#wait(5);
    const id = queue.ensure(5) ? readU32(queue.bytes, queue.pos + 1) : undefined;
    if (id === first.section.id && queue.bytes[queue.pos] === ITEM.FOOTER) return this.#places(first);
    this.#exactEnd = undefined;
    this.mismatch = { ...first, bodyEnd: queue.offset };
    return null;
  }

  /** At a byte that may begin a footer: null to go on searching. */
  #footerHere(final: boolean): DevicePlace[] | undefined | null {
    const queue = this.#queue;
    if (!queue.ensure(5)) return final ? null : this.#wait(5);
    const candidates = this.#possible.get(readU32(queue.bytes, queue.pos + 1));
    if (candidates === undefined) return null;
    if (!queue.ensure(LOOK_AHEAD)) {
      if (!final) return this.#wait(LOOK_AHEAD);
      queue.ensure(queue.available);
    }
    const next = this.#next(final);
    if (next === undefined) return null;
    // What follows is looked at once, however many sections the footer may belong to.
    for (const possible of candidates) {
      if (next.section !== undefined && this.#inChain(possible, next.section.id)) continue;
      if (next.leadsOn)
        return this.#exactEnd === undefined ? this.#places(possible) : this.#orExactEnd(possible, final);
      if (next.section !== undefined) this.#addNext(next.section, possible);
    }
    return null;
  }

  /**
   * At a footer that leads on, where the vmdesc gives the section more bytes: null where its footer is there too, which
   * is the better one.
   */
  #orExactEnd(possible: Possible, final: boolean): DevicePlace[] | undefined | null {
    const queue = this.#queue;
    const ahead = (this.#exactEnd as number) - queue.offset;
    if (ahead > MAX_HELD) return null;
    if (!queue.ensure(ahead + 5) && !final) return this.#wait(ahead + 5);
    const first = this.#first as Possible;
    if (queue.ensure(ahead + 5)) {
      const at = queue.pos + ahead;
      if (queue.bytes[at] === ITEM.FOOTER && readU32(queue.bytes, at + 1) === first.section.id) return null;
    }
    this.mismatch = { ...first, bodyEnd: this.#exactEnd as number };
    this.#exactEnd = undefined;
    return this.#places(possible);
  }

  /** What follows a footer at the queue's position: something that the caller can go on with, another device, or nothing legal. */
  #next(final: boolean): Next | undefined {
    const queue = this.#queue;
    const { bytes, end } = queue;
    const at = queue.pos + 5;
    const item = bytes[at];
    if (item === ITEM.EOF) return this.#isEnd(at, final) ? LEADS_ON : undefined;
    if (item === ITEM.START || item === ITEM.FULL) {
      const section = plausibleSection(bytes, at, end);
      if (section === undefined || this.#context.known(section.id) !== undefined) return undefined;
      if (item === ITEM.FULL) return { leadsOn: false, section };
      return this.#context.tail ? undefined : { leadsOn: true, section };
    }
    if (this.#context.tail) return undefined;
    if ((item === ITEM.PART || item === ITEM.END) && end - at >= 5) {
      return this.#context.known(readU32(bytes, at + 1)) === 'iterable' ? LEADS_ON : undefined;
    }
    if (item === ITEM.COMMAND && end - at >= 5) {
      const command = COMMANDS[readU16(bytes, at + 1)];
      const lengthFits = command?.lengths?.includes(readU16(bytes, at + 3)) ?? command !== undefined;
      return lengthFits ? LEADS_ON : undefined;
    }
    return undefined;
  }

  /** The section whose header stands behind the footer at the queue's position, as one that may follow another. */
  #addNext(section: Section, before: Possible): void {
    const beforeEnd = this.#queue.offset;
    const offset = beforeEnd + 5;
    const bodyOffset = offset + 1 + 4 + 1 + section.name.length + 8;
    this.#add({ section, offset, bodyOffset, before, beforeEnd });
  }

  /** EOF, then the end of the input, or a vmdesc (that ends with the input, where its size is known). */
  #isEnd(at: number, final: boolean): boolean {
    const { bytes, end } = this.#queue;
    if (end === at + 1) return final;
    // Cut in the header of the vmdesc.
    if (final && end - at < 7) return bytes[at + 1] === ITEM.VMDESC;
    if (bytes[at + 1] !== ITEM.VMDESC || end - at < 7 || bytes[at + 6] !== 0x7b) return false;
    const { total } = this.#context;
    const stop = this.#queue.offsetOf(at + 6) + readU32(bytes, at + 2);
    return total === undefined || stop === total;
  }

  #inChain(from: Possible, id: number): boolean {
    if (!this.#possible.has(id)) return false;
    for (let possible: Possible | undefined = from; possible !== undefined; possible = possible.before) {
      if (possible.section.id === id) return true;
      if (++this.#steps > MAX_STEPS) throw this.#lost('too many possible ends');
    }
    return false;
  }

  #add(possible: Possible): void {
    if (++this.#count > this.#maxSections) throw this.#lost('too many possible ends');
    const others = this.#possible.get(possible.section.id);
    if (others === undefined) this.#possible.set(possible.section.id, [possible]);
    else others.push(possible);
    this.#newest = possible.bodyOffset;
  }

  /** The sections from the first to this one. */
  #places(last: Possible): DevicePlace[] {
    const places: DevicePlace[] = [];
    let bodyEnd = this.#queue.offset;
    for (let possible: Possible | undefined = last; possible !== undefined; possible = possible.before) {
      places.push({ ...possible, bodyEnd });
      bodyEnd = possible.beforeEnd;
    }
    return places.reverse();
  }

  #checkSize(): void {
    if (this.#queue.offset - this.#newest > this.#maxBytes && this.#exactEnd === undefined) {
      throw this.#lost(`no footer within ${this.#maxBytes} bytes`);
    }
  }

  #wait(need: number): undefined {
    this.need = need;
    return undefined;
  }

  #lost(why: string): DirtyBitmapError {
    const first = this.#first as Possible;
    return new DirtyBitmapError(
      'device-unsized',
      `device section "${first.section.name}": its end was not found (${why}); ` +
        'give the capture as a file rather than a pipe, so that its vmdesc can tell the sizes',
      { offset: first.offset },
    );
  }
}

/** The section header at `at`, where it could be one: printable name, sane version. */
function plausibleSection(bytes: Uint8Array, at: number, end: number): Section | undefined {
  if (end - at < 6) return undefined;
  const start = at + 6;
  const stop = start + (bytes[at + 5] as number);
  if (stop === start || stop + 8 > end) return undefined;
  for (let pos = start; pos < stop; pos++) {
    const byte = bytes[pos] as number;
    if (byte < 0x20 || byte > 0x7e) return undefined;
  }
  const version = readU32(bytes, stop + 4);
  if (version >= 65_536) return undefined;
  const name = String.fromCharCode(...bytes.subarray(start, stop));
  return { id: readU32(bytes, at + 1), name, instance: readU32(bytes, stop), version };
}
