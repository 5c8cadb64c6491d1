import { readU16, readU32 } from '../bytes/u64.js';
import { CaptureReader, type CaptureReaderOptions } from './capture-reader.js';
import { COMMAND, type Command, ITEM, type SectionType } from './items.js';
import { encodePong, encodeShut } from './return-path.js';

/**
 * How far a migration has come, seen from its stream: `setup` while sections begin, `precopy` while the guest runs at the
 * source, `switchover` when it has stopped there, `postcopy` when it was handed over before all was sent, `complete`.
 */
export type MigrationPhase = 'setup' | 'precopy' | 'switchover' | 'postcopy' | 'complete';

/** Bytes of a PING with its head. */
const PING_BYTES = 9;
/** PINGs that a package may end with, before RUN. Source: container.md section 4. */
const PACKAGE_TAIL = 2 * PING_BYTES + 5;
const NOTHING = new Uint8Array(0);

/**
 * A migration as its destination sees it that keeps nothing but the bitmaps: give it the bytes that come, and send back
 * what it answers. No VM runs here: what a source waits for is answered, and no page is ever asked for.
 * Source: container.md sections 4 and 5; QEMU 7.2, 10.0 and 11.1 at the other end.
 * @example
 * const incoming = new IncomingMigration();
 * for await (const piece of socket) {
 *   for (const answer of incoming.push(piece)) socket.write(answer);
 *   if (incoming.phase === 'complete') for (const answer of incoming.done()) socket.write(answer);
 * }
 * incoming.reader.finish();
 */
export class IncomingMigration {
  /** The bitmaps so far, and what is wrong with the stream. */
  readonly reader: CaptureReader;
  /** Whether the source waits for answers. */
  returnPath = false;
  /** Whether a postcopy would fetch RAM from a guest that runs here, which none does. */
  postcopyRam = false;
  readonly #phases: MigrationPhase[] = ['setup'];
  #answers: Uint8Array[] = [];
  #told = false;
  /** What is looked at now, and where it lies in the stream. */
  #piece: Uint8Array = NOTHING;
  #pieceAt = 0;
  /** Where the end of a package begins that PINGs may stand in, and its bytes as they come. */
  #tailAt = 0;
  #tail = NOTHING;
  #tailFilled = 0;

  /** @throws DirtyBitmapError `argument` for a limit that is no whole number. */
  constructor(options: Omit<CaptureReaderOptions, 'observer' | 'offset'> = {}) {
    this.reader = new CaptureReader({
      ...options,
      observer: {
        sectionBegin: (_section, type) => this.#section(type),
        command: (command) => this.#command(command),
        endOfStream: () => this.#enter('complete'),
      },
    });
  }

  /** How far it has come. */
  get phase(): MigrationPhase {
    return this.#phases.at(-1) as MigrationPhase;
  }

  /** All phases so far, however many of them one piece brought. */
  get phases(): readonly MigrationPhase[] {
    return this.#phases;
  }

  /** Takes what has come, which may be reused after the call. @returns what is to be sent back. */
  push(piece: Uint8Array): readonly Uint8Array[] {
    this.#piece = piece;
    this.#pieceAt = this.reader.bytes;
    this.reader.push(piece);
    this.#packageEnd();
    this.#piece = NOTHING;
    return this.#answers.splice(0);
  }

  /**
   * Says that all is kept, or that it could not be (`error` other than 0, at which the source fails its migration and goes
   * on). @returns what is to be sent back; nothing where the source does not wait, or was told before.
   */
  done(error = 0): readonly Uint8Array[] {
    if (!this.returnPath || this.#told) return [];
    this.#told = true;
    return [encodeShut(error)];
  }

  #section(type: SectionType): void {
    if (this.phase === 'setup' && type === 'part') this.#enter('precopy');
    if (type === 'end' && this.phase !== 'postcopy') this.#enter('switchover');
  }

  #enter(phase: MigrationPhase): void {
    if (this.phase !== phase) this.#phases.push(phase);
  }

  #command({ id, payload, payloadLength, packageBytes, offset, length }: Command): void {
    // In the order of the stream: what stands in a package came before this.
    this.#packageEnd();
    if (id === COMMAND.OPEN_RETURN_PATH) this.returnPath = true;
    if (id === COMMAND.PING && payloadLength === 4) this.#pong(readU32(payload, 0));
    if (id === COMMAND.ADVISE && payloadLength > 0) this.postcopyRam = true;
    if (packageBytes === undefined) return;
    this.#enter('postcopy');
    this.#tail = new Uint8Array(Math.min(packageBytes, PACKAGE_TAIL));
    this.#tailAt = offset + length + packageBytes - this.#tail.length;
    this.#tailFilled = 0;
  }

  #pong(value: number): void {
    if (this.returnPath) this.#answers.push(encodePong(value));
  }

  /** A package is stepped over by its length, but for the PINGs at its end, which a source waits for. */
  #packageEnd(): void {
    const { length } = this.#tail;
    if (this.#tailFilled === length) return;
    const from = this.#tailAt + this.#tailFilled - this.#pieceAt;
    if (from >= this.#piece.length) return;
    const bytes = this.#piece.subarray(from, from + length - this.#tailFilled);
    this.#tail.set(bytes, this.#tailFilled);
    this.#tailFilled += bytes.length;
    if (this.#tailFilled < length) return;
    // Back from RUN, as long as PINGs stand there.
    const pings: number[] = [];
    for (let at = length - 5 - PING_BYTES; at >= 0 && this.#isPing(at); at -= PING_BYTES) {
      pings.unshift(readU32(this.#tail, at + 5));
    }
    for (const value of pings) this.#pong(value);
  }

  #isPing(at: number): boolean {
    const tail = this.#tail;
    return tail[at] === ITEM.COMMAND && readU16(tail, at + 1) === COMMAND.PING && readU16(tail, at + 3) === 4;
  }
}
