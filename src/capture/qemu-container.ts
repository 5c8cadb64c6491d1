import type { ChunkCursor } from '../chunk/chunk-cursor.js';
import type { Target } from '../chunk/name-memory.js';
import type { DirtyBitmapError } from '../errors.js';
import type { QemuIncoming } from '../migration/qemu-incoming.js';
import { QemuSection } from '../migration/qemu-section.js';
import type { Code } from '../rules.js';
import type { CaptureHandler } from './capture-parser.js';
import { COMMAND, type Command, type Configuration, DIRTY_BITMAP, type Section, type SectionType } from './items.js';

/** Sections that come in parts and belong to a machine with such a device, which nobody can judge from outside. */
const MACHINES_OWN = /^(spapr\/htab|s390-storage_attributes|.*vfio)$/;
/** The version that a QEMU reads of the sections that are the same everywhere. */
const VERSIONS: Readonly<Record<string, number | undefined>> = { ram: 4, [DIRTY_BITMAP]: 1, block: 1 };
/** Commands that this looks at besides {@link COMMAND}. Source: container.md section 4. */
const OPEN_RETURN_PATH = 1;
const PING = 2;
const ENABLE_COLO = 8;
/** Bytes of POSTCOPY_ADVISE when RAM takes part in the postcopy. */
const ADVISE_RAM = 16;

/** Findings of ours that a QEMU fails at; the others mean nothing to it, or are judged where they arise. */
const FATAL: readonly Code[] = ['footer-missing', 'footer-mismatch', 'source-failed-in-setup', 'command-invalid'];

/** Errors of our parser that say nothing about a QEMU, which would read on. */
const OURS: readonly Code[] = ['device-unsized', 'section-id-reused', 'limit'];

/**
 * Does with the items of a stream what a QEMU does: which of them it refuses, and when its guest starts.
 * Sources: container.md, versions.md; measured on the streams of inject/.
 */
export class QemuContainer implements CaptureHandler {
  readonly #incoming: QemuIncoming;
  readonly #chunks: QemuSection;
  /** The section that was begun last. */
  #section = '';
  #returnPath = false;
  #colo = false;
  #devices = 0;
  #tailUnread = false;
  /** Offset behind the package of a postcopy, or infinity before it. */
  #packageEnd = Number.POSITIVE_INFINITY;

  constructor(incoming: QemuIncoming) {
    this.#incoming = incoming;
    this.#chunks = new QemuSection(incoming);
  }

  header(): void {}

  configuration(configuration: Configuration, offset: number): void {
    const incoming = this.#incoming;
    const { machine: expected, configuration: wanted } = incoming.destination;
    const { machine: found, capabilities } = configuration;
    if (wanted === false) incoming.fail('configuration-unexpected', offset);
    else if (expected === undefined) incoming.assume(`It is a machine ${found} with the capabilities of the source.`);
    else if (expected !== found) incoming.fail('machine', offset, { found, expected });
    for (const capability of capabilities ?? []) {
      if (capability === 'mapped-ram' && !incoming.traits.mappedRam) {
        incoming.fail('capability', offset, { found: capability });
      }
    }
  }

  sectionBegin(section: Section, type: SectionType, offset: number): void {
    this.#advance(offset);
    this.#section = section.name;
    const { name: found, instance, version } = section;
    if (type === 'full') this.#devices++;
    if (type === 'start' && !this.#known(section)) {
      this.#incoming.fail('section-unknown', offset, { found, expected: instance });
    }
    if (version !== (VERSIONS[found] ?? version)) this.#incoming.fail('section-version', offset, { found });
  }

  sectionEnd(section: Section, _type: SectionType, bodyEnd: number, end: number): void {
    const wanted = this.#incoming.destination.footers ?? true;
    if (wanted && end === bodyEnd) this.#incoming.fail('footer-missing', bodyEnd, { found: section.name });
    if (!wanted && end > bodyEnd) this.#incoming.fail('footer-unexpected', bodyEnd, { found: section.name });
  }

  chunk(cursor: ChunkCursor, target: Target | undefined, offset: number): void {
    this.#chunks.chunk(cursor, target, offset);
  }

  data(bytes: Uint8Array, start: number, end: number, at: number): void {
    this.#chunks.data(bytes, start, end, at);
  }

  command(command: Command): void {
    const incoming = this.#incoming;
    const { id, name, offset, payload, payloadLength } = command;
    this.#advance(offset);
    if (id === OPEN_RETURN_PATH) this.#openReturnPath();
    if (id === PING && !this.#returnPath) {
      const value = payload.reduce((sum, byte) => sum * 256 + byte, 0);
      incoming.fail('ping', offset, { found: value.toString(16) });
    }
    if (id === COMMAND.ADVISE) incoming.postcopyRam = payloadLength === ADVISE_RAM;
    if (id === COMMAND.SWITCHOVER_START && !incoming.traits.switchoverStart) {
      incoming.fail('command-unknown', offset, { found: name, expected: 'b' });
    }
    if (id === ENABLE_COLO) {
      if (incoming.traits.colo === 'refused') incoming.fail('colo-refused', offset);
      this.#colo = true;
    }
    if (id === COMMAND.LISTEN || id === COMMAND.RUN) {
      incoming.assume(`A command ${name} outside of a package changes nothing (not measured).`);
    }
    if (command.packageBytes === 0) incoming.fail('damaged', offset, { found: 'a package of 0 bytes' });
    else if (command.packageBytes !== undefined) {
      this.#packageEnd = offset + command.length + command.packageBytes;
      incoming.assume('The package of the postcopy ends with RUN, and its device sections load.');
    }
  }

  endOfStream(offset: number): void {
    this.#advance(offset);
    if (this.#colo) this.#incoming.fail('colo', offset);
    this.#incoming.start(offset);
    if (this.#devices > 0) this.#incoming.assume(`Its RAM and devices load; ${this.#devices} device sections came.`);
  }

  vmdesc(): void {}

  finding(code: Code, message: string, offset: number): void {
    const incoming = this.#incoming;
    if (code === 'configuration-missing') {
      if (incoming.destination.configuration ?? true) incoming.fail('configuration-missing', offset);
    } else if (code === 'leading-bytes') {
      incoming.assume(`It reads from the beginning of the stream on: ${message}.`);
    } else if (code === 'tail-unread') {
      incoming.assume(`It loads what was not read here: ${message}.`);
      this.#tailUnread = true;
    } else if (FATAL.includes(code)) {
      this.#fatal(code, message, offset);
    }
  }

  /** The input has come to its end, and was followed that far. */
  finished(position: number): void {
    if (this.#tailUnread) this.#incoming.start(position);
  }

  /**
   * The input could not be followed further, or ended too early.
   * @param position how far it was read, in bytes from the start of the input.
   */
  stopped(error: DirtyBitmapError, position: number): void {
    const incoming = this.#incoming;
    const { code, message, offset } = error;
    if (incoming.over) return;
    if (OURS.includes(code)) {
      incoming.unreadFrom = offset ?? position;
      incoming.assume(`It loads what was not read here, from byte ${incoming.unreadFrom} on: ${message}.`);
      incoming.start(position);
      return;
    }
    this.#advance(Math.max(position, offset ?? 0));
    if (code === 'stream-cut') incoming.fail('cut', offset, { found: message });
    else this.#fatal(code, message, offset);
  }

  /** Everything before `offset` was read; behind the package the guest runs. */
  #advance(offset: number): void {
    if (offset < this.#packageEnd) return;
    this.#incoming.start(this.#packageEnd);
    this.#packageEnd = Number.POSITIVE_INFINITY;
  }

  #known({ name, instance }: Section): boolean {
    if (VERSIONS[name] === undefined) return MACHINES_OWN.test(name);
    return instance === 0 && (name !== 'block' || this.#incoming.traits.blockSection);
  }

  #openReturnPath(): void {
    const { returnPath } = this.#incoming.destination;
    this.#returnPath = returnPath ?? true;
    if (returnPath === undefined) this.#incoming.assume('Its channel can carry answers to the source.');
  }

  #fatal(code: Code, message: string, offset: number | undefined): void {
    const incoming = this.#incoming;
    const section = { found: this.#section };
    if (code === 'footer-missing' || code === 'footer-mismatch') incoming.fail(code, offset, section);
    else if (code === 'source-failed-in-setup') incoming.fail('source-failed', offset);
    else if (code === 'command-invalid') incoming.fail('command-invalid', offset, { found: message });
    else if (code === 'bits-size-limit') incoming.fail('bits-too-large', offset);
    else if (code === 'version-unsupported') incoming.fail('stream-version', offset);
    else if (code === 'configuration-invalid') incoming.fail('configuration-invalid', offset, { found: message });
    else if (code === 'section-unknown') incoming.fail('section-not-started', offset);
    else if (code === 'magic-invalid' || code === 'not-main-channel') {
      incoming.fail('not-a-stream', offset, { found: message.includes('empty') ? 'empty' : '' });
    } else incoming.fail('damaged', offset, { found: message });
  }
}
