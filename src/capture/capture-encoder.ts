import { ByteWriter } from '../bytes/byte-writer.js';
import { nameFromText, quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import type { Profile } from '../migration/cutter.js';
import { Source, WINDOW } from '../migration/source.js';
import type { BitmapSet } from '../set/bitmap-set.js';
import { writeCommand, writeFooter, writeHeader, writeSectionHeader } from './encode-items.js';
import { COMMAND, DIRTY_BITMAP, ITEM, type Section, STREAM_VERSION } from './items.js';
import { setGraph } from './set-graph.js';

/** What a written capture says besides its bitmaps. */
export interface CaptureEncoderOptions {
  /** Machine type of the QEMU that is to load it, as in its `-machine`. Default `none`. */
  readonly machine?: string | undefined;
  /** Asks the destination to say when it is done, over a connection that has a way back. Default false. */
  readonly returnPath?: boolean | undefined;
}

/** How a set is written as a stream. */
export interface EncodeCaptureOptions extends CaptureEncoderOptions {
  /** As QEMU sends bitmaps, or in as few bytes as it still accepts. Default `qemu`. */
  readonly profile?: Profile | undefined;
  /** The buffer that pieces are views of, at least 16 KiB. */
  readonly window?: Uint8Array | undefined;
}

/** The id that the section has in QEMU 7.2; any would do. */
const SECTION: Section = Object.freeze({ id: 3, name: DIRTY_BITMAP, instance: 0, version: 1 });
/** No device has a section; without a vmdesc QEMU complains on stderr. */
const VMDESC = '{"page_size":4096,"devices":[]}';
/** Bytes of a machine type at most. Source: container.md section 2. */
const MAX_MACHINE = 255;
/** What QEMU's first PING says. */
const FIRST_PING = Uint8Array.of(0, 0, 0, 1);

/**
 * Writes a migration stream that holds nothing but dirty bitmaps. A QEMU started with the same machine type, with nodes
 * of those names and sizes, and with `-incoming` takes them from it: `-incoming "exec:cat out.bin"`.
 * Source: container.md sections 1 to 6.
 * @example
 * const graph = new MemoryGraph();
 * graph.addNode({ name: 'disk0', size: 2 ** 40 }).create({ name: 'backup', granularity: 65536, bits });
 * const encoder = new CaptureEncoder(new Source(graph, { profile: 'compact' }));
 * for (const bytes of encoder.pieces()) await file.write(bytes); // valid until the next step of the loop
 */
export class CaptureEncoder {
  readonly #source: Source;
  readonly #machine: Uint8Array;
  readonly #returnPath: boolean;

  /**
   * @param source one that has not begun.
   * @throws DirtyBitmapError `argument` for a machine type of no or more than 255 bytes.
   */
  constructor(source: Source, options: CaptureEncoderOptions = {}) {
    const machine = options.machine ?? 'none';
    this.#source = source;
    this.#machine = nameFromText(machine).bytes;
    this.#returnPath = options.returnPath === true;
    if (this.#machine.length < 1 || this.#machine.length > MAX_MACHINE) {
      const message = `machine: expected 1 to ${MAX_MACHINE} bytes, found ${quoted(machine)}`;
      throw new DirtyBitmapError('argument', message);
    }
  }

  /**
   * All of the stream, each piece valid until the next is asked for. Leaving the loop early cancels the source.
   * @param window the buffer that most pieces are views of, at least 16 KiB.
   * @throws DirtyBitmapError before the first piece: the code of the source's first refusal, `state-invalid`.
   */
  *pieces(window: Uint8Array = new Uint8Array(WINDOW)): Generator<Uint8Array, void, void> {
    const source = this.#source;
    const out = new ByteWriter(512);
    // Not within the try: a source that has begun, and refuses, is not to be cancelled for it.
    source.setup();
    try {
      this.#head(out);
      yield out.view();
      yield* source.section(window);
      source.complete();
      out.reset();
      // Without bitmaps no section follows the first.
      if (source.plan.bitmaps.length > 0) {
        writeFooter(out, SECTION.id);
        writeSectionHeader(out, 'end', SECTION);
        yield out.view();
        yield* source.section(window);
        out.reset();
      }
      this.#tail(out);
      yield out.view();
    } finally {
      source.cancel();
    }
  }

  #head(out: ByteWriter): void {
    writeHeader(out, STREAM_VERSION);
    out.u8(ITEM.CONFIGURATION);
    out.u32(this.#machine.length);
    out.bytes(this.#machine);
    if (this.#returnPath) {
      writeCommand(out, COMMAND.OPEN_RETURN_PATH, new Uint8Array(0));
      writeCommand(out, COMMAND.PING, FIRST_PING);
    }
    // A source sends this as soon as the capability is on, be it for precopy.
    writeCommand(out, COMMAND.ADVISE, new Uint8Array(0));
    writeSectionHeader(out, 'start', SECTION);
  }

  #tail(out: ByteWriter): void {
    writeFooter(out, SECTION.id);
    out.u8(ITEM.EOF);
    out.u8(ITEM.VMDESC);
    out.u32(VMDESC.length);
    out.bytes(nameFromText(VMDESC).bytes);
  }
}

/**
 * A capture with the bitmaps of a set, piece by piece; each is valid until the next is asked for. A node whose size is
 * not known is sent as far as its bitmaps are known, which their bits then have as their size.
 * @throws DirtyBitmapError before the first piece: `size-unknown`, `name-empty`, `name-not-utf8`, `name-nul`,
 * `name-too-long` for what a stream cannot hold; `argument`.
 */
export function* encodeCapture(set: BitmapSet, options: EncodeCaptureOptions = {}): Generator<Uint8Array, void, void> {
  const { profile, machine, returnPath, window } = options;
  yield* new CaptureEncoder(new Source(setGraph(set, profile), { profile }), { machine, returnPath }).pieces(window);
}

/** The bodies of the START and the END section that {@link encodeCapture} would write, without the stream around. */
export function* encodeSection(
  set: BitmapSet,
  options: Omit<EncodeCaptureOptions, keyof CaptureEncoderOptions> = {},
): Generator<Uint8Array, void, void> {
  yield* new Source(setGraph(set, options.profile), { profile: options.profile }).sections(options.window);
}
