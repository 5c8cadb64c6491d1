import { type Name, nameFromBytes } from '../bytes/text.js';
import { readU64 } from '../bytes/u64.js';
import { DirtyBitmapError } from '../errors.js';
import { EXTENSION, type ExtensionArea, extensionData, parseExtensions } from './extensions.js';
import { AUTOCLEAR, HEADER_READ, INCOMPATIBLE, parseHeader, type Qcow2Header } from './header.js';
import type { BackingFile, DataFile } from './image.js';
import type { ByteRange, Steps } from './random-access.js';
import { changedWhileRead } from './watch.js';

/** What the first cluster of an image says. */
export interface ImageHead {
  /** The cluster, as a copy. */
  readonly cluster: Uint8Array;
  readonly header: Qcow2Header;
  readonly extensions: ExtensionArea;
  readonly backing: BackingFile | undefined;
  readonly dataFile: DataFile | undefined;
  /** Where the encryption header lies. */
  readonly cryptoHeader: ByteRange | undefined;
}

/**
 * Reads the first cluster of an image.
 * @throws DirtyBitmapError what parseHeader and parseExtensions throw, `qcow2-crypto-header`, `qcow2-changed`;
 * `truncated` where the file is shorter than the cluster.
 */
export function* headSteps(fileSize: number): Steps<ImageHead> {
  const { clusterSize } = parseHeader(yield { offset: 0, length: Math.min(HEADER_READ, fileSize) });
  const cluster = new Uint8Array(yield { offset: 0, length: clusterSize });
  const header = parseHeader(cluster);
  if (header.clusterSize !== clusterSize) throw changedWhileRead(0);
  const extensions = parseExtensions(cluster, header);
  const name = (type: number): Name | undefined => {
    const data = extensionData(cluster, extensions, type);
    return data === undefined ? undefined : nameFromBytes(data);
  };
  const hasDataFile = (header.incompatible & INCOMPATIBLE.DATA_FILE) !== 0n;
  const raw = (header.autoclear & AUTOCLEAR.RAW_DATA_FILE) !== 0n;
  return {
    ...{ cluster, header, extensions },
    backing: backingFile(cluster, header, name(EXTENSION.BACKING_FORMAT)),
    dataFile: hasDataFile ? { name: name(EXTENSION.DATA_FILE), raw } : undefined,
    cryptoHeader: cryptoHeader(cluster, extensions),
  };
}

function backingFile(cluster: Uint8Array, header: Qcow2Header, format: Name | undefined): BackingFile | undefined {
  const { backingOffset, backingLength } = header;
  if (backingLength === 0) return undefined;
  return { name: nameFromBytes(cluster.subarray(backingOffset, backingOffset + backingLength)), format };
}

/** Bytes of the encryption header's extension: an offset and a length. */
const CRYPTO_HEADER = 16;

function cryptoHeader(cluster: Uint8Array, area: ExtensionArea): ByteRange | undefined {
  const data = extensionData(cluster, area, EXTENSION.CRYPTO_HEADER);
  if (data === undefined) return undefined;
  const at = data.byteOffset - cluster.byteOffset;
  if (data.length !== CRYPTO_HEADER) {
    const message = `crypto_header: expected ${CRYPTO_HEADER} bytes, found ${data.length}; the header is damaged`;
    throw new DirtyBitmapError('qcow2-crypto-header', message, { offset: at - 4 });
  }
  return {
    offset: readU64(data, 0, at, 'crypto_header.offset'),
    length: readU64(data, 8, at + 8, 'crypto_header.length'),
  };
}
