import { printable, quoted } from '../../bytes/text.js';
import type { PlanProblem } from '../../chain/actions.js';
import type { LiveState } from '../../chain/live-nodes.js';
import type { Nodes } from '../../chain/node-bitmaps.js';
import { operationChain } from '../../chain/operation-chain.js';
import { type Operation, type OperationPlan, planBefore, planOperation } from '../../chain/plan-operation.js';
import { DirtyBitmapError } from '../../errors.js';
import { applyPlan } from '../../qmp/apply-plan.js';
import { queryState } from '../../qmp/query-state.js';
import { bitmapPlanText } from '../../report/bitmap-plan-text.js';
import { jsonText } from '../../report/text.js';
import { offlineNodes } from '../plan-nodes.js';
import { type PlanOutput, reportApplied } from '../plan-report.js';
import { scriptOf } from '../plan-script.js';
import { withQmp } from '../qmp-connection.js';
import { EXIT, type Terminal, writeOut } from '../terminal.js';

/** What every `plan` command can be asked. */
export interface PlanOptions {
  /** What `query-named-block-nodes` returned: a file, or `-`. */
  readonly nodes?: string;
  /** What `x-debug-query-block-graph` returned: a file, with `nodes`. */
  readonly graph?: string;
  /** A socket, instead of `nodes`. */
  readonly qmp?: string;
  /** Seconds. */
  readonly timeout: number;
  /** Node names, the active layer first. */
  readonly chain?: readonly string[];
  /** The active layer, instead of `chain`. */
  readonly node?: string;
  readonly output: PlanOutput;
  readonly apply?: boolean;
  /** The transaction for before the job completes, instead of the one for after. */
  readonly prepare?: boolean;
}

/** What an operation becomes, when its active layer is known. */
export type MakeOperation = (active: string) => Operation;

/** `plan OPERATION`: the transaction for the bitmaps of a disk, printed, and done where that is asked for. */
export async function planCommand(make: MakeOperation, options: PlanOptions, terminal: Terminal): Promise<number> {
  const { nodes: file, qmp: address, timeout, apply = false, output } = options;
  if ((file === undefined) === (address === undefined)) throw usage('give either --nodes FILE or --qmp SOCKET');
  if ((options.chain === undefined) === (options.node === undefined)) {
    throw usage('give either --node NODE, the active layer, or --chain TOP,...,BASE');
  }
  if (options.graph !== undefined && file === undefined) throw usage('--graph goes with --nodes');
  if (apply && (address === undefined || output === 'sh')) throw usage('--apply is for --qmp, and not for -o sh');
  if (address === undefined) {
    const { nodes, notes, state } = await offlineNodes(file ?? '', options.graph);
    const plan = planFor(options, make, nodes, state);
    await printPlan(plan, options, terminal, state);
    for (const note of notes) say(terminal, '', note);
    for (const node of options.chain ?? []) {
      if (!nodes.has(node))
        say(terminal, '', `--nodes tells of no node ${quoted(node)}: it was taken as one without bitmaps`);
    }
    return exitCode(plan, make);
  }
  return await withQmp({ qmp: address, timeout }, async ({ qmp, reconnect }) => {
    if (!apply) {
      const state = await queryState(qmp);
      const plan = planFor(options, make, state.nodes, state);
      await printPlan(plan, options, terminal, state);
      return exitCode(plan, make);
    }
    const applied = await toTheEnd(terminal, () =>
      applyPlan(qmp, {
        plan: (state) => planFor(options, make, state.nodes, state),
        onPlan: (plan) => printPlan(plan, options, terminal, undefined),
        reconnect,
      }),
    );
    return await reportApplied(applied, output, terminal);
  });
}

/** Stopped in the middle, nodes would stay read-write and nobody knew what was done; all steps have a time limit. */
async function toTheEnd<T>(terminal: Terminal, work: () => Promise<T>): Promise<T> {
  const wait = (): void =>
    say(terminal, '', 'a plan is not left in the middle: waiting for QEMU, up to --timeout a step');
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, wait);
  try {
    return await work();
  } finally {
    for (const signal of signals) process.off(signal, wait);
  }
}

function planFor(options: PlanOptions, make: MakeOperation, nodes: Nodes, state: LiveState): OperationPlan {
  const chain = options.chain ?? chainOf(options.node ?? '', make, state);
  const operation = make(chain[0] ?? '');
  const plan =
    options.prepare === true
      ? { ...planBefore(chain, nodes, operation), before: [], after: [] }
      : planOperation(chain, nodes, operation);
  if (options.chain === undefined || state.linkSource === 'file-names') return plan;
  return { ...plan, problems: [...plan.problems, ...chainProblems(chain, operation, state)] };
}

/**
 * A layer that is forgotten or misspelt takes its dirty bits out of a backup without a word. Layers more than QEMU has are
 * right: a job that is concluded has taken them out.
 */
function chainProblems(given: readonly string[], operation: Operation, state: LiveState): PlanProblem[] {
  const unknown = given.filter((node) => !state.nodes.has(node));
  if (unknown.length > 0) {
    return [{ code: 'argument', message: `QEMU tells of no node ${unknown.map((node) => quoted(node)).join(', ')}` }];
  }
  const real = operationChain(given[0] ?? '', operation, state);
  const inOrder = given.filter((node) => real.includes(node));
  if (inOrder.length === real.length && inOrder.every((node, at) => node === real[at])) return [];
  const message = `--chain is ${given.join(',')}, but QEMU has ${real.join(',')}; give that, or --node ${real[0]}`;
  return [{ code: 'argument', message }];
}

function chainOf(node: string, make: MakeOperation, state: LiveState): readonly string[] {
  const named = state.nodes.has(node) ? node : (state.devices.get(node) ?? node);
  return operationChain(named, make(named), state);
}

async function printPlan(
  plan: OperationPlan,
  { output, qmp }: PlanOptions,
  terminal: Terminal,
  state: LiveState | undefined,
): Promise<void> {
  if (output === 'human') {
    await writeOut(terminal, `${bitmapPlanText(plan).join('\n')}\n`);
    return;
  }
  const wrong = plan.problems.length > 0;
  if (output === 'qmp') await writeOut(terminal, `${jsonText(plan.actions, 2)}\n`);
  // A script is made to be run: none for what would fail.
  else if (!wrong && plan.actions.length > 0) await writeOut(terminal, scriptOf(plan, state));
  for (const { name, node, reason } of plan.skipped) say(terminal, 'left out: ', `${node}/${name}: ${reason}`);
  for (const { message } of plan.problems) say(terminal, 'problem: ', message);
  if (output === 'qmp' && qmp !== undefined && plan.reopen.length > 0) {
    say(terminal, 'reopen read-write before, and read-only after: ', plan.reopen.join(', '));
  }
}

function say(terminal: Terminal, what: string, text: string): void {
  terminal.stderr.write(`dirtybitmap: ${what}${printable(text)}\n`);
}

function exitCode({ problems, actions }: OperationPlan, make: MakeOperation): number {
  if (problems.some(({ code }) => code === 'argument')) return EXIT.USAGE;
  // merge and delete are for scripts, which print actions whatever QEMU may say to them.
  const forScripts = ['merge', 'delete'].includes(make('').kind);
  return problems.length > 0 && !(forScripts && actions.length > 0) ? EXIT.BAD : EXIT.OK;
}

function usage(message: string): DirtyBitmapError {
  return new DirtyBitmapError('argument', message);
}
