import { ByteQueue } from '../bytes/byte-queue.js';
import { quoted } from '../bytes/text.js';
import { joinU64, readU16, readU32 } from '../bytes/u64.js';
import { type ChunkHandler, ChunkParser } from '../chunk/chunk-parser.js';
import type { Refusal } from '../chunk/deviation.js';
import { DirtyBitmapError } from '../errors.js';
import { type Limits, resolveLimits } from '../limits.js';
import type { Code } from '../rules.js';
import type { BodyParser } from './body-parser.js';
import { decodeConfiguration } from './configuration.js';
import { type DevicePlace, DeviceScanner } from './device-scanner.js';
import {
  COMMAND,
  COMMANDS,
  type Command,
  type Configuration,
  DIRTY_BITMAP,
  ITEM,
  MAGIC,
  type Section,
  type SectionType,
  STREAM_VERSION,
} from './items.js';
import { notAStream } from './not-a-stream.js';
import { RamParser } from './ram-parser.js';
import { BlockParser, HtabParser, StorageAttributesParser } from './record-parsers.js';
import { parseVmdesc, type Vmdesc } from './vmdesc.js';

/** What a {@link CaptureParser} tells, besides the chunks. Offsets are in bytes from the start of the input. */
export interface CaptureHandler extends ChunkHandler {
  /** Magic and version, 8 bytes at `offset`. */
  header(version: number, offset: number): void;
  /** The configuration section, `length` bytes with its item byte. */
  configuration(configuration: Configuration, offset: number, length: number): void;
  /** The header of a section; its body begins at `bodyOffset`. */
  sectionBegin(section: Section, type: SectionType, offset: number, bodyOffset: number): void;
  /** The section's body ends at `bodyEnd`; its footer, where it has one, at `end`. */
  sectionEnd(section: Section, type: SectionType, bodyEnd: number, end: number): void;
  /** A command, with the first bytes of its payload. */
  command(command: Command): void;
  /** The EOF marker, one byte at `offset`. */
  endOfStream(offset: number): void;
  /** The vmdesc, `length` bytes with its item byte and length field. */
  vmdesc(vmdesc: Vmdesc | undefined, offset: number, length: number): void;
  /** Something is wrong, or worth knowing, and the parser goes on. */
  finding(code: Code, message: string, offset: number): void;
}

/** How a capture is read. */
export interface CaptureOptions {
  /** Where the first byte pushed lies in the file, in bytes. mapped-ram has offsets of the file. Default 0. */
  readonly offset?: number;
  /** Bytes of the whole file, where that is known. */
  readonly total?: number;
  /** The vmdesc, where it was read beforehand from the end of the file: it tells where device sections end. */
  readonly vmdesc?: Vmdesc | undefined;
  /** Deviations of chunks that are errors. Default `none`. */
  readonly refuse?: Refusal;
  /** Other limits than the defaults. */
  readonly limits?: Partial<Limits>;
}

/** Sections that delimit themselves: each body is walked, none is searched. */
const WALKED: Readonly<Record<string, number | undefined>> = {
  [DIRTY_BITMAP]: 1,
  ram: 4,
  block: 1,
  'spapr/htab': 1,
  's390-storage_attributes': 0,
};

interface Known {
  readonly section: Section;
  readonly iterable: boolean;
  readonly body: BodyParser | undefined;
}

type State =
  | 'magic'
  | 'configuration'
  | 'item'
  | 'body'
  | 'device'
  | 'footer'
  | 'package'
  | 'vmdesc'
  | 'text'
  | 'after'
  | 'unread';

/** Zero bytes before the magic that are stepped over: `file:PATH,offset=N` leaves a hole there. */
const MAX_LEADING = 1024 * 1024;
/** A vmdesc of this size is read whole, to compare it with what was scanned; a larger one is stepped over. */
const MAX_TEXT = 8 * 1024 * 1024;
/** Payload bytes of a command that are handed on. */
const MAX_PAYLOAD = 32;
/** Bytes of a command without payload. */
const EMPTY_COMMAND = 5;

/**
 * Takes a migration stream apart, as far as the pushed bytes go, and tells a handler what it sees; nothing is allocated
 * per chunk, section or RAM page. `CaptureDecoder` makes events of it.
 * Source: container.md.
 */
export class CaptureParser {
  /** Whether the EOF marker was seen: the migration came to its end. */
  complete = false;
  /** Whether a postcopy package was seen. */
  postcopy = false;
  /** Whether sections have footers; undefined while that is not known. */
  footers: boolean | undefined;
  /** The parser of what is inside the sections of bitmaps. */
  readonly chunks: ChunkParser;

  readonly #queue: ByteQueue;
  readonly #handler: CaptureHandler;
  readonly #limits: Limits;
  readonly #options: CaptureOptions;
  readonly #sections = new Map<number, Known>();
  readonly #bodies: Readonly<Record<string, BodyParser>>;
  readonly #ram: RamParser;
  readonly #scanner: DeviceScanner;
  #state: State = 'magic';
  #current: Known | undefined;
  #type: SectionType = 'start';
  #bodyStart = 0;
  #bodyEnd = 0;
  #skip = 0;
  #machine: string | undefined;
  /** Bytes of the package; 0 once its first bytes were looked at. */
  #packageBytes = 0;
  #itemOffset = 0;
  #textLength = 0;
  /** Device sections that were found by searching; the names of the first of them. */
  #scanned = 0;
  readonly #scannedNames = new Set<string>();
  #scannedBeforeBitmaps = false;
  #bitmapsEnded = false;
  #nextDevice = 0;
  #foundDevices: DevicePlace[] = [];
  #afterEnd = -1;

  /**
   * @param handler is called for everything that is complete, during `push` and `finish`.
   * @throws DirtyBitmapError `argument` for a limit that is no whole number.
   */
  constructor(handler: CaptureHandler, options: CaptureOptions = {}) {
    this.#handler = handler;
    this.#options = options;
    this.#limits = resolveLimits(options.limits);
    this.#queue = new ByteQueue(options.offset ?? 0);
    this.chunks = new ChunkParser(this.#queue, handler, this.#limits, options.refuse);
    this.#ram = new RamParser(this.#queue, this.#limits);
    this.#bodies = {
      [DIRTY_BITMAP]: new DirtyBitmapBody(this.chunks),
      ram: this.#ram,
      block: new BlockParser(this.#queue),
      'spapr/htab': new HtabParser(this.#queue),
      's390-storage_attributes': new StorageAttributesParser(this.#queue),
    };
    const parser = this;
    this.#scanner = new DeviceScanner(
      this.#queue,
      {
        known: (id) => {
          const known = this.#sections.get(id);
          return known && (known.iterable ? 'iterable' : 'device');
        },
        get tail() {
          return parser.#tail;
        },
        total: options.total,
      },
      this.#limits,
    );
  }

  /** Offset in the input of the next byte to be looked at. */
  get offset(): number {
    return this.#queue.offset;
  }

  /** Bytes after {@link CaptureParser.offset} that nobody will look at; a reader that can seek may leave them out. */
  get skippable(): number {
    if (this.#queue.available > 0) return 0;
    if (this.#state === 'body') return this.#current?.body?.skip ?? 0;
    return this.#skip;
  }

  /** Says that `count` bytes, at most {@link CaptureParser.skippable}, were left out of what is pushed. */
  skipped(count: number): void {
    if (count > this.skippable)
      throw new DirtyBitmapError('argument', `at most ${this.skippable} bytes may be skipped`);
    if (count === 0) return;
    this.#queue.jump(count);
    if (this.#state === 'body') (this.#current?.body as BodyParser).skip -= count;
    else this.#skip -= count;
  }

  /**
   * Takes the next piece of the stream. The piece may be reused after the call.
   * @throws DirtyBitmapError where the stream cannot be followed further.
   */
  push(piece: Uint8Array): void {
    this.#queue.push(piece);
    this.#goOn(false);
    this.#queue.settle();
  }

  /**
   * Says that the stream ends here.
   * @throws DirtyBitmapError `stream-cut` where it ends too early, `magic-invalid` where it never began, and as `push`.
   */
  finish(): void {
    this.#goOn(true);
    if (this.#afterEnd >= 0) {
      const bytes = this.#queue.offset - this.#afterEnd;
      this.#handler.finding(
        'bytes-after-end',
        `${bytes} bytes follow the end of the stream; they were not read`,
        this.#afterEnd,
      );
    }
    if (this.#scanned > 0) this.#reportScan();
    const { known, triedAt } = this.#ram.pageSize;
    if (triedAt !== undefined && known !== undefined) {
      this.#handler.finding(
        'ram-page-size-guessed',
        `nothing tells the page size; ${known} bytes fit the RAM records`,
        triedAt,
      );
    }
    if (this.#state === 'after' || this.#state === 'unread') return;
    if (this.#state === 'vmdesc' && this.#queue.available === 0) return;
    if (this.#state === 'vmdesc' || this.#state === 'text') {
      this.#handler.finding('vmdesc-invalid', 'the input ends inside the vmdesc', this.#itemOffset);
      return;
    }
    if (this.#state === 'magic' && !this.#beginsAsStream()) {
      const zeroes = this.#queue.offset - (this.#options.offset ?? 0);
      throw notAStream(this.#queue.bytes.subarray(this.#queue.pos, this.#queue.end), this.#queue.offset, zeroes);
    }
    const { where, need } = this.#place();
    throw new DirtyBitmapError(
      'stream-cut',
      `the stream ends ${where}, before its EOF marker${need > 0 ? ` (at least ${need} more bytes expected)` : ''}: ` +
        'the migration was cancelled, failed or is not all here',
      { offset: this.#queue.offset + this.#queue.available },
    );
  }

  /** Whether all bitmaps are through and only devices and the end can follow. */
  get #tail(): boolean {
    return this.#bitmapsEnded && !this.postcopy;
  }

  #place(): { where: string; need: number } {
    const name = this.#current === undefined ? '' : quoted(this.#current.section.name);
    if (this.#state === 'body') {
      const body = this.#current?.body as BodyParser;
      const before = this.#queue.available === 0 && this.#queue.offset === this.#bodyStart;
      const data = body === this.#bodies[DIRTY_BITMAP] && this.chunks.inData ? 'the bits of a chunk of ' : '';
      return {
        where: `inside ${data}section ${name}`,
        need: before ? 1 : (body.skip > 0 ? body.skip : body.need) - this.#queue.available,
      };
    }
    if (this.#state === 'magic') return { where: 'inside its header', need: 8 - this.#queue.available };
    if (this.#state === 'device') return { where: `inside device section ${name}`, need: 0 };
    if (this.#state === 'footer') return { where: `before the footer of section ${name}`, need: 0 };
    if (this.#state === 'package') {
      const left = this.#packageBytes > 0 ? this.#packageBytes : this.#skip + EMPTY_COMMAND;
      return { where: 'inside the package of a postcopy', need: left - this.#queue.available };
    }
    return { where: 'between two sections', need: 0 };
  }

  #goOn(final: boolean): void {
    try {
      this.#run(final);
    } catch (error) {
      // All the more worth knowing where the stream turns out to be none.
      if (this.#scanned > 0) this.#reportScan();
      throw error;
    }
  }

  #run(final: boolean): void {
    for (;;) {
      if (this.#skip > 0) {
        this.#skip -= this.#queue.skip(this.#skip);
        if (this.#skip > 0) return;
      }
      if (!this.#step(final)) return;
    }
  }

  /** One step of the machine; false to wait for bytes. */
  #step(final: boolean): boolean {
    switch (this.#state) {
      case 'magic':
        return this.#magic();
      case 'configuration':
        return this.#configuration(final);
      case 'item':
        return this.#item(final);
      case 'body':
        return this.#body(final);
      case 'device':
        return this.#device(final);
      case 'footer':
        return this.#footer(final);
      case 'package':
        return this.#package();
      case 'vmdesc':
        return this.#vmdescItem();
      case 'text':
        return this.#vmdescText();
      case 'after':
        return this.#after();
      case 'unread':
        return this.#unread();
    }
  }

  #has(count: number): boolean {
    return this.#queue.ensure(count);
  }

  /** Whether what there is, less than a header, has the magic. */
  #beginsAsStream(): boolean {
    const queue = this.#queue;
    queue.ensure(queue.available);
    return queue.available >= 4 && readU32(queue.bytes, queue.pos) === MAGIC;
  }

  #magic(): boolean {
    const queue = this.#queue;
    const start = this.#options.offset ?? 0;
    while (this.#has(1) && queue.bytes[queue.pos] === 0 && queue.offset - start < MAX_LEADING) queue.pos++;
    if (!this.#has(8)) return false;
    const offset = queue.offset;
    const magic = readU32(queue.bytes, queue.pos);
    if (magic !== MAGIC) throw notAStream(queue.bytes.subarray(queue.pos, queue.pos + 8), offset, offset - start);
    const version = readU32(queue.bytes, queue.pos + 4);
    if (offset > start) {
      this.#handler.finding('leading-bytes', `the stream begins after ${offset - start} zero bytes`, start);
    }
    this.#handler.header(version, offset);
    if (version !== STREAM_VERSION) {
      throw new DirtyBitmapError(
        'version-unsupported',
        `expected stream version ${STREAM_VERSION}, found ${version}; no QEMU since 2.3 writes it and none reads it`,
        { offset: offset + 4 },
      );
    }
    queue.pos += 8;
    this.#state = 'configuration';
    return true;
  }

  #configuration(final: boolean): boolean {
    const queue = this.#queue;
    if (!this.#has(1)) return false;
    const offset = queue.offset;
    if (queue.bytes[queue.pos] !== ITEM.CONFIGURATION) {
      this.#handler.finding(
        'configuration-missing',
        'the stream has no configuration section (machine type 2.3 or older, Xen, or send-configuration=off)',
        offset,
      );
      this.#state = 'item';
      return true;
    }
    for (let need = 5; ; ) {
      if (!this.#has(1 + need) && !final) return false;
      if (final) queue.ensure(queue.available);
      const known = this.#options.vmdesc?.configurationBytes;
      const found = decodeConfiguration(queue.bytes, queue.pos + 1, queue.end, offset + 1, known, final);
      if (typeof found === 'number') {
        if (final) return false;
        need = found;
        continue;
      }
      this.#learn(found.configuration);
      queue.pos += 1 + found.length;
      this.#handler.configuration(found.configuration, offset, 1 + found.length);
      this.#state = 'item';
      return true;
    }
  }

  #learn(configuration: Configuration): void {
    const { machine, targetPageBits, capabilities } = configuration;
    this.#machine = machine;
    if (targetPageBits !== undefined && targetPageBits < 32) this.#ram.pageSize.learn(2 ** targetPageBits);
    if (capabilities?.includes('x-ignore-shared')) this.#ram.context.ignoreShared = true;
    if (capabilities?.includes('mapped-ram')) this.#ram.context.mappedRam = true;
  }

  #item(final: boolean): boolean {
    const queue = this.#queue;
    if (!this.#has(1)) return false;
    const item = queue.bytes[queue.pos] as number;
    const offset = queue.offset;
    if (item === ITEM.PART || item === ITEM.END) return this.#continued(item, offset);
    if (item === ITEM.START || item === ITEM.FULL) return this.#begun(item, offset);
    if (item === ITEM.COMMAND) return this.#command(offset);
    if (item === ITEM.EOF) {
      queue.pos++;
      this.complete = true;
      this.#handler.endOfStream(offset);
      this.#state = 'vmdesc';
      return true;
    }
    if (item === ITEM.FOOTER && this.#current !== undefined) return this.#lateFooter(offset, final);
    throw new DirtyBitmapError(
      'item-unknown',
      `expected a section, a command or the end, found byte 0x${item.toString(16).padStart(2, '0')}; ` +
        'the stream is damaged here or before',
      { offset },
    );
  }

  /** A footer after sections that had none. */
  #lateFooter(offset: number, final: boolean): boolean {
    const queue = this.#queue;
    if (!this.#has(5)) return false;
    const { section } = this.#current as Known;
    if (readU32(queue.bytes, queue.pos + 1) !== section.id || final) {
      throw new DirtyBitmapError('footer-mismatch', 'a footer stands here that belongs to no section', { offset });
    }
    this.#handler.finding('footer-missing', 'this section has a footer, and a section before it had none', offset);
    queue.pos += 5;
    this.footers = true;
    return true;
  }

  /** PART or END of a section that was begun. */
  #continued(item: number, offset: number): boolean {
    const queue = this.#queue;
    if (!this.#has(5)) return false;
    const id = readU32(queue.bytes, queue.pos + 1);
    const known = this.#sections.get(id);
    if (known?.iterable !== true) {
      throw new DirtyBitmapError(
        'section-unknown',
        `${item === ITEM.PART ? 'PART' : 'END'} of section ${id}, which had no START; the stream is damaged here or before`,
        { offset },
      );
    }
    queue.pos += 5;
    this.#enter(known, item === ITEM.PART ? 'part' : 'end', offset);
    return true;
  }

  /** START or FULL: a header with a name. */
  #begun(item: number, offset: number): boolean {
    const queue = this.#queue;
    if (!this.#has(6)) return false;
    const nameLength = queue.bytes[queue.pos + 5] as number;
    if (!this.#has(6 + nameLength + 8)) return false;
    const { bytes, pos } = queue;
    if (nameLength === 0) {
      throw new DirtyBitmapError('section-name-invalid', 'a section without a name; the stream is damaged here', {
        offset,
      });
    }
    const id = readU32(bytes, pos + 1);
    const name = String.fromCharCode(...bytes.subarray(pos + 6, pos + 6 + nameLength));
    const instance = readU32(bytes, pos + 6 + nameLength);
    const version = readU32(bytes, pos + 10 + nameLength);
    const known = this.#register({ id, name, instance, version }, item === ITEM.START, offset);
    queue.pos += 14 + nameLength;
    this.#enter(known, item === ITEM.START ? 'start' : 'full', offset);
    return true;
  }

  #register(section: Section, iterable: boolean, offset: number): Known {
    const before = this.#sections.get(section.id)?.section;
    if (before !== undefined && before.name !== section.name) {
      throw new DirtyBitmapError(
        'section-id-reused',
        `section id ${section.id} was ${quoted(before.name)} and is now ${quoted(section.name)}; the stream is damaged here`,
        { offset },
      );
    }
    if (before === undefined && this.#sections.size >= this.#limits.maxSections) {
      throw new DirtyBitmapError('limit', `more than ${this.#limits.maxSections} sections; raise maxSections`, {
        offset,
      });
    }
    const body = Object.hasOwn(this.#bodies, section.name) ? this.#bodies[section.name] : undefined;
    const expected = WALKED[section.name];
    if (body !== undefined && section.version !== expected) {
      this.#handler.finding(
        'section-version',
        `section ${quoted(section.name)} has version ${section.version}, where ${expected} is known; QEMU refuses it`,
        offset,
      );
    }
    const known = { section, iterable, body };
    this.#sections.set(section.id, known);
    return known;
  }

  #enter(known: Known, type: SectionType, offset: number): void {
    this.#current = known;
    this.#type = type;
    this.#bodyStart = this.#queue.offset;
    this.#handler.sectionBegin(known.section, type, offset, this.#bodyStart);
    if (known.section.name === DIRTY_BITMAP) {
      if (this.#scanned > 0) this.#scannedBeforeBitmaps = true;
    }
    if (known.body !== undefined) {
      if (known.body === this.#ram) this.#learnPageSize();
      this.#state = 'body';
      return;
    }
    this.#enterDevice(known, offset);
  }

  /** What tells the page size when the sections before did not. Source: container.md section 7, in order of trust. */
  #learnPageSize(): void {
    if (this.#ram.context.mappedRam || this.#ram.pageSize.known !== undefined) return;
    const size = this.#options.vmdesc?.pageSize;
    if (size !== undefined) this.#ram.pageSize.learn(size);
    else if (/^(pc|q35|microvm|isapc|xenfv|s390-ccw|pseries)/.test(this.#machine ?? '')) this.#ram.pageSize.learn(4096);
  }

  #enterDevice(known: Known, offset: number): void {
    const size = this.#deviceSize(known.section);
    if (this.footers === false && size === undefined) {
      this.#giveUp(
        new DirtyBitmapError(
          'device-unsized',
          `section ${quoted(known.section.name)} cannot be stepped over: the stream has no footers, and no vmdesc is known; ` +
            'give the capture as a file rather than a pipe, if it has a vmdesc',
          { offset },
        ),
      );
      return;
    }
    if (this.footers === false) {
      this.#skip = size ?? 0;
      this.#bodyEnd = this.#queue.offset + this.#skip;
      this.#state = 'footer';
      return;
    }
    // A device that comes before any section that delimits itself: the newer streams all have footers.
    this.footers = true;
    this.#scanner.begin(known.section, offset, size);
    this.#state = 'device';
  }

  /** The size that the vmdesc gives for the next device of this name; devices stand there in the stream's order. */
  #deviceSize(section: Section): number | undefined {
    const devices = this.#options.vmdesc?.devices ?? [];
    for (let at = this.#nextDevice; at < devices.length; at++) {
      const device = devices[at];
      if (device?.name === section.name && device.instance === section.instance) {
        this.#nextDevice = at + 1;
        return device.size;
      }
    }
    return undefined;
  }

  #body(final: boolean): boolean {
    const known = this.#current as Known;
    if (this.#queue.offset === this.#bodyStart && known.section.name === DIRTY_BITMAP) {
      const failed = this.#failedInSetup(known, final);
      if (failed !== undefined) return failed;
    }
    if (!(known.body as BodyParser).run(final)) return false;
    if (known.section.name === DIRTY_BITMAP && this.#type === 'end') this.#bitmapsEnded = true;
    this.#bodyEnd = this.#queue.offset;
    this.#state = 'footer';
    return true;
  }

  /**
   * A source that refuses to set up its bitmaps leaves an empty body: the footer stands where the first chunk would.
   * @returns true where it is so, false to wait for bytes, undefined where a chunk stands there.
   */
  #failedInSetup(known: Known, final: boolean): boolean | undefined {
    const queue = this.#queue;
    if (!this.#has(1)) return false;
    if (queue.bytes[queue.pos] !== ITEM.FOOTER) return undefined;
    if (!this.#has(5)) return final ? undefined : false;
    if (readU32(queue.bytes, queue.pos + 1) !== known.section.id) return undefined;
    this.#handler.finding(
      'source-failed-in-setup',
      'the source refused to migrate its dirty bitmaps (busy, read-only or inconsistent bitmap, a name that is too long, ' +
        'or a node without a name of its own): see its stderr',
      queue.offset,
    );
    this.#bodyEnd = queue.offset;
    this.#state = 'footer';
    return true;
  }

  /** A device that cannot be stepped over: the end of the road, unless all bitmaps are through. */
  #giveUp(error: DirtyBitmapError): void {
    if (!this.#tail) throw error;
    this.#handler.finding(
      'tail-unread',
      `${error.message}. All bitmaps came before it`,
      error.offset ?? this.#queue.offset,
    );
    this.#state = 'unread';
  }

  /** Behind the last bitmap, in a stretch that cannot be followed: only its last byte says something. */
  #unread(): boolean {
    const queue = this.#queue;
    while (queue.ensure(1)) {
      // A stream without a vmdesc ends with its EOF marker.
      this.complete = queue.bytes[queue.end - 1] === ITEM.EOF;
      queue.skip(queue.end - queue.pos);
    }
    return false;
  }

  #scan(final: boolean): DevicePlace[] | undefined {
    try {
      return this.#scanner.run(final);
    } catch (error) {
      if (!(error instanceof DirtyBitmapError)) throw error;
      this.#giveUp(error);
      return undefined;
    }
  }

  #device(final: boolean): boolean {
    const places = this.#scan(final);
    if (this.#state === 'unread') return true;
    const known = this.#current as Known;
    const { mismatch } = this.#scanner;
    if (mismatch !== undefined) {
      this.#scanner.mismatch = undefined;
      this.#handler.finding(
        'device-size-mismatch',
        `device section ${quoted(mismatch.section.name)}: the vmdesc gives ${mismatch.bodyEnd - mismatch.bodyOffset} bytes, ` +
          'and no footer follows them; searching for it instead',
        mismatch.bodyOffset,
      );
      this.#noteScanned(known.section.name);
    }
    if (places === undefined) return false;
    this.#passed(known, places);
    return true;
  }

  #noteScanned(name: string): void {
    this.#scanned++;
    if (this.#scannedNames.size < 3) this.#scannedNames.add(name);
  }

  /** Tells the sections that the scanner stepped over; the last one's footer is at the queue's position. */
  #passed(first: Known, places: readonly DevicePlace[]): void {
    if (this.#options.vmdesc === undefined) {
      for (const place of places) {
        this.#noteScanned(place.section.name);
        // A stream may repeat one device without end; no vmdesc describes so many.
        if (this.#foundDevices.length < this.#limits.maxSections) this.#foundDevices.push(place);
      }
    }
    let known = first;
    places.forEach((place, at) => {
      if (at > 0) {
        known = this.#register(place.section, false, place.offset);
        this.#handler.sectionBegin(place.section, 'full', place.offset, place.bodyOffset);
      }
      if (at < places.length - 1) {
        this.#handler.sectionEnd(place.section, at > 0 ? 'full' : this.#type, place.bodyEnd, place.bodyEnd + 5);
      } else {
        this.#current = known;
        if (at > 0) this.#type = 'full';
        this.#bodyEnd = place.bodyEnd;
      }
    });
    this.#state = 'footer';
  }

  #footer(final: boolean): boolean {
    const queue = this.#queue;
    const { section } = this.#current as Known;
    if (!this.#has(1)) {
      if (final && this.footers === false) this.#endSection(section);
      return false;
    }
    const isFooter = queue.bytes[queue.pos] === ITEM.FOOTER;
    if (!isFooter) {
      if (this.footers === true) {
        this.#handler.finding(
          'footer-missing',
          `section ${quoted(section.name)} has no footer, and a section before it had one`,
          queue.offset,
        );
      }
      this.footers ??= false;
      this.#endSection(section);
      return true;
    }
    if (this.footers === false) {
      // Told apart from a damaged item where the next one is read.
      this.#endSection(section);
      return true;
    }
    if (!this.#has(5)) return false;
    const id = readU32(queue.bytes, queue.pos + 1);
    if (id !== section.id) {
      this.#handler.finding(
        'footer-mismatch',
        `footer of section ${quoted(section.name)}: expected id ${section.id}, found ${id}; QEMU refuses the stream`,
        queue.offset,
      );
    }
    this.footers = true;
    queue.pos += 5;
    this.#endSection(section);
    return true;
  }

  #endSection(section: Section): void {
    this.#handler.sectionEnd(section, this.#type, this.#bodyEnd, this.#queue.offset);
    this.#state = 'item';
  }

  #command(offset: number): boolean {
    const queue = this.#queue;
    if (!this.#has(5)) return false;
    const id = readU16(queue.bytes, queue.pos + 1);
    const payloadLength = readU16(queue.bytes, queue.pos + 3);
    const shown = Math.min(payloadLength, MAX_PAYLOAD);
    if (!this.#has(5 + shown)) return false;
    const kind = COMMANDS[id];
    if (kind === undefined || (kind.lengths !== null && !kind.lengths.includes(payloadLength))) {
      this.#handler.finding(
        'command-invalid',
        kind === undefined
          ? `command ${id} is not known; stepped over ${payloadLength} bytes of it, QEMU refuses it`
          : `command ${kind.name} has ${payloadLength} bytes of payload, expected ${kind.lengths?.join(' or ')}`,
        offset,
      );
    }
    queue.pos += 5;
    const payload = queue.take(shown);
    const packageBytes = id === COMMAND.PACKAGED && payloadLength === 4 ? readU32(payload, 0) : undefined;
    if (id === COMMAND.ADVISE && payloadLength === 16) {
      // A size that no number holds is no page size, and not taken.
      this.#ram.pageSize.learn(joinU64(readU32(payload, 8), readU32(payload, 12)));
    }
    this.#handler.command({
      id,
      name: kind?.name ?? `UNKNOWN_${id}`,
      payload,
      payloadLength,
      packageBytes,
      offset,
      length: 5 + payloadLength,
    });
    this.#skip = payloadLength - shown;
    if (packageBytes !== undefined) this.#enterPackage(packageBytes);
    return true;
  }

  #enterPackage(bytes: number): void {
    this.postcopy = true;
    this.#packageBytes = bytes;
    this.#state = 'package';
    if (bytes >= 2 * EMPTY_COMMAND) return;
    this.#handler.finding(
      'package-invalid',
      `a package of ${bytes} bytes; LISTEN and RUN alone take 10`,
      this.#queue.offset,
    );
    this.#skip = bytes;
    this.#state = 'item';
  }

  /**
   * The package of a postcopy is stepped over by its length, which is exact: no bitmap travels inside. Only the commands
   * that it begins and ends with are looked at. Source: container.md section 4.
   */
  #package(): boolean {
    const queue = this.#queue;
    if (!this.#has(EMPTY_COMMAND)) return false;
    const atEnd = this.#packageBytes === 0;
    const expected = atEnd ? COMMAND.RUN : COMMAND.LISTEN;
    const { bytes, pos } = queue;
    if (bytes[pos] !== ITEM.COMMAND || readU16(bytes, pos + 1) !== expected || readU16(bytes, pos + 3) !== 0) {
      const where = atEnd ? 'ends' : 'begins';
      const message = `the package ${where} otherwise than with ${COMMANDS[expected]?.name}; stepped over by its length`;
      this.#handler.finding('package-invalid', message, queue.offset);
    }
    queue.pos += EMPTY_COMMAND;
    this.#skip = atEnd ? 0 : this.#packageBytes - 2 * EMPTY_COMMAND;
    this.#packageBytes = 0;
    if (atEnd) this.#state = 'item';
    return true;
  }

  #vmdescItem(): boolean {
    const queue = this.#queue;
    if (!this.#has(1)) return false;
    if (queue.bytes[queue.pos] !== ITEM.VMDESC) {
      this.#state = 'after';
      return true;
    }
    this.#itemOffset = queue.offset;
    if (!this.#has(5)) return false;
    this.#textLength = readU32(queue.bytes, queue.pos + 1);
    queue.pos += 5;
    this.#state = 'text';
    return true;
  }

  #vmdescText(): boolean {
    const queue = this.#queue;
    const length = this.#textLength;
    let vmdesc = this.#options.vmdesc;
    // Read from the end of the file beforehand, or too large to be worth it: only stepped over.
    if (vmdesc === undefined && length <= Math.min(MAX_TEXT, this.#limits.maxVmdescBytes)) {
      if (!this.#has(length)) return false;
      vmdesc = parseVmdesc(queue.bytes.subarray(queue.pos, queue.pos + length));
      if (vmdesc === undefined) {
        this.#handler.finding('vmdesc-invalid', 'the vmdesc is not JSON of the known form', this.#itemOffset);
      } else {
        this.#compare(vmdesc);
      }
      queue.pos += length;
    } else {
      this.#skip = length;
    }
    this.#state = 'after';
    this.#handler.vmdesc(vmdesc, this.#itemOffset, 5 + length);
    return true;
  }

  /** Holds the sizes that were found by scanning against the vmdesc's, where that comes at last. */
  #compare(vmdesc: Vmdesc): void {
    let at = 0;
    for (const place of this.#foundDevices) {
      const { section } = place;
      while (at < vmdesc.devices.length) {
        const device = vmdesc.devices[at];
        if (device?.name === section.name && device.instance === section.instance) break;
        at++;
      }
      const size = vmdesc.devices[at]?.size;
      const bytes = place.bodyEnd - place.bodyOffset;
      if (size !== bytes) {
        this.#handler.finding(
          'device-size-mismatch',
          `device section ${quoted(section.name)}: ${bytes} bytes were found by searching, the vmdesc gives ${size ?? 'none'}`,
          place.bodyOffset,
        );
        return;
      }
      at++;
    }
    this.#scanned = 0;
  }

  #after(): boolean {
    const queue = this.#queue;
    if (!queue.ensure(1)) return false;
    if (this.#afterEnd < 0) this.#afterEnd = queue.offset;
    // All of it, however much there is: a reader that can seek need not read it.
    this.#skip = Number.MAX_SAFE_INTEGER;
    return true;
  }

  /** Sections that were found by searching are believed less than those that are measured, and that is said. */
  #reportScan(): void {
    const names = [...this.#scannedNames].map((name) => quoted(name));
    const first = this.#foundDevices[0]?.offset ?? 0;
    const what = `${this.#scanned} device sections (${names.join(', ')}${this.#scanned > 3 ? ', ...' : ''})`;
    if (this.#scannedBeforeBitmaps && !this.complete) {
      this.#handler.finding(
        'device-unsized',
        `${what} before the bitmaps were stepped over by searching for their footers, and no end of the stream confirms ` +
          'it: a guest can imitate a footer, so the bitmaps may not be what the source sent',
        first,
      );
    } else {
      this.#handler.finding(
        'device-scanned',
        `${what} were stepped over by searching for their footers, because no vmdesc gives their sizes`,
        first,
      );
    }
  }
}

/** The body of a dirty-bitmap section, walked by the chunk parser. */
class DirtyBitmapBody implements BodyParser {
  skip = 0;
  readonly #chunks: ChunkParser;

  constructor(chunks: ChunkParser) {
    this.#chunks = chunks;
  }

  get need(): number {
    return this.#chunks.need;
  }

  run(): boolean {
    return this.#chunks.run();
  }
}
