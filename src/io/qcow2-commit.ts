import { type FileHandle, open, stat } from 'node:fs/promises';
import { quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import { type CommitPlan, type PlanStep, sync, write } from '../qcow2/commit/plan.js';
import { type CommitOptions, commitSteps } from '../qcow2/commit/plan-commit.js';
import { assertCommitted } from '../qcow2/commit/verify.js';
import type { WantedBitmap } from '../qcow2/commit/wanted.js';
import { HEADER_READ, INCOMPATIBLE, parseHeader, type Qcow2Header } from '../qcow2/header.js';
import type { Qcow2Image } from '../qcow2/image.js';
import { type RandomAccess, runSteps } from '../qcow2/random-access.js';
import { readQcow2 } from '../qcow2/read-qcow2.js';
import { hasWriter, type ImageLock, type LockKind, lockImage } from './image-lock.js';
import { accessOpen } from './random-access-file.js';
import { accessError } from './source.js';
import { type InPlaceWrite, inPlaceWrites, readUndo, sealUndo, writeUndo } from './undo-file.js';

/** How the bitmaps of an image are changed. */
export interface CommitImageOptions extends CommitOptions {
  /** Without a lock: whoever says so knows that nobody else has the image open. Default false. */
  readonly unlocked?: boolean | undefined;
  /** Which ways of locking may be tried; default as `lockImage`. */
  readonly lockWays?: readonly Exclude<LockKind, 'none'>[] | undefined;
  /** Plan only. Default false. */
  readonly dryRun?: boolean | undefined;
  /** A file that is written before the image is, with every byte of it that is overwritten; it must not be there yet. */
  readonly undo?: string | undefined;
  /** Called after each step that is done, with how many there are. */
  readonly onStep?: ((done: number, all: number) => void) | undefined;
}

/** What was done. */
export interface Committed {
  readonly plan: CommitPlan;
  /** The image as it is now; as it was, where it was only planned. */
  readonly image: Qcow2Image;
}

/**
 * Gives an image another list of bitmaps, under a lock that keeps every QEMU out, in an order in which no crash can hurt;
 * then reads it again and compares.
 * @param change makes the list of what the image has now.
 * @throws DirtyBitmapError `image-locked`, `image-lock-missing`; as `readQcow2` and `commitSteps`, before anything is
 * written; `qcow2-write-failed` where the disk is full or broken, with what that left behind; `qcow2-verify-failed`;
 * `output-exists`, `file-access` for the undo file.
 */
export async function commitImage(
  path: string,
  change: (image: Qcow2Image) => readonly WantedBitmap[],
  options: CommitImageOptions = {},
): Promise<Committed> {
  return await withImage(path, options, async (file, lock, handle) => {
    const limits = options.limits;
    const writerPresent = options.dryRun === true ? await hasWriter(path) : false;
    const image = await readQcow2(file, { limits, writerPresent, scanReferences: options.proveOwnership });
    if (options.undo !== undefined) assertUndoable(path, image.header);
    const list = change(image);
    const plan = await runSteps(file, commitSteps(image, list, options));
    if (options.dryRun === true) return { plan, image };
    await applyPlan(plan.steps, { path, handle, file, lock }, options);
    const now = await readQcow2(file, { limits, writerPresent: false, scanReferences: options.proveOwnership });
    assertCommitted(now, list);
    return { plan, image: now };
  });
}

/**
 * Puts back every byte that a change has overwritten, the last one first. What the change added to the file stays behind,
 * and nothing refers to it. Bitmaps that come back know nothing of what was written to the disk in between, so nothing may
 * have been.
 * @returns how many ranges were put back.
 * @throws DirtyBitmapError `undo-invalid` where the change did not end, or anything has written the image since; as
 * {@link commitImage}.
 */
export async function undoCommit(
  path: string,
  undo: string,
  options: Pick<CommitImageOptions, 'unlocked' | 'lockWays'> = {},
): Promise<number> {
  return await withImage(path, options, async (file, lock, handle) => {
    assertUndoable(path, parseHeader(new Uint8Array(await file.read(0, HEADER_READ))));
    const ranges = await readUndo(undo, file, await handle.stat({ bigint: true }));
    const steps = ranges.flatMap(({ offset, bytes }) => [
      write('switch', offset, 'what was there before', bytes),
      sync('switch'),
    ]);
    await applyPlan(steps, { path, handle, file, lock }, {});
    return ranges.length;
  });
}

/** What the guest writes to an external data file leaves no trace in the image, so that nothing tells whether to undo. */
function assertUndoable(path: string, { incompatible }: Pick<Qcow2Header, 'incompatible'>): void {
  if ((incompatible & INCOMPATIBLE.DATA_FILE) === 0n) return;
  const why = "its guest's data are in another file: nothing would tell whether they were written since";
  throw new DirtyBitmapError(
    'unsupported',
    `${quoted(path, 256)} cannot be changed with undo: ${why}; do it without --undo`,
  );
}

/** Opens an image for writing, locks it, and lets go of it when the work is done. */
export async function withImage<T>(
  path: string,
  { unlocked, lockWays, dryRun }: Pick<CommitImageOptions, 'unlocked' | 'lockWays' | 'dryRun'>,
  work: (file: RandomAccess, lock: ImageLock, handle: FileHandle) => Promise<T>,
): Promise<T> {
  const handle = await openImage(path, dryRun === true ? 'r' : 'r+');
  let lock: ImageLock | undefined;
  try {
    // A plan is no write: it may be made of an image that is in use, and says what would be done then.
    const ways = unlocked === true ? (['none'] as const) : lockWays;
    lock = dryRun === true ? NO_LOCK : await lockImage(path, handle, { ways });
    return await work(accessOpen(path, handle), lock, handle);
  } finally {
    await lock?.release();
    await handle.close();
  }
}

const NO_LOCK: ImageLock = { kind: 'none', assertHeld: async () => {}, release: async () => {} };

async function openImage(path: string, flags: string): Promise<FileHandle> {
  try {
    // Before it is opened: that of a pipe waits for its other end.
    if (!(await stat(path)).isFile()) throw new Error('it is no regular file; only those are written');
    return await open(path, flags);
  } catch (error) {
    throw accessError(path, error);
  }
}

/** What a plan is done to. */
export interface Target {
  readonly path: string;
  readonly handle: FileHandle;
  readonly file: RandomAccess;
  readonly lock: ImageLock;
}

async function writeAt(handle: FileHandle, offset: number, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    at += (await handle.write(bytes, at, bytes.length - at, offset + at)).bytesWritten;
  }
}

/**
 * Does the steps of a plan, in order. After a failure nothing more is done, but to take back what nobody sees yet.
 * @throws DirtyBitmapError `image-locked` where the lock is lost, `qcow2-write-failed`: both with what that left behind.
 */
export async function applyPlan(
  steps: readonly PlanStep[],
  target: Target,
  options: Pick<CommitImageOptions, 'undo' | 'onStep'>,
): Promise<void> {
  if (steps.length === 0) return;
  await target.lock.assertHeld();
  const inPlace = await inPlaceWrites(
    steps.filter((step) => step.kind === 'write'),
    target.file,
  );
  if (options.undo !== undefined) await writeUndo(options.undo, target.path, inPlace);
  for (const [at, step] of steps.entries()) {
    if (needsLook(steps[at - 1], step)) await assertStillHeld(target, step);
    try {
      if (step.kind === 'sync') await target.handle.datasync();
      else await writeAt(target.handle, step.offset, step.bytes());
    } catch (error) {
      const hidden = step.phase === 'prepare' || step.phase === 'allocate';
      const taken = hidden && (await takeBack(inPlace, target));
      throw writeFailed(target.path, step, error, taken);
    }
    options.onStep?.(at + 1, steps.length);
  }
  if (options.undo !== undefined) await sealUndo(options.undo, await target.handle.stat({ bigint: true }));
}

/** Whether the lock is looked at once more: before the first step that others can see, and before clusters are given back. */
function needsLook(last: PlanStep | undefined, next: PlanStep): boolean {
  if (last === undefined || last.phase === next.phase) return false;
  return next.phase !== 'allocate' && last.phase !== 'hook';
}

/** Whoever has the image open now may have taken the same clusters, so nothing is taken back. */
async function assertStillHeld({ lock, path }: Target, next: PlanStep): Promise<void> {
  try {
    await lock.assertHeld();
  } catch (cause) {
    const state = next.phase === 'free' ? 'the bitmaps are the new ones' : 'the bitmaps are as they were';
    const message = `${quoted(path, 256)}: the lock was lost while it was written, which was ended there; ${state}; ${LEAKS}`;
    throw new DirtyBitmapError('image-locked', message, { cause });
  }
}

/** Takes refcounts back that count what nobody refers to; where even that fails, they are leaks. */
async function takeBack(inPlace: readonly InPlaceWrite[], target: Target): Promise<boolean> {
  try {
    for (const { step, before } of inPlace) {
      if (step.phase === 'allocate') await writeAt(target.handle, step.offset, before);
    }
    await target.handle.datasync();
    return true;
  } catch {
    return false;
  }
}

const LEAKS = 'there may be leaked clusters: `qemu-img check -r leaks` gives them back';

function writeFailed(path: string, step: PlanStep, cause: unknown, takenBack: boolean): DirtyBitmapError {
  const what = step.kind === 'sync' ? 'waiting for the disk' : `writing ${step.what} at ${step.offset}`;
  const reason = cause instanceof Error ? cause.message : String(cause);
  const states: Readonly<Record<PlanStep['phase'], string>> = {
    prepare: 'the bitmaps are as they were',
    allocate: takenBack ? 'the bitmaps are as they were' : `the bitmaps are as they were; ${LEAKS}`,
    hook: `the bitmaps are as they were; ${LEAKS}`,
    switch: `the bitmaps are the old ones, the new ones or none, but no mix: see \`dirtybitmap info\`; ${LEAKS}`,
    free: `the bitmaps are the new ones; ${LEAKS}`,
  };
  const message = `${quoted(path, 256)}: ${what} failed: ${reason}; ${states[step.phase]}`;
  return new DirtyBitmapError('qcow2-write-failed', message, { cause });
}
