import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDirtyBitmapError } from '../../src/errors.js';
import { inPlaceWrites, readUndo, sealUndo, writeUndo } from '../../src/io/undo-file.js';
import { MemoryGraph } from '../../src/migration/memory-graph.js';
import { type PlanStep, sync, write } from '../../src/qcow2/commit/plan.js';
import { commitSteps } from '../../src/qcow2/commit/plan-commit.js';
import { disableBitmaps } from '../../src/qcow2/commit/switch-header.js';
import { assertCommitted } from '../../src/qcow2/commit/verify.js';
import type { WantedBitmap } from '../../src/qcow2/commit/wanted.js';
import { parseExtensions } from '../../src/qcow2/extensions.js';
import { parseHeader } from '../../src/qcow2/header.js';
import { loadBitmaps } from '../../src/qcow2/load.js';
import { type RandomAccess, runStepsOnBytes } from '../../src/qcow2/random-access.js';
import type { Code } from '../../src/rules.js';
import type { Dice } from '../differential/dice.js';
import { bitmapsOf, type Expected, expectedOf, headOf, look, whichOf } from './crash-judge.js';
import { OPERATIONS } from './crash-operations.js';
import { afterSteps, type CrashState, crashStates } from './crash-states.js';
import { recount } from './own-checker.js';

/** Everything that is tried: commits, and what else is written to an image. */
export const OPERATION_NAMES: readonly string[] = [...Object.keys(OPERATIONS), 'mark in use', 'disable'];

/** What is tried with one image. */
export interface CrashCase {
  readonly base: Uint8Array;
  /** One of {@link OPERATION_NAMES}. */
  readonly operation: string;
  readonly dice: Dice;
  /** Random states of each row of writes, at most. */
  readonly subsets: number;
  readonly paranoid: boolean;
  readonly proveOwnership: boolean;
  /** Whether what was done is undone after it, and that is tried too. */
  readonly undo: boolean;
}

/** What came of it. */
export interface CrashOutcome {
  readonly states: number;
  readonly problems: readonly string[];
  /** Why nothing was planned. */
  readonly refused?: Code;
  /** The operation has nothing to work on in this image. */
  readonly idle?: true;
  /** What the plan had in it, for the tally. */
  readonly traits: readonly string[];
  /** The image when all is done, or as one of the crashes left it. */
  readonly left?: Uint8Array;
}

/** Called with states that are to be shown to `qemu-img check` too. */
export type OnState = (state: CrashState) => Promise<readonly string[]>;

/** Tries one operation on one image with a crash at every step of it. */
export async function tryCrashes(one: CrashCase, onState: OnState): Promise<CrashOutcome> {
  const { base } = one;
  let work: Work | undefined;
  try {
    work = planWork(one);
  } catch (error) {
    if (!isDirtyBitmapError(error)) throw error;
    return { states: 0, problems: [], traits: [], refused: error.code };
  }
  if (work === undefined) return { states: 0, problems: [], traits: [], idle: true };
  const { steps, list, old, wanted, leaked } = work;
  const before = recount(base);
  const expected: Expectation = { old, wanted, head: work.head, known: new Set(before.corruptions) };
  const forth = await walk(one, steps, expected, onState);
  const after = afterSteps(base, steps);
  const problems = [
    ...forth.problems,
    ...strayWrites(base, steps),
    ...assertDone(after, wanted, list, before.leaks + before.leaksBehind + leaked),
  ];
  const traits = [...traitsOf(steps), ...(leaked > 0 ? ['leaked clusters'] : [])];
  const left = one.dice.chance(50) ? after : forth.sample;
  if (!one.undo) return { states: forth.states, problems, traits, left };
  const back = await undoSteps(base, after, steps);
  const backwards = { ...expected, old: wanted, wanted: old };
  const undone = await walk({ ...one, base: after }, back, backwards, onState);
  problems.push(...undone.problems.map((problem) => `undo: ${problem}`));
  return { states: forth.states + undone.states, problems, traits: [...traits, 'undone'], left };
}

/** What is to be done, and what it makes of the bitmaps. */
interface Work {
  readonly steps: readonly PlanStep[];
  /** Undefined where it is no commit. */
  readonly list?: readonly WantedBitmap[];
  /** The bitmaps before, or the code of the error of an image that cannot be read. */
  readonly old: readonly Expected[] | string;
  readonly wanted: readonly Expected[];
  readonly head: string | undefined;
  /** Clusters that may leak; a broken list leaks everything. */
  readonly leaked: number;
}

/** @throws DirtyBitmapError why it is refused. */
function planWork({ base, operation, dice, paranoid, proveOwnership }: CrashCase): Work | undefined {
  const seen = look(base);
  const old = 'image' in seen ? bitmapsOf(seen.image) : seen.code;
  const head = 'image' in seen ? headOf(seen.image) : undefined;
  if (operation === 'disable') {
    const header = parseHeader(base);
    const steps = disableBitmaps(header, parseExtensions(base, header));
    return { steps, old, wanted: [], head, leaked: Number.POSITIVE_INFINITY };
  }
  if (!('image' in seen)) throw seen.error;
  const { image } = seen;
  if (operation === 'mark in use') {
    const node = new MemoryGraph().addNode({ name: 'disk', size: image.header.virtualSize });
    const { steps } = loadBitmaps(node, image);
    const wanted = bitmapsOf(image).map((bitmap) => ({ ...bitmap, inUse: true, bits: undefined }));
    return steps.length === 0 ? undefined : { steps, old, wanted, head, leaked: 0 };
  }
  const list = OPERATIONS[operation]?.(image, dice);
  if (list === undefined) return undefined;
  const plan = runStepsOnBytes(base, commitSteps(image, list, { paranoid, proveOwnership }));
  return { steps: plan.steps, list, old, wanted: expectedOf(list, image), head, leaked: plan.clusters.leaked };
}

interface Expectation {
  /** The bitmaps, or the error of an image that cannot be read. */
  readonly old: readonly Expected[] | string;
  readonly wanted: readonly Expected[] | string;
  /** What the header says of other things. */
  readonly head: string | undefined;
  /** What is wrong with the image in the first place. */
  readonly known: ReadonlySet<string>;
}

async function walk(
  { base, dice, subsets }: CrashCase,
  steps: readonly PlanStep[],
  expected: Expectation,
  onState: OnState,
): Promise<{ states: number; problems: string[]; sample: Uint8Array }> {
  const problems: string[] = [];
  let sample = base;
  let states = 0;
  for (const state of crashStates(base, steps, dice, subsets)) {
    // Each of the states is as likely as any other.
    if (dice.below(++states) === 0) sample = state.file.slice();
    const found = [...judge(state.file, expected), ...(await onState(state))];
    problems.push(...found.map((problem) => `${state.what}: ${problem}`));
  }
  return { states, problems, sample };
}

/** What is wrong with a state: bitmaps that are neither old, new nor none, or a refcount that is too low. */
function judge(file: Uint8Array, { old, wanted, known, head }: Expectation): string[] {
  const problems = recount(file).corruptions.filter((one) => !known.has(one));
  const seen = look(file);
  if ('code' in seen) {
    if (seen.code !== old && seen.code !== wanted) problems.push(`the reader refuses it: ${seen.code}`);
    return problems;
  }
  const allowed = [old, wanted, []].filter((list) => typeof list !== 'string');
  if (whichOf(bitmapsOf(seen.image), allowed) === undefined) problems.push('the bitmaps are neither old, new nor none');
  const changed = headOf(seen.image);
  if (head !== undefined && changed !== head) problems.push(`the header was ${head}, and is ${changed}`);
  return problems;
}

/** What is wrong with an image when everything was done. */
function assertDone(
  after: Uint8Array,
  wanted: readonly Expected[],
  list: readonly WantedBitmap[] | undefined,
  maxLeaks: number,
): string[] {
  const seen = look(after);
  if ('error' in seen) return [`in the end the reader refuses it: ${seen.code}`];
  const problems: string[] = [];
  if (whichOf(bitmapsOf(seen.image), [wanted]) === undefined)
    problems.push('in the end the bitmaps are not the new ones');
  const { leaks, leaksBehind } = recount(after);
  if (leaks > maxLeaks)
    problems.push(`in the end ${leaks} clusters leak, ${leaksBehind} behind the file; ${maxLeaks} may`);
  const tail = seen.image.findings.list.some(({ code }) => code === 'bits-past-end');
  if (tail && list?.every(({ kind }) => kind === 'new'))
    problems.push('in the end there are bits past the end of the disk');
  try {
    if (list !== undefined) assertCommitted(seen.image, list);
  } catch (error) {
    problems.push(`in the end: ${error}`);
  }
  return problems;
}

/** Writes over something else than the first cluster, refcounts, and a directory that is marked. */
function strayWrites(base: Uint8Array, steps: readonly PlanStep[]): string[] {
  const { clusterSize, refcountTableOffset, refcountTableClusters } = parseHeader(base);
  const view = new DataView(base.buffer, base.byteOffset, base.byteLength);
  const allowed = new Set([0]);
  for (let at = 0; at < refcountTableClusters; at++) allowed.add(refcountTableOffset + at * clusterSize);
  for (let at = 0; at < (refcountTableClusters * clusterSize) / 8; at++)
    allowed.add(Number(view.getBigUint64(refcountTableOffset + at * 8)));
  return steps.flatMap((step) => {
    if (step.kind === 'sync' || step.offset >= base.length || step.what.startsWith('directory')) return [];
    const first = step.offset - (step.offset % clusterSize);
    const inside = allowed.has(first) && step.offset + step.length <= first + clusterSize;
    return inside ? [] : [`a write over ${step.length} bytes at ${step.offset}: ${step.what}`];
  });
}

function traitsOf(steps: readonly PlanStep[]): string[] {
  const traits: string[] = [];
  const has = (text: string): boolean => steps.some((step) => step.kind === 'write' && step.what.includes(text));
  const rounds = steps.filter(({ kind, phase }) => kind === 'sync' && phase === 'hook').length;
  if (rounds > 1) traits.push(`${rounds} rounds of hooks`);
  if (has('where the refcount table is')) traits.push('larger refcount table');
  else if (rounds > 0) traits.push('new refcount blocks');
  if (has('backing file, moved')) traits.push('backing name moved');
  if (has('autoclear bit of the bitmaps off')) traits.push('autoclear bit off');
  if (has('head of the bitmaps extension')) traits.push('new extension');
  if (has('end of the header extensions')) traits.push('extension dropped');
  if (steps.some(({ phase }) => phase === 'prepare')) traits.push('unknown autoclear bits');
  return traits;
}

/** The steps of an undo, by the file that tells of it. */
async function undoSteps(base: Uint8Array, after: Uint8Array, steps: readonly PlanStep[]): Promise<PlanStep[]> {
  const folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-undo-'));
  try {
    const path = join(folder, 'undo.json');
    const writes = steps.filter((step) => step.kind === 'write');
    await writeUndo(path, 'image', await inPlaceWrites(writes, inMemory(base)));
    const left = { size: BigInt(after.length), mtimeNs: 0n };
    await sealUndo(path, left);
    const ranges = await readUndo(path, inMemory(after), left);
    return ranges.flatMap(({ offset, bytes }) => [write('switch', offset, 'undo', bytes), sync('switch')]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function inMemory(file: Uint8Array): RandomAccess {
  return {
    size: async () => file.length,
    read: async (offset, length) => file.subarray(offset, offset + length),
  };
}
