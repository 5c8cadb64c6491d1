import { decode, encode } from '@msgpack/msgpack';
import { MAX_DISK_BYTES } from '../bitmap/granularity.js';
import { DirtyBitmapError } from '../errors.js';
import { type Limits, resolveLimits } from '../limits.js';
import { type BitmapSet, knownEnd, type SetBitmap, type SetNode } from '../set/bitmap-set.js';
import { checkSet } from '../set/check-set.js';
import { checkLength } from '../set/document-bytes.js';
import { tooManyExtents } from '../set/extent-list.js';
import { readSet, SET_VERSION } from '../set/read-set.js';
import { checkHeads } from './check-heads.js';
import { TreeReader } from './tree-reader.js';

/** Maps, arrays, texts and binaries of a bitmap and of a node, keys included, and of the document around them. */
const OBJECTS_PER_BITMAP = 10;
const OBJECTS_PER_NODE = 6;
/** Numbers of a bitmap and of a node beside extents. */
const NUMBERS_PER_BITMAP = 6;
/** Bytes of a bitmap or a node beside names, extents and bits, at most. */
const FIELD_BYTES = 100;
/**
 * Levels of a document: itself, nodes, node, bitmaps, bitmap, dirty, and what holds it. One more, so that who writes
 * extents as pairs is told that they are flat.
 */
const DEPTH = 8;
/** Bytes of a field's name, and fields of a map, at most. */
const MAX_KEY_BYTES = 64;
const MAX_FIELDS = 64;

/**
 * A bitmap set in MessagePack: the fields of the JSON form in the same order (`dirtybitmap` first, by which the format is
 * known), with names in binary. A bitmap has either `dirty`, one flat array `[offset, length, offset, length, ...]` in
 * bytes, or `bits`, its bytes in binary (granule i is byte i >> 3, mask 1 << (i & 7)) up to the last that is not zero:
 * whichever is shorter. The same set always gives the same bytes.
 * @throws DirtyBitmapError `set-invalid` for a set that no document can hold (a name twice in a node, bits behind the
 * end); `limit` where the document would be over the limits.
 */
export function encodeSetMsgpack(set: BitmapSet, limits: Partial<Limits> = {}): Uint8Array {
  const resolved = resolveLimits(limits);
  checkSet(set, resolved);
  const forms = set.nodes.map((node) => node.bitmaps.map((bitmap) => formOf(bitmap, knownEnd(node, bitmap))));
  const bytes = lengthOf(set, forms.flat());
  // Known before anything is allocated; and the encoder gets as much as it needs in one piece.
  checkLength(bytes, resolved);
  let extents = resolved.maxExtents;
  const document = {
    dirtybitmap: SET_VERSION,
    nodes: set.nodes.map((node, index) => ({
      node: node.node.bytes,
      size: node.size,
      bitmaps: node.bitmaps.map((bitmap, at) => {
        const form = forms[index]?.[at] as Form;
        if (form.kind === 'dirty') extents -= form.extents;
        if (extents < 0) throw tooManyExtents(resolved.maxExtents);
        return bitmapFields(node, bitmap, form);
      }),
    })),
  };
  return encode(document, { ignoreUndefined: true, initialBufferSize: bytes });
}

/**
 * The bitmap set in a MessagePack document, as {@link encodeSetMsgpack} writes it; other writers may order fields as
 * they like, use texts for names, and choose `dirty` or `bits` freely. Nothing of `bytes` is kept.
 * @throws DirtyBitmapError `set-invalid`, with the place in `path`, or `offset` where it is not MessagePack; `limit` for
 * a document, a number of nodes, bitmaps or extents, or bits over the limits.
 */
export function decodeSetMsgpack(bytes: Uint8Array, limits: Partial<Limits> = {}): BitmapSet {
  const resolved = resolveLimits(limits);
  const { maxBitmaps, maxExtents, maxDocumentBytes } = resolved;
  checkLength(bytes.length, resolved);
  checkHeads(bytes, {
    maxNumbers: 2 * maxExtents + NUMBERS_PER_BITMAP * (2 * maxBitmaps + 1),
    maxObjects: OBJECTS_PER_BITMAP * maxBitmaps + OBJECTS_PER_NODE * (maxBitmaps + 1),
    maxDepth: DEPTH,
  });
  let document: unknown;
  try {
    document = decode(bytes, {
      // Texts stay bytes: a name that is not UTF-8 is as good as any.
      rawStrings: true,
      maxStrLength: MAX_KEY_BYTES,
      maxBinLength: maxDocumentBytes,
      maxArrayLength: 2 * Math.max(maxExtents, maxBitmaps),
      maxMapLength: MAX_FIELDS,
      maxExtLength: 0,
    });
  } catch (cause) {
    const message =
      'the document: expected a map of a bitmap set, found other MessagePack, or what is none; is it damaged?';
    throw new DirtyBitmapError('set-invalid', message, { cause, path: '' });
  }
  return readSet(new TreeReader(document), resolved);
}

/** How the bits of a bitmap are written, and in how many bytes. */
type Form =
  | { readonly kind: 'dirty'; readonly bytes: number; readonly extents: number; readonly end: number }
  | { readonly kind: 'bits'; readonly bytes: number; readonly length: number };

/** Bytes of the document, or some more. */
function lengthOf(set: BitmapSet, forms: readonly Form[]): number {
  let bytes = FIELD_BYTES;
  for (const node of set.nodes) {
    bytes += FIELD_BYTES + node.node.bytes.length;
    for (const { name } of node.bitmaps) bytes += FIELD_BYTES + name.bytes.length;
  }
  return forms.reduce((sum, form) => sum + form.bytes, bytes);
}

function formOf({ bits }: SetBitmap, knownEnd: number | undefined): Form {
  const end = knownEnd ?? MAX_DISK_BYTES;
  let dirtyBytes = 0;
  let extents = 0;
  let last = 0;
  bits.forEachExtent(
    (offset, length) => {
      last = offset + length;
      dirtyBytes += uintBytes(offset) + uintBytes(Math.min(last, end) - offset);
      extents++;
    },
    { clip: false },
  );
  dirtyBytes += 'dirty'.length + 1 + headBytes(extents * 2, 16);
  const length = Math.ceil(last / bits.granularity / 8);
  const bitsBytes = 'bits'.length + 1 + headBytes(length, 0) + length;
  if (bitsBytes < dirtyBytes) return { kind: 'bits', bytes: bitsBytes, length };
  return { kind: 'dirty', bytes: dirtyBytes, extents, end };
}

function bitmapFields(node: SetNode, bitmap: SetBitmap, form: Form): object {
  const { name, recording, persistent, bits } = bitmap;
  const end = knownEnd(node, bitmap);
  return {
    name: name.bytes,
    granularity: bits.granularity,
    recording,
    persistent,
    covered: end === node.size ? undefined : end,
    diskEnd: bitmap.diskEnd === true && node.size === undefined && end !== undefined ? true : undefined,
    dirty: form.kind === 'dirty' ? flatExtents(bitmap, form.end) : undefined,
    bits: form.kind === 'bits' ? rawBytes(bitmap, form.length) : undefined,
  };
}

function flatExtents({ bits }: SetBitmap, end: number): number[] {
  const numbers: number[] = [];
  bits.forEachExtent((offset, length) => numbers.push(offset, Math.min(offset + length, end) - offset), {
    clip: false,
  });
  return numbers;
}

function rawBytes({ bits }: SetBitmap, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  bits.readBytes(0, bytes);
  return bytes;
}

/** Bytes of a whole number in MessagePack. */
function uintBytes(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x100) return 2;
  if (value < 0x10000) return 3;
  return value < 0x1_0000_0000 ? 5 : 9;
}

/** Bytes of the head of a binary or an array; below `short` the length is part of the first byte. */
function headBytes(length: number, short: number): number {
  if (length < short) return 1;
  if (short === 0 && length < 0x100) return 2;
  return length < 0x10000 ? 3 : 5;
}
