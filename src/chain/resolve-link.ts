import { type Name, quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import { parseBackingString } from './backing-string.js';
import type { BackingLocation, Slice } from './location.js';
import { joinBackingName } from './relative-name.js';

/** Where a name in an image leads. */
export interface ResolvedName {
  readonly path: string;
  readonly relPath: string | undefined;
  readonly slice: Slice | undefined;
  readonly location: BackingLocation;
  /** Why nobody opens it here; undefined where it can be opened. */
  readonly elsewhere: string | undefined;
}

/**
 * Where a name in an image leads: of a backing file, or of a data file.
 * @param overlay path of the image, as it was opened.
 * @throws DirtyBitmapError `backing-string`, also for a name that is not clean UTF-8.
 */
export function resolveName(overlay: string, name: Name): ResolvedName {
  if (!name.clean) {
    const message = `expected a name in UTF-8 without a NUL byte, found ${quoted(name.text, 256)}; write it anew with qemu-img rebase -u`;
    throw new DirtyBitmapError('backing-string', message);
  }
  const location = parseBackingString(name.text);
  const relPath = location.kind !== 'network' && location.relative === true ? name.text : undefined;
  const path = relPath === undefined ? location.path : joinBackingName(overlay, relPath);
  return { path, relPath, slice: location.slice, location, elsewhere: whyNotHere(location) };
}

function whyNotHere(location: BackingLocation): string | undefined {
  if (location.kind === 'network')
    return `it is reached through the protocol ${quoted(location.protocol)}, and nothing is fetched`;
  if (location.kind === 'dir') return 'it is a directory that QEMU shows as a FAT disk';
  const known = location.relative === true || location.path.startsWith('/');
  return known
    ? undefined
    : 'its name counts from the working directory of the QEMU that opens it, which nobody knows here';
}
