import { MAX_DISK_BYTES } from '../bitmap/granularity.js';
import { type Name, toHex } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import { type Limits, resolveLimits } from '../limits.js';
import { type BitmapSet, knownEnd, type SetBitmap, type SetNode } from './bitmap-set.js';
import { checkSet } from './check-set.js';
import { checkLength, documentBytes } from './document-bytes.js';
import { tooManyExtents } from './extent-list.js';
import { JsonReader } from './json-reader.js';
import { readSet, SET_VERSION } from './read-set.js';

/** Characters that are written at a time, about. */
const PIECE = 60_000;

/**
 * The bitmap set in a JSON document, as text or as its bytes. A node without `size` is one whose size is not known; a
 * bitmap with `covered` (bytes) is known up to there only, which with `diskEnd` is where the disk ends. A name that is not clean UTF-8 is in `nodeHex` or `nameHex`,
 * which wins over the text beside it. Limits count for all bitmaps together.
 * @throws DirtyBitmapError `set-invalid`, with the place in `path` and, where it is one value, `offset` in bytes of
 * UTF-8; `limit` for a document, a number of nodes, bitmaps or extents, or bits over the limits.
 */
export function parseSetJson(document: string | Uint8Array, limits: Partial<Limits> = {}): BitmapSet {
  const resolved = resolveLimits(limits);
  const reader = new JsonReader(documentBytes(document, resolved));
  const set = readSet(reader, resolved);
  reader.end();
  return set;
}

/**
 * The JSON document of a bitmap set, which {@link parseSetJson} reads back: one extent a line, so that it can be
 * compared line by line. The same set always gives the same text.
 * @throws DirtyBitmapError `set-invalid` for a set that no document can hold (a name twice in a node, bits behind the
 * end); `limit` where the document would be over the limits.
 */
export function formatSetJson(set: BitmapSet, limits: Partial<Limits> = {}): string {
  const pieces: string[] = [];
  writeSetJson(set, (text) => pieces.push(text), limits);
  try {
    return pieces.join('');
  } catch (cause) {
    // An engine's longest text may be shorter than what a user allows: 2^29 characters in V8.
    throw new DirtyBitmapError('limit', 'the document is longer than a text can be; use writeSetJson, or MessagePack', {
      cause,
    });
  }
}

/**
 * Writes the document of {@link formatSetJson} piece by piece, so that it need not be in memory as a whole.
 * @throws DirtyBitmapError as formatSetJson does; `limit` may come when pieces were written already.
 */
export function writeSetJson(set: BitmapSet, write: (text: string) => void, limits: Partial<Limits> = {}): void {
  const resolved = resolveLimits(limits);
  checkSet(set, resolved);
  const out = new JsonWriter(write, resolved);
  out.put(`{ "dirtybitmap": ${SET_VERSION},\n  "nodes": [`);
  set.nodes.forEach((node, index) => {
    const size = node.size === undefined ? '' : ` "size": ${node.size},`;
    out.put(`${index > 0 ? ',' : ''}\n    { ${nameFields('node', node.node)},${size} "bitmaps": [`);
    node.bitmaps.forEach((bitmap, at) => {
      if (at > 0) out.put(',');
      out.bitmap(node, bitmap);
    });
    out.put(' ] }');
  });
  out.put(' ] }\n');
  out.end();
}

/** Joins small texts to pieces and counts what is written. */
class JsonWriter {
  readonly #write: (text: string) => void;
  readonly #limits: Limits;
  #text = '';
  #length = 0;
  #extents = 0;

  constructor(write: (text: string) => void, limits: Limits) {
    this.#write = write;
    this.#limits = limits;
  }

  put(text: string): void {
    this.#text += text;
    if (this.#text.length > PIECE) this.end();
  }

  bitmap(node: SetNode, bitmap: SetBitmap): void {
    const { name, recording, persistent, coveredBytes, bits } = bitmap;
    const { granularity } = bits;
    const end = knownEnd(node, bitmap);
    const ends = bitmap.diskEnd === true && node.size === undefined ? ' "diskEnd": true,' : '';
    const covered = coveredBytes === undefined || end === node.size ? '' : ` "covered": ${end},${ends}`;
    this.put(`\n      { ${nameFields('name', name)}, "granularity": ${granularity}, `);
    this.put(`"recording": ${recording}, "persistent": ${persistent},${covered} "dirty": [`);
    let before = '\n';
    const last = end ?? MAX_DISK_BYTES;
    bits.forEachExtent(
      (offset, length) => {
        if (++this.#extents > this.#limits.maxExtents) throw tooManyExtents(this.#limits.maxExtents);
        this.put(`${before}        [${offset}, ${Math.min(offset + length, last) - offset}]`);
        before = ',\n';
      },
      { clip: false },
    );
    this.put(' ] }');
  }

  end(): void {
    this.#length += this.#text.length;
    checkLength(this.#length, this.#limits);
    this.#write(this.#text);
    this.#text = '';
  }
}

function nameFields(key: 'node' | 'name', name: Name): string {
  const text = `"${key}": ${JSON.stringify(name.text)}`;
  return name.clean ? text : `${text}, "${key}Hex": "${toHex(name.bytes)}"`;
}
