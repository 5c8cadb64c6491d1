import { quoted } from '../bytes/text.js';
import type { Limits } from '../limits.js';
import type { QemuDestination } from './qemu-destination.js';
import { type HostBitmap, QemuHost } from './qemu-host.js';
import { type AliasMap, aliasMap, mappingProblem } from './qemu-mapping.js';
import { describeBitmap, type QemuPrediction, type QemuVerdict } from './qemu-prediction.js';
import type { QemuDetails } from './qemu-reason-text.js';
import { type QemuReason, type QemuReasonCode, qemuReason, whatIsSo } from './qemu-reasons.js';
import { QEMU_TRAITS, type QemuTraits } from './qemu-version.js';

const FAILED = 'QEMU exits with status 1 and nothing is loaded, the source keeps its bitmaps';
const DIED = 'QEMU dies of SIGABRT and nothing is loaded, the source keeps its bitmaps';
const DIED_RUNNING = 'QEMU dies of SIGABRT, and the guest, which runs there by now, with it';
/** Names listed in an assumption. */
const MAX_LISTED = 8;

/** An incoming migration of a QEMU: how it stands, and what ends it. */
export class QemuIncoming {
  readonly destination: QemuDestination;
  readonly traits: QemuTraits;
  readonly host: QemuHost;
  readonly aliases: AliasMap | undefined;
  /** All bitmaps of this migration were given up; for good. Source: dirty-bitmap-states.md section 3. */
  cancelled = false;
  /** Whatever comes now changes nothing any more. */
  over = false;
  /** Postcopy of RAM is on: a lost connection pauses the guest. */
  postcopyRam = false;
  /** Offset, in bytes, from which the input could not be followed. */
  unreadFrom: number | undefined;
  readonly #reasons: QemuReason[] = [];
  readonly #assumptions: string[] = [];
  #verdict: QemuVerdict = 'load';

  constructor(destination: QemuDestination, limits: Limits) {
    this.destination = destination;
    this.traits = QEMU_TRAITS[destination.version];
    this.host = new QemuHost(destination, limits.maxBitmapMemory);
    const { mapping, version } = destination;
    this.aliases = mapping && aliasMap(mapping);
    const problem = mapping && mappingProblem(mapping, version);
    if (problem === undefined) return;
    this.over = true;
    this.#verdict = 'setup-refused';
    this.#add('mapping', undefined, { found: problem }, 'there is no migration');
  }

  /** The bitmaps are given up, all together, and the migration goes on. */
  cancel(code: QemuReasonCode, offset: number, details: QemuDetails): void {
    if (this.over || this.cancelled) return;
    this.cancelled = true;
    this.#verdict = 'cancel';
    const count = this.host.cancel();
    const gone = count > 0 ? `deletes ${bitmapCount(count)} that came` : 'takes no bitmap';
    this.#add(code, offset, details, `QEMU ${gone}, drops the rest, and completes the migration as if all were well`);
  }

  /** The migration fails. After the switch-over to postcopy only what is not complete is lost. */
  fail(code: QemuReasonCode, offset: number | undefined, details: QemuDetails = {}): void {
    if (this.over) return;
    this.over = true;
    if (!this.host.started) {
      this.#verdict = 'fail';
      this.#add(code, offset, details, FAILED);
      return;
    }
    const count = this.host.cancel();
    const found = whatIsSo(code, details);
    const gone = `${bitmapCount(count)} not complete, and deleted`;
    if (this.postcopyRam) {
      this.#verdict = 'fail';
      this.#add(
        'postcopy-paused',
        offset,
        { found },
        `the guest stands still, waiting for the rest of its RAM; ${gone}`,
      );
    } else if (count > 0) {
      this.#verdict = 'cancel';
      this.#add('postcopy-lost', offset, { found }, `the guest goes on running at the destination; ${gone}`);
    } else {
      this.#add('postcopy-broken', offset, { found }, 'the guest goes on running at the destination');
    }
  }

  /** The process dies. */
  abort(code: QemuReasonCode, offset: number, details: QemuDetails): void {
    if (this.over) return;
    this.over = true;
    this.#verdict = 'abort';
    this.#add(code, offset, details, (this.host.startedAt ?? Number.POSITIVE_INFINITY) <= offset ? DIED_RUNNING : DIED);
  }

  /** It goes on, but somebody should know. */
  note(code: QemuReasonCode, offset: number | undefined, details: QemuDetails): void {
    this.#add(code, offset, details, '');
  }

  /** Something that the verdict rests on. */
  assume(what: string): void {
    if (!this.over && !this.#assumptions.includes(what)) this.#assumptions.push(what);
  }

  /** The guest starts: at RUN in postcopy, at the end of the stream in precopy. */
  start(offset: number): void {
    if (this.over) return;
    const problem = this.host.start(offset);
    if (problem === undefined) return;
    this.#verdict = 'cancel';
    const details = { node: problem.node.name.text, bitmap: problem.bitmap };
    this.#add('stored-name-exists', offset, details, 'the guest does not start, and the bitmaps of that node are gone');
  }

  /** The end of the input: what is left to judge, and the result. */
  finish(): QemuPrediction {
    this.#judgeSizes();
    if (!this.over) this.#notes();
    const { version } = this.destination;
    return {
      version,
      verdict: this.#verdict,
      reasons: this.#reasons,
      unreadFrom: this.unreadFrom,
      bitmaps: this.#bitmaps(),
      assumptions: [...this.#assumeNodes(), ...this.#assumptions],
    };
  }

  #bitmaps(): QemuPrediction['bitmaps'] {
    const gone = this.over && !this.host.started;
    if (gone || this.#verdict === 'abort') return [];
    const { started, nodes } = this.host;
    const list = nodes.filter((node) => !node.broken).flatMap((node) => [...node.bitmaps.values()]);
    return list.map((bitmap) => describeBitmap(bitmap, started, this.traits.busyWhileDisabled));
  }

  /** Disks whose size was not known are now taken to end where the highest range ended: which ranges do not fit that? */
  #judgeSizes(): void {
    let first: { code: QemuReasonCode; offset: number; details: QemuDetails } | undefined;
    for (const bitmap of this.host.toJudge) {
      const found = unfit(bitmap);
      if (found !== undefined && found.offset < (first?.offset ?? Number.POSITIVE_INFINITY)) first = found;
    }
    if (first === undefined) return;
    const { code, offset, details } = first;
    // It died there, so nothing after that happened.
    this.#reasons.splice(0, Number.POSITIVE_INFINITY, ...this.#reasons.filter((one) => (one.offset ?? 0) < offset));
    this.over = false;
    this.abort(code, offset, details);
  }

  #notes(): void {
    const bitmaps = this.host.nodes.flatMap((node) => [...node.bitmaps.values()]).filter((bitmap) => bitmap.arrived);
    const unfinished = bitmaps.filter((bitmap) => !bitmap.finished);
    const [open] = unfinished;
    if (open !== undefined) {
      this.note('unfinished', open.offset, { found: unfinished.length, bitmap: open.name.text });
    }
    const late = bitmaps.find((bitmap) => bitmap.late && bitmap.recordingWanted);
    if (late !== undefined) this.note('started-late', late.offset, { bitmap: late.name.text });
    const lost = bitmaps.find(({ persistent, node }) => persistent && (node.readOnly || node.canStore === false));
    if (lost !== undefined) {
      this.note('persistent-lost', lost.offset, { bitmap: lost.name.text, node: lost.node.name.text });
    }
  }

  #assumeNodes(): string[] {
    if (!this.host.assumed) return [];
    const nodes = this.host.nodes;
    if (nodes.length === 0) return ['The destination has every node that the stream names.'];
    const shown = nodes.slice(0, MAX_LISTED).map(({ name, end }) => {
      return `${quoted(name.text)}${end > 0 ? ` of ${end} bytes` : ''}`;
    });
    const more = nodes.length > MAX_LISTED ? `, and ${nodes.length - MAX_LISTED} more` : '';
    return [
      `The destination has the nodes that the stream names, each as large as the stream covers it: ${shown.join(', ')}${more}.`,
      'They are writable and have no bitmaps of these names, neither in memory nor stored.',
    ];
  }

  #add(code: QemuReasonCode, offset: number | undefined, details: QemuDetails, consequence: string): void {
    this.#reasons.push(qemuReason(code, this.destination.version, offset, details, consequence));
  }
}

function bitmapCount(count: number): string {
  return `${count} bitmap${count === 1 ? '' : 's'}`;
}

/** What kills a QEMU if the disk ends where the stream's highest range ends. */
function unfit(bitmap: HostBitmap): { code: QemuReasonCode; offset: number; details: QemuDetails } | undefined {
  const { node, granules, shortEnd, otherShortEnd, emptyRange, completedAt, name } = bitmap;
  if (node.end === 0) {
    if (!emptyRange || completedAt === undefined) return undefined;
    return { code: 'disk-empty', offset: completedAt, details: { bitmap: name.text } };
  }
  const bad = shortEnd !== undefined && shortEnd.granule !== granules - 1 ? shortEnd : otherShortEnd;
  if (bad === undefined) return undefined;
  const details = { bitmap: name.text, found: bad.sectors, expected: (64 * bitmap.granularity) / 512 };
  return { code: 'bits-length', offset: bad.offset, details };
}
