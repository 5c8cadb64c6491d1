import { printable } from '../bytes/text.js';
import { hasWriter } from '../io/image-lock.js';
import type { CommitImageOptions } from '../io/qcow2-commit.js';
import type { Limits } from '../limits.js';
import type { CommitPlan } from '../qcow2/commit/plan.js';
import type { WantedBitmap } from '../qcow2/commit/wanted.js';
import type { Qcow2Image } from '../qcow2/image.js';
import { type PlanDocument, planDocument, planText } from '../report/plan-text.js';
import { jsonText, plural } from '../report/text.js';
import { nameKey } from '../set/rename-set.js';
import { startProgress } from './progress.js';
import { type Terminal, writeOut } from './terminal.js';

/** What a user may say about how an image is changed. */
export interface ImageChangeOptions {
  readonly dryRun?: boolean;
  readonly undo?: string;
  readonly unlocked?: boolean;
  /** False with `--no-scan`. */
  readonly scan?: boolean;
  readonly paranoid?: boolean;
  readonly json?: boolean;
  readonly limit?: Partial<Limits>;
}

/** The JSON document of every command that changes an image; without a plan where it is not known, as in `undo`. */
export interface ChangeDocument extends Partial<PlanDocument> {
  readonly image: string;
  /** Whether nothing was written. */
  readonly dryRun?: boolean;
  /** What was done, or would be, a sentence each. */
  readonly changes: readonly string[];
  /** The file with what was overwritten. */
  readonly undo?: string | null;
}

/**
 * Changes the bitmaps of an image, or with `--dry-run` says how, and tells what was done.
 * @param said what is done, in a line for each bitmap.
 * @throws DirtyBitmapError as `commitImage`.
 */
export async function changeImage(
  path: string,
  change: (image: Qcow2Image) => readonly WantedBitmap[],
  said: (image: Qcow2Image) => readonly string[],
  options: ImageChangeOptions,
  terminal: Terminal,
): Promise<void> {
  const { commitImage } = await import('../io/qcow2-commit.js');
  const progress = await startProgress(terminal, path, 100);
  let before: Qcow2Image | undefined;
  try {
    const { plan } = await commitImage(
      path,
      (image) => {
        before = image;
        return change(image);
      },
      { ...commitOptions(options), onStep: (done, all) => progress?.update((100 * done) / all) },
    );
    progress?.stop();
    const told = before === undefined ? [] : [...said(before), ...dropped(before, plan)];
    await tell(path, plan, told, options, terminal);
  } finally {
    progress?.stop();
  }
}

/** Void bitmaps go with any change, and their clusters stay behind. */
function dropped({ bitmaps }: Qcow2Image, plan: CommitPlan): string[] {
  const kept = new Set(plan.bitmaps.map(({ name }) => nameKey(name)));
  const gone = bitmaps.filter(({ name, trust }) => trust === 'stale' && !kept.has(nameKey(name)));
  if (gone.length === 0) return [];
  return [`${plural(gone.length, 'void bitmap')} dropped; \`qemu-img check -r leaks\` gives their clusters back`];
}

/** The options of a commit that those of the command line mean. */
export function commitOptions(options: ImageChangeOptions): CommitImageOptions {
  const { dryRun, undo, unlocked, scan, paranoid, limit } = options;
  return { dryRun, undo, unlocked, paranoid, proveOwnership: scan, limits: limit };
}

async function tell(
  path: string,
  plan: CommitPlan,
  said: readonly string[],
  { dryRun, undo, json }: ImageChangeOptions,
  terminal: Terminal,
): Promise<void> {
  if (json === true) {
    const done: ChangeDocument = {
      image: path,
      dryRun: dryRun === true,
      changes: said,
      ...planDocument(plan),
      undo: undo ?? null,
    };
    await writeOut(terminal, `${jsonText(done, 2)}\n`);
    return;
  }
  const would = dryRun === true ? ' (nothing was written)' : '';
  const lines = [...said.map((line) => `${printable(path)}: ${line}${would}`)];
  if (dryRun === true) {
    lines.push(...planText(plan));
    if ((await hasWriter(path)) !== false) lines.push('a QEMU has the image open: to do this now would be refused');
  }
  if (dryRun !== true && undo !== undefined)
    lines.push(`to put it back: dirtybitmap bitmap undo ${printable(path)} ${printable(undo)}`);
  const { leaked } = plan.clusters;
  if (leaked > 0) {
    lines.push(
      `${plural(leaked, 'cluster')} left over, as it is not proven that nobody else uses them: see qemu-img check`,
    );
  }
  await writeOut(terminal, `${lines.join('\n')}\n`);
}
