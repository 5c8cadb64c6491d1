import { Bitmap } from '../bitmap/bitmap.js';
import { MAX_DISK_BYTES, MAX_GRANULARITY, MIN_GRANULARITY } from '../bitmap/granularity.js';
import { nameFromText, quoted } from '../bytes/text.js';
import { type Limits, resolveLimits } from '../limits.js';
import type { SetBitmap } from './bitmap-set.js';
import { documentBytes } from './document-bytes.js';
import { ExtentList } from './extent-list.js';
import { JsonReader } from './json-reader.js';

/** What a map does not tell. */
export interface NbdinfoOptions {
  /** Name of the bitmap. Default: empty, not known. */
  readonly name?: string | undefined;
  readonly limits?: Partial<Limits> | undefined;
}

/** QEMU's granularity for clusters of 64 KiB and more, which is what nearly all images have. */
const USUAL_GRANULARITY = 65_536;
/** Granules of a disk, from which on larger ones are looked for: half a GiB of bits. */
const MANY_GRANULES = 2 ** 32;
const ADVICE = 'give what `nbdinfo --map=qemu:dirty-bitmap:NAME --json` printed';

/**
 * The bitmap in the array that `nbdinfo --map=qemu:dirty-bitmap:NAME --json` prints: runs with `offset` and `length` in
 * bytes, from 0 on without a gap; bit 0 of `type` is dirty. `bits.size` is where the last run ends, the disk's size.
 *
 * A map does not tell the granularity. It is taken to be the largest power of two that divides every place where dirty
 * and clean meet, from 512 bytes to 64 KiB, QEMU's default (more only where the disk would have over 2^32 granules):
 * nothing is lost, and a map of few runs does not give a granularity that nobody chose. `recording` is true and
 * `persistent` false, as for a bitmap that QMP creates: one that records too much loses no change.
 * @throws DirtyBitmapError `set-invalid`, with the place in `path` and `offset`; `limit` for a document, a number of
 * dirty runs, or bits over the limits.
 */
export function parseNbdinfo(document: string | Uint8Array, options: NbdinfoOptions = {}): SetBitmap {
  const limits = resolveLimits(options.limits);
  const reader = new JsonReader(documentBytes(document, limits));
  const runs = new Runs(limits);
  reader.array(() => readRun(reader, runs));
  reader.end();
  const memory = { used: 0, max: limits.maxBitmapMemory };
  const bits = new Bitmap(runs.granularity(), { size: runs.end, memory });
  runs.fill(bits);
  return { name: nameFromText(options.name ?? ''), recording: true, persistent: false, bits };
}

/** The dirty ranges of runs that follow one another, neighbours joined. */
class Runs {
  /** Where the last run ends, in bytes. */
  end = 0;
  readonly #dirty: ExtentList;
  /** Where the dirty range begins that reaches up to the end, or -1. */
  #since = -1;
  /** The largest power of two that divides every place where dirty and clean meet. */
  #unit: number = MAX_GRANULARITY;

  constructor({ maxExtents }: Limits) {
    this.#dirty = new ExtentList({ left: maxExtents, max: maxExtents });
  }

  /** Adds a run from the end on; false where it cannot begin there, because no granule does. */
  add(length: number, dirty: boolean): boolean {
    if (this.#since >= 0 !== dirty && length > 0) {
      while (this.end % this.#unit !== 0) this.#unit /= 2;
      if (this.#unit < MIN_GRANULARITY) return false;
      this.#close();
      if (dirty) this.#since = this.end;
    }
    this.end += length;
    return true;
  }

  granularity(): number {
    let most = USUAL_GRANULARITY;
    while (this.end / most > MANY_GRANULES) most *= 2;
    return Math.min(most, this.#unit);
  }

  fill(bits: Bitmap): void {
    this.#close();
    for (let i = 0; i < this.#dirty.length; i++) bits.set(this.#dirty.offset(i), this.#dirty.size(i));
  }

  #close(): void {
    if (this.#since >= 0) this.#dirty.push(this.#since, this.end - this.#since);
    this.#since = -1;
  }
}

function readRun(reader: JsonReader, runs: Runs): void {
  const run: { offset?: number; length?: number; type?: number; description?: string } = {};
  reader.object((key) => {
    if (key === 'offset' || key === 'length' || key === 'type') run[key] = reader.uint();
    else if (key === 'description') run.description = reader.text();
    else reader.skip();
  });
  const { offset, length, type, description } = run;
  if (offset === undefined || length === undefined || type === undefined) {
    const found = `only ${Object.keys(run).join(', ') || 'others'}`;
    reader.fail('a run with offset, length and type', ADVICE, { found });
  }
  const dirty = type % 2 === 1;
  // The maps of other contexts look the same, and would be taken for the opposite of what they say.
  if (description !== undefined && description !== (dirty ? 'dirty' : 'clean')) {
    const found = `${quoted(description)} (type ${type})`;
    reader.fail(`${dirty ? '"dirty"' : '"clean"'} for this type`, `is it the map of another context? ${ADVICE}`, {
      below: 'description',
      found,
    });
  }
  if (offset !== runs.end) {
    reader.fail(`${runs.end}, where the run before ends`, ADVICE, { below: 'offset', found: `${offset}` });
  }
  if (length > MAX_DISK_BYTES - offset) {
    reader.fail('a run that ends at 2^53 at most', ADVICE, { below: 'length', found: `${length}` });
  }
  if (!runs.add(length, dirty)) {
    const expected = `a multiple of ${MIN_GRANULARITY}, where granules begin`;
    reader.fail(expected, ADVICE, { below: 'offset', found: `${offset}` });
  }
}
