import { isGranularity } from '../bitmap/granularity.js';
import { quoted } from '../bytes/text.js';
import { MAX_NAME_BYTES } from '../set/names.js';
import type { Action, BitmapPlan, BitmapSource, PlanProblem, Skipped } from './actions.js';
import { bitmapOn, type NodeFacts, type Nodes } from './node-bitmaps.js';
import { invalidity, invalidityText } from './validity.js';

/** The bitmap that takes the writes from the end of a job until the merge. The name is libvirt's. */
export const WRITE_BITMAP = 'libvirt-tmp-activewrite';

/** What is merged, and where to. Source: merge-and-chain.md sections 1 and 6. */
export interface MergeArguments {
  /** The node to look down from. */
  readonly top: string;
  /** The first node that is not merged any more; none: to the end of the chain. */
  readonly base?: string | undefined;
  /** The node that gets the result; in the chain or not. */
  readonly target: string;
  /** Only this bitmap; else all of the top. */
  readonly bitmap?: string | undefined;
  /** Another name for the result, which is then transient and disabled: for a backup job. */
  readonly into?: string | undefined;
  /** A node with the bitmap {@link WRITE_BITMAP}, which is merged as well, and removed. */
  readonly writeNode?: string | undefined;
}

/**
 * Plans the merge of bitmaps along a chain: the actions that libvirt sends, in its order, with what it drops without a
 * word and what QEMU would refuse. Source: merge-and-chain.md sections 2 to 5 and 8.
 * @param chain names of nodes, the active layer first; all of it, also what a job cuts off.
 */
export function planMerge(chain: readonly string[], nodes: Nodes, given: MergeArguments): BitmapPlan {
  const problems = argumentProblems(chain, given);
  const from = chain.slice(Math.max(0, chain.indexOf(given.top)));
  const merged = given.base === undefined ? from : from.slice(0, endOf(from, given.base));
  const { names, skipped } = handled(from, chain, nodes, given);
  const argument = problems.some(({ code }) => code === 'argument');
  const actions: Action[] = [];
  for (const name of argument ? [] : names) {
    const sources = merged.filter((node) => bitmapOn(nodes, node, name) !== undefined);
    actions.push(...mergeOne(name, sources, nodes, given));
    problems.push(...mergeProblems(name, sources, nodes, given));
  }
  if (given.writeNode !== undefined && !argument) {
    // Last, as a remove makes a bitmap busy for what follows it in the transaction.
    const data = { node: given.writeNode, name: WRITE_BITMAP };
    actions.push({ type: 'block-dirty-bitmap-remove', data });
    problems.push(...writeBitmapProblems(nodes, given.writeNode));
  }
  return { actions, skipped, problems, reopen: [] };
}

/** Up to the base; a base that is not there ends nothing, and is a problem of its own. */
function endOf(from: readonly string[], base: string): number {
  const at = from.indexOf(base);
  return at < 0 ? from.length : at;
}

/** The names that are merged, and all bitmaps that are not, with the reason. */
function handled(
  from: readonly string[],
  chain: readonly string[],
  nodes: Nodes,
  { top, bitmap, writeNode }: MergeArguments,
): { readonly names: readonly string[]; readonly skipped: readonly Skipped[] } {
  const names: string[] = [];
  const skipped: Skipped[] = [];
  const onTop = new Set(nodes.get(top)?.bitmaps.map(({ name }) => name));
  for (const name of onTop) {
    const invalid = invalidity(from, nodes, name);
    if (bitmap !== undefined && name !== bitmap) skipped.push({ name, node: top, reason: 'it was not asked for' });
    else if (invalid === undefined) names.unshift(name);
    else skipped.push({ name, node: invalid.node, reason: invalidityText(invalid) });
  }
  for (const node of chain) {
    for (const { name } of nodes.get(node)?.bitmaps ?? []) {
      // That one is merged, and then removed.
      if (node === writeNode && name === WRITE_BITMAP) continue;
      if (onTop.has(name) || skipped.some((one) => one.name === name)) continue;
      const reason = from.includes(node)
        ? `only layers below ${top} have it: what changed above them is not known`
        : `it is on a layer above ${top}, which is not merged`;
      skipped.push({ name, node, reason });
    }
  }
  if (bitmap !== undefined && !onTop.has(bitmap) && !skipped.some(({ name }) => name === bitmap)) {
    skipped.push({ name: bitmap, node: top, reason: 'no layer of the chain has it' });
  }
  return { names, skipped };
}

function mergeOne(
  name: string,
  holders: readonly string[],
  nodes: Nodes,
  { target, into, writeNode }: MergeArguments,
): Action[] {
  const bitmaps: BitmapSource[] = holders.map((node) => ({ node, name }));
  const destination = into ?? name;
  const actions: Action[] = [];
  if (into !== undefined || bitmapOn(nodes, target, destination) === undefined) {
    const granularity = granularityOf(name, holders, nodes);
    const [persistent, disabled] = [into === undefined, into !== undefined];
    const data = { node: target, name: destination, persistent, disabled };
    actions.push({
      type: 'block-dirty-bitmap-add',
      data: granularity === undefined ? data : { ...data, granularity },
    });
  }
  if (writeNode !== undefined) bitmaps.push({ node: writeNode, name: WRITE_BITMAP });
  actions.push({ type: 'block-dirty-bitmap-merge', data: { node: target, target: destination, bitmaps } });
  return actions;
}

/** That of the layer nearest the top that tells one. */
function granularityOf(name: string, holders: readonly string[], nodes: Nodes): number | undefined {
  return holders.map((node) => bitmapOn(nodes, node, name)?.granularity).find((one) => one !== undefined && one > 0);
}

/** What libvirt does not check. Source: section 5. */
function argumentProblems(chain: readonly string[], given: MergeArguments): PlanProblem[] {
  const { top, base, bitmap, into } = given;
  const problems: PlanProblem[] = [];
  const wrong = (message: string): void => void problems.push({ code: 'argument', message });
  const at = chain.indexOf(top);
  if (at < 0) wrong(`the top ${quoted(top)} is not in the chain (${chain.join(', ')})`);
  if (new Set(chain).size < chain.length) wrong(`the chain has a node twice (${chain.join(', ')})`);
  if (base !== undefined && base === top) wrong(`the base is the top, ${quoted(top)}: nothing lies between them`);
  else if (base !== undefined && at >= 0 && chain.indexOf(base) < at) {
    wrong(`the base ${quoted(base)} is not below the top ${quoted(top)} in the chain (${chain.join(', ')})`);
  }
  const bytes = into === undefined ? 1 : new TextEncoder().encode(into).length;
  if (bytes === 0 || bytes > MAX_NAME_BYTES) {
    wrong(`expected a name of 1 to ${MAX_NAME_BYTES} bytes for the result, found one of ${bytes}`);
  }
  if (into !== undefined && bitmap === undefined) {
    wrong('another name is for one bitmap: say which one, as several would get the same name');
  }
  return problems;
}

/** What QEMU would refuse. Source: section 8. */
function mergeProblems(name: string, holders: readonly string[], nodes: Nodes, given: MergeArguments): PlanProblem[] {
  const { target, into, writeNode } = given;
  const problems: PlanProblem[] = [];
  const say = (code: PlanProblem['code'], message: string): void => void problems.push({ code, message });
  const label = quoted(name);
  for (const node of holders) {
    if (bitmapOn(nodes, node, name)?.busy === true)
      say('busy', `bitmap ${label} of ${node} is busy: a job or an export uses it`);
  }
  const destination = bitmapOn(nodes, target, into ?? name);
  if (destination !== undefined && into !== undefined) {
    say('exists', `${target} has a bitmap ${quoted(into)} already: remove it first, or take another name`);
  } else if (destination?.busy === true && !holders.includes(target)) {
    say('busy', `bitmap ${label} of ${target} is busy: a job or an export uses it`);
  } else if (destination?.inconsistent === true) {
    say('missing', `bitmap ${label} of ${target} is inconsistent: remove it first`);
  }
  problems.push(...targetProblems(nodes, given, destination === undefined));
  const sizes = new Map<number, string>();
  for (const node of [...holders, target, ...(writeNode === undefined ? [] : [writeNode])]) {
    const size = nodes.get(node)?.virtualSize;
    if (size !== undefined && !sizes.has(size)) sizes.set(size, node);
  }
  if (sizes.size > 1) {
    const which = [...sizes].map(([size, node]) => `${node} has ${size} bytes`).join(', ');
    say('size-differs', `bitmap ${label} cannot be merged between disks of several sizes: ${which}`);
  }
  const granularity = granularityOf(name, holders, nodes);
  if (destination === undefined && granularity !== undefined && !isGranularity(granularity)) {
    say('granularity', `bitmap ${label}: QEMU makes none of a granularity of ${granularity} bytes`);
  }
  return problems;
}

function targetProblems(nodes: Nodes, { target, into }: MergeArguments, added: boolean): PlanProblem[] {
  const facts = nodes.get(target);
  if (facts === undefined) return [{ code: 'missing', message: `QEMU tells of no node ${quoted(target)}, the target` }];
  return holderProblems(facts, 'target', added && into === undefined);
}

/** What keeps a node from taking bitmaps, in what `role` it is given for. */
export function holderProblems(facts: NodeFacts | undefined, role: string, persistent = true): PlanProblem[] {
  if (facts === undefined) return [];
  const { node, format, qcow2Compat, readOnly } = facts;
  if (readOnly === true) {
    return [
      { code: 'read-only', message: `the ${role} ${node} is read-only: reopen it read-write for the transaction` },
    ];
  }
  if (!persistent) return [];
  if (format !== undefined && format !== 'qcow2') {
    return [{ code: 'no-bitmaps', message: `the ${role} ${node} is ${format}, which holds no persistent bitmaps` }];
  }
  if (qcow2Compat !== '0.10') return [];
  const message = `the ${role} ${node} is qcow2 of version 2, which holds no bitmaps: amend it with compat=1.1`;
  return [{ code: 'no-bitmaps', message }];
}

function writeBitmapProblems(nodes: Nodes, node: string): PlanProblem[] {
  const found = bitmapOn(nodes, node, WRITE_BITMAP);
  if (found?.busy === true) {
    return [{ code: 'busy', message: `bitmap ${WRITE_BITMAP} of ${node} is busy: a job or an export uses it` }];
  }
  if (found?.inconsistent === true || found?.recording === false) {
    const state = found.inconsistent ? 'is inconsistent' : 'does not record';
    return [
      {
        code: 'missing',
        message: `bitmap ${WRITE_BITMAP} of ${node} ${state}: the writes after the job are not known`,
      },
    ];
  }
  if (found !== undefined) return [];
  const message = `${node} has no bitmap ${WRITE_BITMAP}: add it (transient, recording) before the job is told to complete`;
  return [{ code: 'missing', message }];
}
