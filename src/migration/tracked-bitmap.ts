import { Bitmap, type MemoryBudget } from '../bitmap/bitmap.js';
import { assertQemuGranules } from '../bitmap/granularity.js';
import { type Name, nameFromText } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import { MAX_NAME_BYTES } from '../set/names.js';
import { assertAllowed } from './bitmap-operations.js';

/** What a bitmap is made with. */
export interface BitmapCreation {
  /** 1 to 1023 bytes; undefined for one that jobs keep for themselves. */
  readonly name: string | Name | undefined;
  /** Bytes: a power of two from 512 to 2 GiB. */
  readonly granularity: number;
  /** Whether writes are recorded in it from the start. Default true. */
  readonly recording?: boolean | undefined;
  /** Whether it is kept in the image. Default false. */
  readonly persistent?: boolean | undefined;
  /** Not to be changed, because its image is read-only. Default false. */
  readonly readOnly?: boolean | undefined;
  /** It was in use when its QEMU died. Default false. */
  readonly inconsistent?: boolean | undefined;
  /** The bits, where they are there already; shared, not copied. */
  readonly bits?: Bitmap | undefined;
}

/** One bitmap as QMP's `dirty-bitmaps` tells it. */
export interface BitmapInfo {
  /** Absent on a successor and other unnamed ones. */
  readonly name?: string;
  /** Dirty granules times granularity, in bytes. */
  readonly count: number;
  /** Bytes. */
  readonly granularity: number;
  readonly recording: boolean;
  readonly busy: boolean;
  readonly persistent: boolean;
  /** Present only where it is true. */
  readonly inconsistent?: true;
}

/**
 * A bitmap of a node, with the states that QEMU gives it. Checked operations ({@link TrackedBitmap.enable} ...) are
 * those of QMP; the properties that can be assigned are for the machines and for whoever keeps bitmaps, unchecked.
 * Source: dirty-bitmap-states.md section 3.
 */
export class TrackedBitmap {
  /** The bits, as they were before the successor, if there is one. */
  readonly bits: Bitmap;
  /** Whether writes are recorded in these bits. {@link TrackedBitmap.recording} also looks at the successor. */
  enabled: boolean;
  /** In use by a migration or job: not to be changed by name. */
  busy = false;
  /** Kept in the image. */
  persistent: boolean;
  readonly readOnly: boolean;
  readonly inconsistent: boolean;
  /** A migration takes it along: not to be stored in the image when the source lets go of it. */
  skipStore = false;
  /** Bits of a migration are still coming: QEMU counts them only when they are all there, and says 0 until then. */
  loading = false;
  #name: Name | undefined;
  #successor: TrackedBitmap | undefined;
  readonly #memory: MemoryBudget | undefined;

  /**
   * @param size bytes of the disk.
   * @throws DirtyBitmapError `argument` for a bad name, granularity or size, or bits that are not of such a disk;
   * `bitmap-too-large`.
   */
  constructor(creation: BitmapCreation, size: number, memory?: MemoryBudget) {
    this.#name = creation.name === undefined ? undefined : bitmapName(creation.name);
    this.#memory = memory;
    assertQemuGranules(size, creation.granularity);
    this.bits = creation.bits ?? new Bitmap(creation.granularity, { size, memory });
    if (creation.bits !== undefined) adopt(creation.bits, creation.granularity, size);
    this.inconsistent = creation.inconsistent ?? false;
    this.enabled = (creation.recording ?? true) && !this.inconsistent;
    this.persistent = creation.persistent ?? false;
    this.readOnly = creation.readOnly ?? false;
  }

  /** Undefined for a successor, and for what jobs keep for themselves. */
  get name(): Name | undefined {
    return this.#name;
  }

  /** Bytes of the disk that one bit stands for. */
  get granularity(): number {
    return this.bits.granularity;
  }

  /** What records writes while this one is in use. */
  get successor(): TrackedBitmap | undefined {
    return this.#successor;
  }

  /** Whether writes are recorded, be it in the successor (QMP `recording`). */
  get recording(): boolean {
    return this.enabled || (this.#successor?.enabled ?? false);
  }

  /** @throws DirtyBitmapError `bitmap-busy`, `bitmap-inconsistent`. */
  enable(): void {
    assertAllowed('enable', this);
    this.enabled = true;
  }

  /** @throws DirtyBitmapError `bitmap-busy`, `bitmap-inconsistent`. */
  disable(): void {
    assertAllowed('disable', this);
    this.enabled = false;
  }

  /** @throws DirtyBitmapError `bitmap-busy`, `bitmap-readonly`, `bitmap-inconsistent`. */
  clear(): void {
    assertAllowed('clear', this);
    this.bits.clearAll();
  }

  /**
   * Makes dirty what is dirty in `other`, which stays as it is. Granularities may differ.
   * @throws DirtyBitmapError `bitmap-busy`, `bitmap-readonly`, `bitmap-inconsistent`; `argument` where the disks are of
   * different sizes; `limit`.
   */
  merge(other: TrackedBitmap): void {
    assertAllowed('merge-into', this);
    assertAllowed('merge-from', other);
    this.bits.or(other.bits);
  }

  /** Another name; whoever keeps the bitmaps has checked that it is free. Unchecked: `assertAllowed('rename', ...)`. */
  rename(name: Name | undefined): void {
    this.#name = name;
  }

  /**
   * From now on a new, unnamed bitmap records, if this one did; this one is busy and stays as it is.
   * @throws DirtyBitmapError `bitmap-busy`, `successor-exists`, `bitmap-inconsistent`.
   */
  createSuccessor(): TrackedBitmap {
    assertAllowed('create-successor', this);
    const { granularity } = this;
    const size = this.bits.size ?? 0;
    this.#successor = new TrackedBitmap({ name: undefined, granularity, recording: this.enabled }, size, this.#memory);
    this.enabled = false;
    this.busy = true;
    return this.#successor;
  }

  /** Lets the successor record. @throws DirtyBitmapError `successor-missing`. */
  enableSuccessor(): void {
    this.#needSuccessor('enable-successor').enabled = true;
  }

  /**
   * Takes over what the successor recorded, and whether it records; the successor is gone and this one no longer busy.
   * @throws DirtyBitmapError `successor-missing`; `limit`.
   */
  reclaim(): void {
    const successor = this.#needSuccessor('reclaim');
    this.bits.or(successor.bits);
    this.enabled = successor.enabled;
    this.#dropSuccessor();
  }

  /** Drops the successor and what it recorded. @throws DirtyBitmapError `successor-missing`. */
  releaseSuccessor(): void {
    this.#needSuccessor('release-successor');
    this.#dropSuccessor();
  }

  /**
   * Gives name and persistence to the successor, which whoever keeps the bitmaps puts in the place of this one.
   * @throws DirtyBitmapError `successor-missing`.
   */
  abdicate(): TrackedBitmap {
    const successor = this.#needSuccessor('abdicate');
    successor.#name = this.#name;
    successor.persistent = this.persistent;
    this.#name = undefined;
    this.persistent = false;
    this.#successor = undefined;
    this.busy = false;
    return successor;
  }

  /** What QMP's `dirty-bitmaps` says of it. */
  info(): BitmapInfo {
    const { granularity, recording, busy, persistent } = this;
    return {
      ...(this.#name === undefined ? {} : { name: this.#name.text }),
      count: this.loading ? 0 : this.bits.count(),
      granularity,
      recording,
      busy,
      persistent,
      ...(this.inconsistent ? { inconsistent: true } : {}),
    };
  }

  /** Puts back a successor that was saved. */
  restoreSuccessor(successor: TrackedBitmap): void {
    this.#successor = successor;
  }

  #needSuccessor(operation: 'enable-successor' | 'reclaim' | 'abdicate' | 'release-successor'): TrackedBitmap {
    assertAllowed(operation, this);
    return this.#successor as TrackedBitmap;
  }

  #dropSuccessor(): void {
    this.#successor?.bits.clearAll();
    this.#successor = undefined;
    this.busy = false;
  }
}

/**
 * The name of a bitmap.
 * @throws DirtyBitmapError `argument` unless it has 1 to 1023 bytes.
 */
export function bitmapName(name: string | Name): Name {
  const found = typeof name === 'string' ? nameFromText(name) : name;
  const { length } = found.bytes;
  if (length >= 1 && length <= MAX_NAME_BYTES) return found;
  throw new DirtyBitmapError('argument', `bitmap name: expected 1 to ${MAX_NAME_BYTES} bytes, found ${length}`);
}

/** Takes bits that were made elsewhere for those of a disk of this size. */
function adopt(bits: Bitmap, granularity: number, size: number): void {
  if (bits.granularity !== granularity) {
    throw new DirtyBitmapError('argument', `bits of granularity ${bits.granularity}, expected ${granularity} bytes`);
  }
  if (bits.size === undefined) bits.resize(size);
  if (bits.size !== size) {
    throw new DirtyBitmapError('argument', `bits of a disk of ${bits.size} bytes, expected ${size}`);
  }
}
