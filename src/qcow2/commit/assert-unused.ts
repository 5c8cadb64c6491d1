import { DirtyBitmapError } from '../../errors.js';
import type { Limits } from '../../limits.js';
import { Claims } from '../claims.js';
import type { ByteRange, Steps } from '../random-access.js';
import { referenceSteps, type ScannedImage } from '../references.js';
import type { PlanStep } from './plan.js';

/** What a commit does with clusters: it writes over what is there, or puts something where nothing is. */
const OVER = 0;
const NEW = 1;

/**
 * Proves that what a commit writes over is header and refcounts and nothing else, and that nobody uses what it takes. In
 * a damaged image, a refcount block may be guest data too, or a guest's cluster lie behind the end of the file.
 * @param gone a refcount table that is given back.
 * @throws DirtyBitmapError `qcow2-cluster-referenced`; what referenceSteps throws.
 */
export function* assertUnused(
  image: ScannedImage,
  steps: readonly PlanStep[],
  gone: ByteRange | undefined,
  limits: Limits,
): Steps<void> {
  const { clusterSize } = image.header;
  const claims = new Claims();
  const claim = ({ offset, length }: ByteRange): void => {
    const owner = offset < image.fileSize ? OVER : NEW;
    claims.add(Math.floor(offset / clusterSize), Math.ceil((offset + length) / clusterSize), owner);
  };
  for (const step of steps) if (step.kind === 'write') claim(step);
  if (gone !== undefined) claim(gone);
  // Some are written more than once.
  claims.seal(() => {});
  const used = new Set<number>();
  yield* referenceSteps(image, limits, (start, end, kind, where) => {
    const endCluster = Math.ceil(end / clusterSize);
    for (let at = Math.floor(start / clusterSize); ; ) {
      const found = claims.find(at, endCluster);
      if (found === undefined) return;
      // Header and refcounts come first: their own use of themselves.
      for (let cluster = found.first; cluster < found.end; cluster++) {
        if (found.owner === NEW || used.has(cluster)) throw damaged(cluster * clusterSize, kind, found.owner, where);
        used.add(cluster);
      }
      at = found.end;
    }
  });
}

function damaged(cluster: number, kind: string, owner: number, where: number): DirtyBitmapError {
  const what = owner === NEW ? 'is free by its refcount' : 'is the header, or holds refcounts';
  const message = `the cluster at ${cluster} ${what}, and ${kind} uses it too: the image is damaged, and is not written; qemu-img check tells more`;
  return new DirtyBitmapError('qcow2-cluster-referenced', message, { offset: where });
}
