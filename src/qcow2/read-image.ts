import { DirtyBitmapError } from '../errors.js';
import { Findings } from '../findings.js';
import type { Limits } from '../limits.js';
import { type BitmapsExtension, parseBitmapsExtension } from './bitmaps-extension.js';
import { type DirectoryEntry, parseDirectory } from './directory.js';
import { EXTENSION } from './extensions.js';
import { AUTOCLEAR } from './header.js';
import type { Qcow2Image } from './image.js';
import { addHeaderFindings } from './image-findings.js';
import { headSteps, type ImageHead } from './image-head.js';
import type { Steps } from './random-access.js';
import { bitmapOf, bitmapsSteps, type ReadBitmapsOptions } from './read-bitmaps.js';
import { Watch } from './watch.js';

/** How an image is read; see `Qcow2Options`. */
export type ImageOptions = Omit<ReadBitmapsOptions, 'findings'>;

/**
 * Reads an image once.
 * @param fileSize bytes of the file; nothing beyond is asked for.
 * @throws DirtyBitmapError the rule that is broken; `qcow2-changed` where header or directory changed meanwhile, which
 * goes before everything else that was found wrong.
 */
export function* imageSteps(fileSize: number, options: ImageOptions): Steps<Qcow2Image> {
  const watch = new Watch();
  const outcome = yield* settled(readOnce(fileSize, options, watch));
  yield* watch.check();
  if ('error' in outcome) throw outcome.error;
  return outcome.value;
}

function* settled<T>(steps: Steps<T>): Steps<{ readonly value: T } | { readonly error: unknown }> {
  try {
    return { value: yield* steps };
  } catch (error) {
    return { error };
  }
}

/** Where the autoclear word is. */
const AUTOCLEAR_AT = 88;

function* readOnce(fileSize: number, options: ImageOptions, watch: Watch): Steps<Qcow2Image> {
  const head = yield* headSteps(fileSize);
  watch.add(0, head.cluster);
  const { header, extensions, backing, dataFile, cryptoHeader } = head;
  const findings = new Findings(options.limits.maxFindings);
  addHeaderFindings(header, findings);
  const image = { fileSize, header, extensions, backing, dataFile, findings };
  if ((header.autoclear & AUTOCLEAR.BITMAPS) === 0n)
    return { ...image, ...(yield* staleBitmaps(head, fileSize, options.limits, findings)) };
  const listed = yield* directorySteps(head, fileSize, options.limits, findings, watch);
  if (listed === undefined) {
    const message =
      'autoclear bit 0 is set: expected a bitmaps extension, found none; `dirtybitmap bitmap drop-all IMAGE` clears the bit; do not run ' +
      'qemu-img check -r all before: it would make the image read-only for good';
    throw new DirtyBitmapError('qcow2-extension-missing', message, { offset: AUTOCLEAR_AT });
  }
  const scanned = { header, fileSize, cryptoHeader };
  const bitmaps = yield* bitmapsSteps(scanned, listed, { ...options, findings });
  return { ...image, bitmapsExtension: listed.extension, bitmaps };
}

/** The directory as it is listed; undefined where there is no bitmaps extension. */
function* directorySteps(
  head: ImageHead,
  fileSize: number,
  limits: Limits,
  findings: Findings,
  watch: Watch,
): Steps<{ readonly extension: BitmapsExtension; readonly entries: DirectoryEntry[] } | undefined> {
  const { clusterSize } = head.header;
  const extension = parseBitmapsExtension(head.cluster, head.extensions, { clusterSize, fileSize, limits });
  if (extension === undefined) return undefined;
  const { directoryOffset: offset, directorySize: length } = extension;
  const bytes = new Uint8Array(yield { offset, length });
  watch.add(offset, bytes);
  return { extension, entries: parseDirectory(bytes, extension, clusterSize, findings) };
}

/**
 * What is left of the bitmaps where autoclear bit 0 is clear. Their names are told where they can be; their clusters may
 * have been freed and used for something else, so nothing that is wrong here is an error.
 */
function* staleBitmaps(
  head: ImageHead,
  fileSize: number,
  limits: Limits,
  findings: Findings,
): Steps<Pick<Qcow2Image, 'bitmapsExtension' | 'bitmaps'>> {
  const found = head.extensions.list.find((one) => one.type === EXTENSION.BITMAPS);
  if (found === undefined) return { bitmapsExtension: undefined, bitmaps: [] };
  const outcome = yield* settled(directorySteps(head, fileSize, limits, new Findings(0), new Watch()));
  const listed = 'value' in outcome ? outcome.value : undefined;
  const bitmaps = (listed?.entries ?? []).map((entry) =>
    bitmapOf(entry, 'stale', { table: undefined, fault: undefined, bits: undefined }),
  );
  const which = listed === undefined ? ' (their names are lost)' : '';
  const message =
    'autoclear bit 0 is clear beside a bitmaps extension: a program without support for bitmaps has written to the ' +
    `image, so all of its bitmaps are void${which}, and QEMU drops them; take a full backup`;
  findings.add('qcow2-stale', message, found.offset);
  return { bitmapsExtension: listed?.extension, bitmaps };
}
