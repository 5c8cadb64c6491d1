import { Bitmap, type MemoryBudget } from '../bitmap/bitmap.js';
import { isGranularity, MAX_GRANULARITY, MIN_GRANULARITY } from '../bitmap/granularity.js';
import { type Name, quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import type { Limits } from '../limits.js';
import { type BitmapSet, knownEnd, type SetBitmap, type SetNode } from './bitmap-set.js';
import { type ExtentBudget, ExtentList } from './extent-list.js';
import { fillBits, fillExtents } from './fill.js';
import { MAX_NAME_BYTES, NameIndex } from './names.js';
import type { Place, ValueReader } from './value-reader.js';

/** The version of the form that this reads and writes. */
export const SET_VERSION = 1;

const KNOWN = 'a field of the form';
const UNKNOWN_ADVICE = 'correct its name, or remove it';

type Mutable<T> = { -readonly [K in keyof T]?: T[K] };

/** Fields of a bitmap as they came: what they are worth is known when all of the node are there. */
interface RawBitmap extends Mutable<Omit<SetBitmap, 'bits' | 'coveredBytes'>> {
  hexName?: Name;
  granularity?: number;
  covered?: number;
  extents?: ExtentList;
  bytes?: Uint8Array;
  /** Where the bitmap begins in the document, and its extents or bits. */
  at?: number | undefined;
  dirtyAt?: number | undefined;
}

interface RawNode {
  node?: Name;
  hexName?: Name;
  size?: number;
  bitmaps?: RawBitmap[];
}

/**
 * Reads a bitmap set from a document of any form. The order of fields does not matter. A field that is not known is
 * refused: dropping it could drop the end of a bitmap or its name.
 * @throws DirtyBitmapError `set-invalid`; `limit` for too many bitmaps or extents, or bits that need too much memory.
 */
export function readSet(reader: ValueReader, limits: Limits): BitmapSet {
  return new SetReader(reader, limits).read();
}

class SetReader {
  readonly #reader: ValueReader;
  readonly #limits: Limits;
  readonly #memory: MemoryBudget;
  readonly #extents: ExtentBudget;
  #bitmapsLeft: number;

  constructor(reader: ValueReader, limits: Limits) {
    this.#reader = reader;
    this.#limits = limits;
    this.#memory = { used: 0, max: limits.maxBitmapMemory };
    this.#extents = { left: limits.maxExtents, max: limits.maxExtents };
    this.#bitmapsLeft = limits.maxBitmaps;
  }

  read(): BitmapSet {
    const reader = this.#reader;
    const found: { version?: number; nodes?: readonly SetNode[]; unknown?: string } = {};
    reader.object((key) => {
      if (key === 'dirtybitmap') {
        found.version = reader.uint();
        if (found.version !== SET_VERSION) {
          reader.fail(`version ${SET_VERSION}`, 'it was written by a newer dirtybitmap: read it with that');
        }
      } else if (key === 'nodes') {
        found.nodes = this.#nodes();
      } else {
        found.unknown ??= key;
        reader.skip();
      }
    });
    // Whether it is a set at all comes first: what else it may be has fields of its own.
    if (found.version === undefined) {
      reader.fail('the field dirtybitmap', 'only what has it is a bitmap set', { found: 'none' });
    }
    if (found.unknown !== undefined) {
      reader.fail(KNOWN, UNKNOWN_ADVICE, { found: quoted(found.unknown) });
    }
    return { nodes: found.nodes ?? this.#missing('nodes') };
  }

  #nodes(): readonly SetNode[] {
    const nodes: SetNode[] = [];
    const names = new NameIndex();
    this.#reader.array(() => {
      if (nodes.length === this.#limits.maxBitmaps) {
        throw new DirtyBitmapError('limit', `more than ${this.#limits.maxBitmaps} nodes; raise maxBitmaps`);
      }
      nodes.push(this.#node(names));
    });
    return nodes;
  }

  #node(names: NameIndex): SetNode {
    const reader = this.#reader;
    const raw: RawNode = {};
    reader.object((key) => {
      if (key === 'node') raw.node = this.#name(reader.name());
      else if (key === 'nodeHex') raw.hexName = this.#name(reader.hexName());
      else if (key === 'size') raw.size = reader.uint();
      else if (key === 'bitmaps') raw.bitmaps = this.#rawBitmaps();
      else this.#unknown(key);
    });
    const node = raw.hexName ?? raw.node ?? this.#missing('node');
    this.#once(names, node, { below: 'node' }, 'put its bitmaps into one node');
    const bitmapNames = new NameIndex();
    const bitmaps = (raw.bitmaps ?? this.#missing('bitmaps')).map((bitmap, index) => {
      const place = `bitmaps[${index}]`;
      const made = this.#bitmap(bitmap, raw.size, place);
      this.#once(bitmapNames, made.name, { below: `${place}.name`, offset: bitmap.at }, 'rename one of them');
      return made;
    });
    return { node, size: raw.size, bitmaps };
  }

  #rawBitmaps(): RawBitmap[] {
    const bitmaps: RawBitmap[] = [];
    this.#reader.array(() => {
      this.#bitmapsLeft--;
      if (this.#bitmapsLeft < 0) {
        throw new DirtyBitmapError('limit', `more than ${this.#limits.maxBitmaps} bitmaps; raise maxBitmaps`);
      }
      bitmaps.push(this.#rawBitmap());
    });
    return bitmaps;
  }

  #rawBitmap(): RawBitmap {
    const reader = this.#reader;
    const raw: RawBitmap = {};
    reader.object((key) => {
      if (key === 'name') raw.name = this.#name(reader.name());
      else if (key === 'nameHex') raw.hexName = this.#name(reader.hexName());
      else if (key === 'granularity') raw.granularity = this.#granularity();
      else if (key === 'recording') raw.recording = reader.boolean();
      else if (key === 'persistent') raw.persistent = reader.boolean();
      else if (key === 'covered') raw.covered = reader.uint();
      else if (key === 'diskEnd') raw.diskEnd = reader.boolean();
      else if (key === 'dirty') raw.extents = this.#extentList();
      else if (key === 'bits') raw.bytes = reader.bits();
      else this.#unknown(key);
      if (key === 'dirty' || key === 'bits') raw.dirtyAt = reader.offset;
    });
    raw.at = reader.offset;
    return raw;
  }

  #extentList(): ExtentList {
    const list = new ExtentList(this.#extents);
    this.#reader.extents(list);
    return list;
  }

  #bitmap(raw: RawBitmap, size: number | undefined, place: string): SetBitmap {
    const reader = this.#reader;
    const { granularity, covered, extents, bytes, at, dirtyAt } = raw;
    const need = <T>(value: T | undefined, field: string): T =>
      value ?? this.#missing(field, { below: place, offset: at });
    const refuse = (below: string, expected: string, found: string, advice: string): never =>
      reader.fail(expected, advice, { below: `${place}.${below}`, found, offset: below === 'covered' ? at : dirtyAt });
    const bits = new Bitmap(need(granularity, 'granularity'), { size, memory: this.#memory });
    if (covered !== undefined && size !== undefined && covered > size) {
      const advice = 'leave it out where all of the disk is known';
      refuse('covered', `at most the size of the disk, ${size}`, `${covered}`, advice);
    }
    const end = knownEnd({ size }, { coveredBytes: covered });
    if (extents !== undefined && bytes !== undefined) {
      refuse('bits', 'either `dirty` or `bits`', 'both', 'leave one of them out');
    }
    if (bytes !== undefined) fillBits(bits, bytes, end, refuse);
    else fillExtents(bits, need(extents, 'dirty'), end, refuse);
    return {
      name: raw.hexName ?? need(raw.name, 'name'),
      recording: need(raw.recording, 'recording'),
      persistent: need(raw.persistent, 'persistent'),
      ...(covered !== undefined && { coveredBytes: covered, ...(raw.diskEnd === true && { diskEnd: true }) }),
      bits,
    };
  }

  #name(name: Name): Name {
    if (name.bytes.length <= MAX_NAME_BYTES) return name;
    this.#reader.fail(`a name of at most ${MAX_NAME_BYTES} bytes`, 'shorten it', {
      found: `${name.bytes.length} bytes`,
    });
  }

  #granularity(): number {
    const value = this.#reader.uint();
    if (isGranularity(value)) return value;
    this.#reader.fail(`a power of two from ${MIN_GRANULARITY} to ${MAX_GRANULARITY} bytes`, 'QEMU has no others');
  }

  #once(names: NameIndex, name: Name, place: Place, advice: string): void {
    if (names.add(name)) return;
    this.#reader.fail('each name once', advice, { ...place, found: `${quoted(name.text)} again` });
  }

  #unknown(key: string): never {
    this.#reader.skip();
    this.#reader.fail(KNOWN, UNKNOWN_ADVICE, { found: quoted(key) });
  }

  #missing(field: string, place: Place = {}): never {
    this.#reader.fail(`the field ${field}`, 'add it', { found: 'none', ...place });
  }
}
