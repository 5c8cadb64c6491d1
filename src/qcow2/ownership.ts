import { DirtyBitmapError } from '../errors.js';
import type { Limits } from '../limits.js';
import type { Code } from '../rules.js';
import type { BitmapsExtension } from './bitmaps-extension.js';
import { type Claim, Claims, DIRECTORY, type Owner } from './claims.js';
import { bitmapPath, type DirectoryEntry } from './directory.js';
import { INCOMPATIBLE } from './header.js';
import type { Steps } from './random-access.js';
import { refcountSteps } from './refcounts.js';
import { referenceSteps, type ScannedImage } from './references.js';
import { ALL_ONES, BITMAP_BROKEN, type BitmapTable, WORD } from './table.js';

/** The bitmaps of an image, and which of their tables could be read. */
export interface StoredBitmaps {
  readonly extension: BitmapsExtension;
  readonly entries: readonly DirectoryEntry[];
  /** By number of the entry. */
  readonly tables: ReadonlyMap<number, BitmapTable>;
}

/**
 * Proves that the clusters of bitmaps are theirs alone: claimed once, with refcount 1, and referred to by nothing else.
 * Refcount 1 alone proves nothing. Source: spec/qcow2-bitmaps.md sections 6 and 9.
 *
 * With the dirty bit, refcounts mean nothing and are not looked at.
 * @param scan whether to read all tables of the image for other references.
 * @returns for each bitmap whose clusters are in doubt, the first reason.
 * @throws DirtyBitmapError `qcow2-cluster-shared`, `qcow2-refcount-not-one`, `qcow2-cluster-referenced` where it is the
 * directory that is in doubt; what refcountSteps and referenceSteps throw.
 */
export function* ownershipSteps(
  image: ScannedImage,
  stored: StoredBitmaps,
  limits: Limits,
  scan: boolean,
): Steps<Map<Owner, DirtyBitmapError>> {
  const { clusterSize } = image.header;
  const doubts = new Doubts(stored.entries);
  const claims = claimAll(stored, clusterSize);
  claims.seal((first, second, cluster) => {
    const offset = cluster * clusterSize;
    const both = `expected one use, found that ${doubts.name(first)} and ${doubts.name(second)} both claim it`;
    for (const owner of [first, second])
      doubts.add(owner, () => fault('qcow2-cluster-shared', `the cluster at ${offset}: ${both}`, offset));
  });
  if ((image.header.incompatible & INCOMPATIBLE.DIRTY) === 0n) {
    const file = { clusterSize, fileSize: image.fileSize };
    yield* refcountSteps(image.header, file, doubts.trusted(claims.all()), ({ owner }, error) =>
      doubts.add(owner, () => error),
    );
  }
  if (!scan) return doubts.first;
  yield* referenceSteps(image, limits, (start, end, kind, where) => {
    const endCluster = Math.ceil(end / clusterSize);
    for (let at = Math.floor(start / clusterSize); ; ) {
      const found = claims.find(at, endCluster);
      if (found === undefined) return;
      const cluster = `the cluster at ${found.first * clusterSize}`;
      const message = `${cluster}: expected no other use, found that ${kind} uses it too`;
      doubts.add(found.owner, () => fault('qcow2-cluster-referenced', message, where));
      at = found.end;
    }
  });
  return doubts.first;
}

function claimAll({ extension, entries, tables }: StoredBitmaps, clusterSize: number): Claims {
  const claims = new Claims();
  const claim = (offset: number, length: number, owner: Owner): void =>
    claims.add(offset / clusterSize, Math.ceil((offset + length) / clusterSize), owner);
  claim(extension.directoryOffset, extension.directorySize, DIRECTORY);
  for (const [index, { tableOffset, tableEntries }] of entries.entries()) {
    const table = tables.get(index);
    if (table === undefined) continue;
    claim(tableOffset, tableEntries * WORD, index);
    for (const word of table.words) if (word > ALL_ONES) claim(word, clusterSize, index);
  }
  return claims;
}

/** The first reason against each bitmap; one against the directory ends everything. */
class Doubts {
  readonly first: Map<Owner, DirtyBitmapError> = new Map();
  readonly #entries: readonly DirectoryEntry[];

  constructor(entries: readonly DirectoryEntry[]) {
    this.#entries = entries;
  }

  name(owner: Owner): string {
    const entry = this.#entries[owner];
    return entry === undefined ? 'the bitmap directory' : bitmapPath(entry);
  }

  /** The claims of owners that nothing is said against yet. */
  *trusted(claims: Iterable<Claim>): Generator<Claim, void, void> {
    for (const claim of claims) if (!this.first.has(claim.owner)) yield claim;
  }

  /** Adds a reason, which is made only where it is the first. */
  add(owner: Owner, reason: () => DirtyBitmapError): void {
    if (this.first.has(owner)) return;
    const { code, message, offset } = reason();
    const path = this.name(owner);
    const advice = owner === DIRECTORY ? 'the list of bitmaps cannot be trusted' : BITMAP_BROKEN;
    const details = offset === undefined ? { path } : { path, offset };
    const error = new DirtyBitmapError(code, `${path}: ${message}; ${advice}`, details);
    if (owner === DIRECTORY) throw error;
    this.first.set(owner, error);
  }
}

function fault(code: Code, message: string, offset: number): DirtyBitmapError {
  return new DirtyBitmapError(code, message, { offset });
}
