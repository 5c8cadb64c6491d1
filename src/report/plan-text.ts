import { printable } from '../bytes/text.js';
import type { CommitPlan, PlannedSync, PlannedWrite } from '../qcow2/commit/plan.js';
import { plural } from './text.js';

/** What a plan does, step by step, for a person. */
export function planText({ steps, clusters }: CommitPlan): string[] {
  if (steps.length === 0) return ['  nothing is to be written'];
  const width = String(steps.length).length;
  const lines = steps.map((step, at) => {
    const number = String(at + 1).padStart(width);
    if (step.kind === 'sync') return `  ${number}  ${step.phase.padEnd(8)}  sync`;
    const place = `${step.length} bytes at ${step.offset}`;
    return `  ${number}  ${step.phase.padEnd(8)}  write ${place}: ${printable(step.what)}`;
  });
  const { taken, freed, leaked } = clusters;
  return [...lines, `  ${plural(taken, 'cluster')} taken, ${freed} given back, ${leaked} left over`];
}

/** A plan as data; sizes and offsets in bytes. */
export interface PlanDocument {
  /** In the order in which they reach the disk. */
  readonly steps: readonly (PlannedSync | Omit<PlannedWrite, 'bytes'>)[];
  /** What the image has afterwards. */
  readonly bitmaps: readonly {
    readonly name: string;
    readonly granularity: number;
    readonly auto: boolean;
    readonly inUse: boolean;
  }[];
  readonly clusters: CommitPlan['clusters'];
}

/** The document of a plan. */
export function planDocument({ steps, bitmaps, clusters }: CommitPlan): PlanDocument {
  return {
    steps: steps.map((step) =>
      step.kind === 'sync'
        ? { kind: step.kind, phase: step.phase }
        : { kind: step.kind, phase: step.phase, offset: step.offset, length: step.length, what: step.what },
    ),
    bitmaps: bitmaps.map(({ name, granularity, auto, inUse }) => ({ name: name.text, granularity, auto, inUse })),
    clusters,
  };
}
