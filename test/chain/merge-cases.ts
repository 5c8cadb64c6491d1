import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeBitmap, NodeFacts, Nodes } from '../../src/chain/node-bitmaps.js';
import { planDelete } from '../../src/chain/plan-delete.js';
import { planMerge } from '../../src/chain/plan-merge.js';
import { invalidity } from '../../src/chain/validity.js';

/** A case of `cases.json` or `derived-cases.json`. */
export interface MergeCase {
  readonly name: string;
  readonly operation: string;
  readonly dataset?: string;
  readonly chain: readonly string[];
  readonly nodes: Readonly<Record<string, readonly NodeBitmap[]>>;
  readonly nodeInfo?: Readonly<
    Record<string, { readonly virtualSize: number; readonly qcow2Compat: string; readonly readOnly: boolean }>
  >;
  readonly args: Readonly<
    Record<'top' | 'base' | 'target' | 'bitmap' | 'dstBitmap' | 'writeBitmapNode', string | null>
  >;
  readonly expected?: readonly object[] | null;
  readonly expectedReopen?: readonly string[];
  readonly expectedError?: string;
}

interface ValidityCase {
  readonly dataset: string;
  readonly chain: readonly string[];
  readonly bitmap: string;
  readonly valid: boolean;
}

const read = (folder: string, name: string): unknown => JSON.parse(readFileSync(join(folder, name), 'utf8'));

export function readCases(folder: string): readonly MergeCase[] {
  return ['cases.json', 'derived-cases.json'].flatMap((name) => read(folder, name) as MergeCase[]);
}

/** Each check with whether it agrees: all actions to the letter, reopened nodes, errors, and validity. */
export function* judgeMergeFolder(folder: string): Generator<readonly [name: string, problem: string | undefined]> {
  const cases = readCases(folder);
  for (const one of cases) yield [one.name, judge(one)];
  const datasets = new Map(cases.flatMap((one) => (one.dataset === undefined ? [] : [[one.dataset, nodesOf(one)]])));
  for (const { dataset, chain, bitmap, valid } of read(folder, 'validity.json') as ValidityCase[]) {
    const nodes = datasets.get(dataset);
    const name = `validity of ${bitmap} in ${dataset}`;
    if (nodes === undefined) yield [name, 'no such data'];
    else yield [name, (invalidity(chain, nodes, bitmap) === undefined) === valid ? undefined : `expected ${valid}`];
  }
}

function judge(one: MergeCase): string | undefined {
  const nodes = nodesOf(one);
  const { top, base, target, bitmap, dstBitmap, writeBitmapNode } = one.args;
  const plan =
    one.operation === 'checkpoint-delete'
      ? planDelete(one.chain, nodes, bitmap ?? '')
      : planMerge(one.chain, nodes, {
          ...{ top: top ?? '', base: base ?? undefined, target: target ?? '', bitmap: bitmap ?? undefined },
          ...{ into: dstBitmap ?? undefined, writeNode: writeBitmapNode ?? undefined },
        });
  const actions = JSON.stringify(plan.actions);
  const expected = JSON.stringify(one.expected ?? []);
  if (actions !== expected) return `expected ${expected}, found ${actions}`;
  if (one.expectedReopen !== undefined && JSON.stringify(plan.reopen) !== JSON.stringify(one.expectedReopen)) {
    return `expected ${one.expectedReopen.join()} reopened, found ${plan.reopen.join()}`;
  }
  return one.expectedError !== undefined && plan.problems.length === 0 ? 'expected a problem' : undefined;
}

function nodesOf(one: MergeCase): Nodes {
  const facts = Object.entries(one.nodes).map(([node, bitmaps]): [string, NodeFacts] => [
    node,
    { node, bitmaps, ...one.nodeInfo?.[node] },
  ]);
  return new Map(facts);
}
