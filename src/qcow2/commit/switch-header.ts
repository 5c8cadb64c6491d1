import { ByteWriter } from '../../bytes/byte-writer.js';
import { DirtyBitmapError } from '../../errors.js';
import { EXTENSION, EXTENSION_HEAD, type Extension, type ExtensionArea } from '../extensions.js';
import { AUTOCLEAR, type Qcow2Header } from '../header.js';
import { type Phase, type PlanStep, sync, write } from './plan.js';

/** Where the new directory is; undefined where no bitmap is left. */
export interface DirectoryPlace {
  readonly bitmapCount: number;
  /** Bytes. */
  readonly size: number;
  readonly offset: number;
}

/** The header of an image, and its first cluster. */
export interface HeaderToSwitch {
  readonly header: Qcow2Header;
  readonly extensions: ExtensionArea;
  readonly cluster: Uint8Array;
}

const PAYLOAD = 24;
const SECTOR = 512;
const AT = { BACKING_OFFSET: 8, AUTOCLEAR: 88 };
/** A type of extension that means nothing to anybody, and that everybody leaves alone: "void". */
const UNKNOWN_TYPE = 0x766f6964;
const KNOWN_AUTOCLEAR = AUTOCLEAR.BITMAPS | AUTOCLEAR.RAW_DATA_FILE;

/**
 * Takes away autoclear bits that nobody here knows, as everybody must before the first write; no step where there are
 * none. Source: qcow2-bitmaps.md section 9, P1.
 */
export function clearUnknownAutoclear({ autoclear }: Qcow2Header): PlanStep[] {
  if ((autoclear & ~KNOWN_AUTOCLEAR) === 0n) return [];
  return [write('prepare', AT.AUTOCLEAR, 'autoclear bits', wordBytes(autoclear & KNOWN_AUTOCLEAR)), sync('prepare')];
}

/**
 * Says that the bitmaps are not to be believed: all that can be done for an image whose list of bitmaps is broken.
 * @param extensions of the header, where they could be read: QEMU opens no image whose bitmaps extension has another
 * length, whatever the autoclear bit says, so that one is taken away too.
 * @throws DirtyBitmapError `qcow2-not-writable` for version 2, which has no such bit.
 */
export function disableBitmaps(header: Qcow2Header, extensions?: ExtensionArea): PlanStep[] {
  if (header.version === 2) {
    const message =
      'the image cannot be written: one of version 2 has no autoclear bits, and other things in their place';
    throw new DirtyBitmapError('qcow2-not-writable', message, { offset: 4 });
  }
  const extension = extensions?.list.find(({ type, length }) => type === EXTENSION.BITMAPS && length !== PAYLOAD);
  return [
    ...autoclear(header, false),
    ...(extensions === undefined || extension === undefined ? [] : takeAway(extension, extensions)),
  ];
}

/**
 * Rewrites a directory of the same length in its place, with the autoclear bit off meanwhile. Source: section 8.
 */
export function markDirectory(header: Qcow2Header, offset: number, bytes: Uint8Array): PlanStep[] {
  const directory = write('switch', offset, 'directory of the bitmaps, some marked in use', bytes);
  return [...autoclear(header, false), directory, sync('switch'), ...autoclear(header, true)];
}

/**
 * Makes a new list of bitmaps the image's: with one write of a sector where that is possible, and else with the autoclear
 * bit off meanwhile. Source: qcow2-bitmaps.md section 9, P4.
 * @param paranoid never relies on a write of 24 bytes in one sector being all or nothing.
 * @throws DirtyBitmapError `qcow2-no-room` where the first cluster is full; `qcow2-autoclear-alone`.
 */
export function switchHeader(image: HeaderToSwitch, place: DirectoryPlace | undefined, paranoid: boolean): PlanStep[] {
  const extension = image.extensions.list.find(({ type }) => type === EXTENSION.BITMAPS);
  if (extension === undefined) return place === undefined ? [] : addExtension(image, place);
  if (place === undefined) return dropExtension(image, extension);
  if (extension.length !== PAYLOAD) {
    const message = `the bitmaps extension has ${extension.length} bytes, expected ${PAYLOAD}, and QEMU does not open the image; drop all bitmaps first`;
    throw new DirtyBitmapError('qcow2-extension-length', message, { offset: extension.offset + 4 });
  }
  const { header } = image;
  const at = extension.offset + EXTENSION_HEAD;
  const pointer = [write('switch', at, 'where the bitmaps are', payload(place)), sync('switch')];
  const on = (header.autoclear & AUTOCLEAR.BITMAPS) !== 0n;
  if (on && !paranoid && (at % SECTOR) + PAYLOAD <= SECTOR) return pointer;
  return [...(on ? autoclear(header, false) : []), ...pointer, ...autoclear(header, true)];
}

function dropExtension({ header, extensions }: HeaderToSwitch, extension: Extension): PlanStep[] {
  const steps = (header.autoclear & AUTOCLEAR.BITMAPS) === 0n ? [] : autoclear(header, false);
  // What follows it would be cut off; QEMU drops it at the next opening.
  if (extensions.list.at(-1) !== extension && extension.length === PAYLOAD) return steps;
  return [...steps, ...takeAway(extension, extensions)];
}

/** Ends the list of extensions in the place of one; where others follow, it becomes one that nobody knows. */
function takeAway(extension: Extension, { list }: ExtensionArea): PlanStep[] {
  if (list.at(-1) === extension)
    return [write('switch', extension.offset, 'end of the header extensions', zeroes(8)), sync('switch')];
  const type = new ByteWriter(4);
  type.u32(UNKNOWN_TYPE);
  return [write('switch', extension.offset, 'another type of the bitmaps extension', type.finish()), sync('switch')];
}

/** An extension behind the others; the name of the backing file makes room where it has to. */
function addExtension({ header, extensions, cluster }: HeaderToSwitch, place: DirectoryPlace): PlanStep[] {
  const { endMarker } = extensions;
  if (endMarker === undefined) throw full('the list of header extensions has no end marker');
  const end = endMarker + EXTENSION_HEAD + PAYLOAD + EXTENSION_HEAD;
  if (end > cluster.length) throw full(`${end - cluster.length} bytes are missing`);
  const data = new Uint8Array(PAYLOAD + EXTENSION_HEAD);
  data.set(payload(place));
  const head = new ByteWriter(EXTENSION_HEAD);
  head.u32(EXTENSION.BITMAPS);
  head.u32(PAYLOAD);
  return [
    ...moveBackingName(header, cluster, end),
    write('switch', endMarker + EXTENSION_HEAD, 'where the bitmaps are, and an end marker', data),
    sync('switch'),
    write('switch', endMarker, 'head of the bitmaps extension', head.finish()),
    sync('switch'),
    ...autoclear(header, true),
  ];
}

function moveBackingName({ backingOffset, backingLength }: Qcow2Header, cluster: Uint8Array, end: number): PlanStep[] {
  if (backingOffset === 0 || backingOffset >= end) return [];
  const to = Math.ceil(Math.max(end, backingOffset + backingLength) / 8) * 8;
  if (to + backingLength > cluster.length) throw full('the name of the backing file leaves no room');
  const name = cluster.slice(backingOffset, backingOffset + backingLength);
  const offset = new ByteWriter(8);
  offset.u64(to);
  return [
    write('switch', to, 'name of the backing file, moved', name),
    sync('switch'),
    write('switch', AT.BACKING_OFFSET, 'where the name of the backing file is', offset.finish()),
    sync('switch'),
  ];
}

function autoclear(header: Qcow2Header, on: boolean): PlanStep[] {
  const kept = header.autoclear & AUTOCLEAR.RAW_DATA_FILE;
  const word = wordBytes(on ? kept | AUTOCLEAR.BITMAPS : kept);
  const what = on ? 'autoclear bit of the bitmaps on' : 'autoclear bit of the bitmaps off';
  const phase: Phase = 'switch';
  return [write(phase, AT.AUTOCLEAR, what, word), sync(phase)];
}

function payload({ bitmapCount, size, offset }: DirectoryPlace): Uint8Array {
  const out = new ByteWriter(PAYLOAD);
  out.u32(bitmapCount);
  out.u32(0);
  out.u64(size);
  out.u64(offset);
  return out.finish();
}

/** A feature word: small here, because unknown bits are cleared. */
function wordBytes(word: bigint): Uint8Array {
  const out = new ByteWriter(8);
  out.u64(Number(word));
  return out.finish();
}

function zeroes(count: number): Uint8Array {
  return new Uint8Array(count);
}

function full(why: string): DirtyBitmapError {
  const message = `the first cluster of the image has no room for the bitmaps extension: ${why}; use an image of larger clusters`;
  return new DirtyBitmapError('qcow2-no-room', message);
}
