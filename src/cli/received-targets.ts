import { stat } from 'node:fs/promises';
import { printable, quoted } from '../bytes/text.js';
import type { CaptureReader } from '../capture/capture-reader.js';
import { DirtyBitmapError, isDirtyBitmapError } from '../errors.js';
import { hasWriter } from '../io/image-lock.js';
import { writeBeside } from '../io/write-beside.js';
import { checkOutput } from '../io/write-file.js';
import { formatBytesExact, plural } from '../report/text.js';
import type { BitmapSet } from '../set/bitmap-set.js';
import { entriesOf, entryLabel } from '../set/rename-set.js';
import { commitOptions } from './change-image.js';
import { renamed, selected } from './change-names.js';
import type { Rest } from './fit-to-disk.js';
import { openImage } from './open-image.js';
import { putOf } from './put-into-image.js';
import type { Terminal } from './terminal.js';
import { checkOutputOptions, type OutputKind, type OutputOptions, writeSet } from './write-set.js';

/** Where the bitmaps that came are to go. */
export interface TargetOptions extends Omit<OutputOptions, 'output' | 'outputFormat'> {
  readonly output?: string;
  /** Default `set`. */
  readonly outputFormat?: Exclude<OutputKind, 'qcow2'>;
  /** `[NODE=]qcow2:IMAGE`. */
  readonly into?: readonly string[];
  readonly select?: readonly string[];
  readonly rename?: readonly string[];
  readonly rest?: Rest;
}

/** An image of `--into`. */
interface ImageTarget {
  /** Undefined: of the only node there is. */
  readonly node: string | undefined;
  readonly path: string;
  /** Bytes of its disk. */
  readonly size: number;
  /** Device and inode. */
  readonly file: string;
}

/** What was written. */
export interface WrittenTarget {
  readonly output: string;
  readonly format: OutputKind;
  readonly bitmaps: number;
  /** Bytes of a file; undefined for an image. */
  readonly bytes: number | undefined;
  /** What is said of it, a line each. */
  readonly lines: readonly string[];
}

/** The targets of a migration that is received: checked before it begins, written when all bitmaps are there. */
export class ReceivedTargets {
  readonly #options: TargetOptions;
  readonly #images: readonly ImageTarget[];
  readonly #terminal: Terminal;
  #written: WrittenTarget[] = [];

  private constructor(options: TargetOptions, images: readonly ImageTarget[], terminal: Terminal) {
    this.#options = options;
    this.#images = images;
    this.#terminal = terminal;
  }

  /**
   * Refuses early what could not be written.
   * @throws DirtyBitmapError `argument`, `output-exists`, `file-access`; what is wrong with an image.
   */
  static async check(options: TargetOptions, terminal: Terminal): Promise<ReceivedTargets> {
    const { output, outputFormat, machine, profile, msgpack, into = [], limit } = options;
    if (output === undefined) {
      const given = { '-O': outputFormat, '--machine': machine, '--profile': profile, '--msgpack': msgpack };
      const [idle] = Object.entries(given).find(([, value]) => value !== undefined) ?? [];
      if (idle !== undefined) throw new DirtyBitmapError('argument', `${idle} is about what -o writes: give -o FILE`);
    } else {
      checkOutputOptions({ ...options, output, outputFormat: outputFormat ?? 'set' });
    }
    if (options.rest !== undefined && into.length === 0) {
      throw new DirtyBitmapError('argument', '--rest is about images: give --into qcow2:IMAGE');
    }
    const images = await Promise.all(into.map((text) => imageTarget(text, limit)));
    const files = new Set(images.map(({ file }) => file));
    if (files.size < images.length) {
      throw new DirtyBitmapError('argument', '--into: one image was given twice; each takes the bitmaps of one node');
    }
    const targets = new ReceivedTargets(options, images, terminal);
    await targets.checkFree();
    return targets;
  }

  /** Whether anything is to be written. */
  get none(): boolean {
    return this.#options.output === undefined && this.#images.length === 0;
  }

  /** Bytes of the disk of a node, where an image tells. */
  sizeOf(node: string): number | undefined {
    return this.#images.find((image) => image.node === node || image.node === undefined)?.size;
  }

  /** Says that another migration begins. */
  begin(): void {
    this.#written = [];
  }

  /** Whether what was written would be in the way of the next migration. */
  get taken(): boolean {
    return this.#written.length > 0 && this.#options.force !== true;
  }

  /** What was written of this migration, also where {@link ReceivedTargets.write} failed then. */
  get written(): readonly WrittenTarget[] {
    return this.#written;
  }

  /** @throws DirtyBitmapError `output-exists`, `file-access`. */
  async checkFree(): Promise<void> {
    const { output, force } = this.#options;
    if (output !== undefined && output !== '-') await checkOutput(output, { force });
  }

  /**
   * Writes all that came, each target as a whole or not at all, and none before each image was asked whether it takes it.
   * What a later one refuses all the same does not undo those before: see {@link ReceivedTargets.written}.
   * @throws DirtyBitmapError the first fault of the stream; `complete-missing`; `dirty-bitmap-absent`; what a target
   * cannot hold.
   */
  async write(reader: CaptureReader): Promise<void> {
    if (this.none) return;
    assertAllThere(reader);
    const set = this.#chosen(reader.set);
    const images = this.#images.map((image) => ({ image, set: this.#setOf(image, set) }));
    this.#assertNoneLeft(set, images);
    for (const one of images) await this.#commit(one.image, one.set, true);
    const written = this.#written;
    const { output, outputFormat = 'set' } = this.#options;
    if (output !== undefined) {
      const bytes = await writeSet(set, { ...this.#options, output, outputFormat, onSignals: false }, this.#terminal);
      const count = entriesOf(set).length;
      const text = `${printable(output)}: ${outputFormat}, ${plural(count, 'bitmap')}, ${formatBytesExact(bytes)}`;
      const lines = output === '-' ? [] : [text];
      written.push({ output, format: outputFormat, bitmaps: count, bytes, lines });
    }
    for (const one of images) written.push(await this.#commit(one.image, one.set, false));
  }

  /**
   * Keeps what came of a migration that did not come to its end, beside the target: a set tells how far each bitmap is
   * known. A file that is there stays: it may be all that is left of an earlier one.
   * @returns the file; undefined where no bitmap had come, or nothing was to be written.
   * @throws DirtyBitmapError `file-access`; `limit` where there are more extents than a set may have.
   */
  async writePartial(reader: CaptureReader): Promise<string | undefined> {
    const { output, limit } = this.#options;
    const beside = output === undefined || output === '-' ? this.#images[0]?.path : output;
    if (beside === undefined || reader.bitmaps.length === 0 || !(await isFileOrFree(beside))) return undefined;
    return await writeBeside(beside, async (partial) => {
      const how = { output: partial, outputFormat: 'set', onSignals: false, ...(limit && { limit }) } as const;
      await checkOutput(partial);
      await writeSet(reader.set, how, this.#terminal).catch(async (error: unknown) => {
        // Extents in JSON are limited; words in MessagePack are as many as the bits.
        if (!isDirtyBitmapError(error) || error.code !== 'limit') throw error;
        return await writeSet(reader.set, { ...how, msgpack: true }, this.#terminal);
      });
      return partial;
    });
  }

  #chosen(set: BitmapSet): BitmapSet {
    return renamed(selected(set, this.#options.select), this.#options.rename);
  }

  /** The bitmaps that go into an image. */
  #setOf({ node, path }: ImageTarget, set: BitmapSet): BitmapSet {
    const nodes = set.nodes.filter(({ bitmaps }) => bitmaps.length > 0);
    if (node === undefined) {
      if (nodes.length <= 1) return set;
      const names = nodes.map((one) => quoted(one.node.text)).join(', ');
      const message = `--into ${quoted(path, 256)}: bitmaps of ${nodes.length} nodes came (${names}); say which with NODE=qcow2:IMAGE`;
      throw new DirtyBitmapError('bitmap-not-found', message);
    }
    const found = nodes.filter((one) => one.node.text === node);
    if (found.length > 0) return { nodes: found };
    throw new DirtyBitmapError('bitmap-not-found', `--into: no bitmap of node ${quoted(node)} came`);
  }

  /** Where images alone are written, a bitmap that goes into none would be gone without a word. */
  #assertNoneLeft(set: BitmapSet, images: readonly { readonly set: BitmapSet }[]): void {
    if (this.#options.output !== undefined) return;
    const taken = new Set(images.flatMap((one) => entriesOf(one.set).map(({ bitmap }) => bitmap)));
    const left = entriesOf(set).filter(({ bitmap }) => !taken.has(bitmap));
    const [first] = left;
    if (first === undefined) return;
    const message = `${plural(left.length, 'bitmap')} would go nowhere, the first is ${quoted(entryLabel(first))}`;
    throw new DirtyBitmapError('bitmap-not-found', `${message}: give --into for its node, -o FILE, or --select`);
  }

  async #commit({ path }: ImageTarget, set: BitmapSet, dryRun: boolean): Promise<WrittenTarget> {
    const { commitImage } = await import('../io/qcow2-commit.js');
    const { force, rest, limit } = this.#options;
    const { change, said } = putOf(set, { output: path, ...(force && { force }), ...(rest && { rest }) });
    let lines: readonly string[] = [];
    await commitImage(
      path,
      (image) => {
        lines = said(image).map((line) => `${printable(path)}: ${line}`);
        return change(image);
      },
      commitOptions({ dryRun, ...(limit && { limit }) }),
    );
    return { output: path, format: 'qcow2', bitmaps: entriesOf(set).length, bytes: undefined, lines };
  }
}

async function isFileOrFree(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found === undefined || found.isFile();
}

/** @throws DirtyBitmapError `argument`; `image-locked`; as `readImage`. */
async function imageTarget(text: string, limits: OutputOptions['limit']): Promise<ImageTarget> {
  const [, node, path] = /^(?:(.+?)=)?qcow2:(.+)$/s.exec(text) ?? [];
  if (path === undefined) {
    throw new DirtyBitmapError('argument', `--into ${quoted(text)}: expected qcow2:IMAGE or NODE=qcow2:IMAGE`);
  }
  const { header } = await openImage(path, { limits });
  await assertUnused(path);
  const { dev, ino } = await stat(path);
  return { node, path, size: header.virtualSize, file: `${dev} ${ino}` };
}

/** The image of the source itself is the likeliest mistake: better said before its guest has stopped. */
async function assertUnused(path: string): Promise<void> {
  if ((await hasWriter(path)) !== true) return;
  const message = `${quoted(path, 256)} is open for writing elsewhere; close it there, or take another image`;
  throw new DirtyBitmapError('image-locked', message);
}

/** Who goes on with bitmaps that are not whole loses changes. */
function assertAllThere({ findings, bitmaps }: CaptureReader): void {
  const worst = findings.list.find(({ severity }) => severity === 'error');
  if (worst !== undefined) {
    const { code, message, offset } = worst;
    throw new DirtyBitmapError(code, message, { ...(offset !== undefined && { offset }) });
  }
  const cut = bitmaps.find(({ complete }) => !complete);
  if (cut !== undefined) {
    const label = quoted(`${cut.node.text}/${cut.name.text}`, 96);
    throw new DirtyBitmapError('complete-missing', `bitmap ${label} did not come to its end`);
  }
  if (bitmaps.length > 0) return;
  const message =
    'no bitmap came: the source has none that migrates, or migrates with the capability dirty-bitmaps off';
  throw new DirtyBitmapError('dirty-bitmap-absent', message);
}
