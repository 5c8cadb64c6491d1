import { readU32 } from '../bytes/u64.js';
import { DirtyBitmapError } from '../errors.js';
import type { Qcow2Header } from './header.js';

/** Types of header extensions. Source: spec/qcow2-bitmaps.md section 3. */
export const EXTENSION = {
  BACKING_FORMAT: 0xe2792aca,
  BITMAPS: 0x23852875,
  CRYPTO_HEADER: 0x0537be77,
  DATA_FILE: 0x44415441,
} as const;
const END = 0;
/** Bytes of type and length, before the data. */
export const EXTENSION_HEAD = 8;

/** A header extension. */
export interface Extension {
  readonly type: number;
  /** Where it lies in the file, in bytes: the place of its type. */
  readonly offset: number;
  /** Bytes of its data, without the padding to 8. */
  readonly length: number;
}

/** What lies between the header and the backing file's name, or the end of the first cluster. */
export interface ExtensionArea {
  readonly list: readonly Extension[];
  /** Offset of the 8 bytes that end the list; undefined where it ends with the area. */
  readonly endMarker: number | undefined;
  /** First byte after the area: what lies between the end marker and here is free. */
  readonly areaEnd: number;
}

/**
 * Lists the header extensions; unknown ones too.
 * @param cluster the first cluster of the file.
 * @throws DirtyBitmapError `qcow2-extension-overrun`, `qcow2-extension-twice`.
 */
export function parseExtensions(cluster: Uint8Array, header: Qcow2Header): ExtensionArea {
  const areaEnd = header.backingOffset === 0 ? header.clusterSize : header.backingOffset;
  const list: Extension[] = [];
  for (let offset = header.headerLength; offset + EXTENSION_HEAD <= areaEnd; ) {
    const type = readU32(cluster, offset);
    if (type === END) return { list, endMarker: offset, areaEnd };
    const length = readU32(cluster, offset + 4);
    const room = areaEnd - offset - EXTENSION_HEAD;
    if (length > room) {
      const found = `expected at most ${room} bytes up to ${areaEnd}, found a length of ${length}`;
      const message = `header extension 0x${hex(type)}: ${found}; the header is damaged`;
      throw new DirtyBitmapError('qcow2-extension-overrun', message, { offset: offset + 4 });
    }
    if (type === EXTENSION.BITMAPS && list.some((one) => one.type === type)) {
      const message = 'expected one bitmaps extension, found a second one; the header is damaged, or was badly edited';
      throw new DirtyBitmapError('qcow2-extension-twice', message, { offset });
    }
    list.push({ type, offset, length });
    offset += EXTENSION_HEAD + Math.ceil(length / 8) * 8;
  }
  return { list, endMarker: undefined, areaEnd };
}

/** The data of the first extension of a type, as a view of the cluster; undefined where there is none. */
export function extensionData(cluster: Uint8Array, area: ExtensionArea, type: number): Uint8Array | undefined {
  const found = area.list.find((one) => one.type === type);
  if (found === undefined) return undefined;
  const start = found.offset + EXTENSION_HEAD;
  return cluster.subarray(start, start + found.length);
}

function hex(type: number): string {
  return type.toString(16).padStart(8, '0');
}
