import type { BitmapPlan } from '../chain/actions.js';
import type { LiveState } from '../chain/live-nodes.js';
import { DirtyBitmapError, isDirtyBitmapError } from '../errors.js';
import { type QmpExecutor, qmpCommand, runCommand } from './commands.js';
import { queryState } from './query-state.js';
import { reopenOptions } from './reopen-options.js';
import { verifyPlan } from './verify-plan.js';

/** How applying a plan ended. */
export type ApplyResult =
  /** There was nothing to do; nothing was sent. */
  | 'nothing'
  /** The plan has problems; nothing was sent. */
  | 'problems'
  /** Done, and seen to be done. */
  | 'done'
  /** QEMU refused; all is as before. */
  | 'refused'
  /** The answer got lost, and QEMU shows that it was not done. */
  | 'not-done'
  /** The answer got lost, and what QEMU shows does not tell. */
  | 'unknown'
  /** QEMU said that it was done, and shows something else. */
  | 'differs';

/** What applying a plan came to. */
export interface Applied<Plan extends BitmapPlan = BitmapPlan> {
  readonly result: ApplyResult;
  readonly plan: Plan;
  /** What happened, in order, for a person. */
  readonly steps: readonly string[];
  /** Why, where it is not `done` or `nothing`. */
  readonly error: DirtyBitmapError | undefined;
}

/** How a plan is applied. */
export interface ApplyOptions<Plan extends BitmapPlan> {
  /** Makes the plan, from what QEMU says now. */
  readonly plan: (state: LiveState) => Plan;
  /** Called before anything is sent, with what will be. */
  readonly onPlan?: ((plan: Plan) => void | Promise<void>) | undefined;
  /** Gives another connection when the first one was lost, to ask what became of the transaction. */
  readonly reconnect?: (() => Promise<QmpExecutor>) | undefined;
}

/**
 * Asks QEMU, plans, and does the plan as one transaction, which is sent once and never again. Nodes that have to be
 * writable for it are reopened before, and read-only again after, also where the transaction was refused. Then QEMU is
 * asked what came of it.
 * @throws DirtyBitmapError where not even the first question is answered, and what `plan` and `onPlan` throw; what
 * happens after that is in the result.
 */
export async function applyPlan<Plan extends BitmapPlan>(
  qmp: QmpExecutor,
  options: ApplyOptions<Plan>,
): Promise<Applied<Plan>> {
  const before = await queryState(qmp);
  const plan = options.plan(before);
  await options.onPlan?.(plan);
  if (plan.problems.length > 0) {
    const [{ message } = { message: '' }] = plan.problems;
    return { result: 'problems', plan, steps: [], error: new DirtyBitmapError('plan-refused', message) };
  }
  if (plan.actions.length === 0) return { result: 'nothing', plan, steps: [], error: undefined };
  return await new Application(qmp, plan, before, options.reconnect).run();
}

class Application<Plan extends BitmapPlan> {
  #qmp: QmpExecutor;
  readonly #plan: Plan;
  readonly #before: LiveState;
  readonly #reconnect: (() => Promise<QmpExecutor>) | undefined;
  readonly #steps: string[] = [];

  constructor(qmp: QmpExecutor, plan: Plan, before: LiveState, reconnect: (() => Promise<QmpExecutor>) | undefined) {
    this.#qmp = qmp;
    this.#plan = plan;
    this.#before = before;
    this.#reconnect = reconnect;
  }

  async run(): Promise<Applied<Plan>> {
    const opened = await this.#reopen(false);
    if (opened !== undefined) {
      if (opened.code === 'qmp-refused' || opened.code === 'unsupported') return this.#end('refused', opened);
      // Nothing was asked of the bitmaps yet, but the nodes may be writable.
      if ((await this.#askAgain()) === undefined) return this.#lost('not-done', opened);
      const closed = await this.#reopen(true);
      return this.#end('not-done', closed === undefined ? opened : both(opened, closed));
    }
    const { actions } = this.#plan;
    const sent = await this.#try(
      `transaction of ${actions.length} actions`,
      async () => await runCommand(this.#qmp, qmpCommand('transaction', { actions })),
    );
    if (sent === undefined) return await this.#afterDone();
    if (sent.code === 'qmp-refused') {
      const closed = await this.#reopen(true);
      return this.#end('refused', closed === undefined ? sent : both(sent, closed));
    }
    return await this.#afterLost(sent);
  }

  async #afterDone(): Promise<Applied<Plan>> {
    const closed = await this.#reopen(true);
    const after = await this.#askAgain();
    if (after === undefined) {
      return this.#end('done', closed, 'QEMU said that it was done; it could not be asked again');
    }
    const { differences } = verifyPlan(this.#plan.actions, this.#before, after);
    this.#steps.push(...differences.map((difference) => `asked again: ${difference}`));
    if (differences.length > 0) {
      const message = `QEMU said that the transaction was done, but shows: ${differences.join('; ')}`;
      return this.#end('differs', new DirtyBitmapError('plan-unverified', message));
    }
    return this.#end('done', closed, 'asked again: the bitmaps are as planned');
  }

  /** The answer is lost, not the transaction: asking is all that may be done. */
  async #afterLost(lost: DirtyBitmapError): Promise<Applied<Plan>> {
    const after = await this.#askAgain();
    if (after === undefined) return this.#lost('unknown', lost);
    const { shown, differences } = verifyPlan(this.#plan.actions, this.#before, after);
    const closed = await this.#reopen(true);
    const error = closed === undefined ? lost : both(lost, closed);
    if (shown === 'done') return this.#end('done', closed, 'asked again: the transaction was done');
    this.#steps.push(...differences.map((difference) => `asked again: ${difference}`));
    if (shown === 'not-done') return this.#end('not-done', error, 'asked again: the transaction was not done');
    return this.#end('unknown', error, 'asked again: what QEMU shows does not tell whether it was done');
  }

  /** Nobody answers any more. */
  #lost(result: 'unknown' | 'not-done', error: DirtyBitmapError): Applied<Plan> {
    const { reopen } = this.#plan;
    if (reopen.length > 0) this.#steps.push(`perhaps left read-write: ${reopen.join(', ')}`);
    return this.#end(result, error, 'QEMU could not be asked again');
  }

  /** Makes the nodes of the plan writable, or read-only again. */
  async #reopen(readOnly: boolean): Promise<DirtyBitmapError | undefined> {
    const { reopen } = this.#plan;
    if (reopen.length === 0) return undefined;
    const error = await this.#try(`reopen ${readOnly ? 'read-only' : 'read-write'}: ${reopen.join(', ')}`, async () => {
      // Those above before those below would do as well: QEMU takes them as one change, all or none.
      const options = reopen.map((node) => reopenOptions(this.#before, node, readOnly));
      await runCommand(this.#qmp, qmpCommand('blockdev-reopen', { options }));
    });
    if (readOnly && error !== undefined) this.#steps.push(`perhaps left read-write: ${reopen.join(', ')}`);
    return error;
  }

  /** What QEMU says now, on another connection where that is lost; undefined where it cannot be asked. */
  async #askAgain(): Promise<LiveState | undefined> {
    try {
      return await queryState(this.#qmp);
    } catch {
      if (this.#reconnect === undefined) return undefined;
    }
    try {
      this.#qmp = await this.#reconnect();
      return await queryState(this.#qmp);
    } catch {
      return undefined;
    }
  }

  async #try(what: string, work: () => Promise<unknown>): Promise<DirtyBitmapError | undefined> {
    try {
      await work();
      this.#steps.push(`${what}: done`);
      return undefined;
    } catch (error) {
      if (!isDirtyBitmapError(error)) throw error;
      const refused = error.code === 'qmp-refused' || error.code === 'unsupported';
      this.#steps.push(`${what}: ${refused ? 'refused' : 'no answer'}: ${error.message}`);
      return error;
    }
  }

  #end(result: ApplyResult, error: DirtyBitmapError | undefined, step?: string): Applied<Plan> {
    if (step !== undefined) this.#steps.push(step);
    return { result, plan: this.#plan, steps: this.#steps, error };
  }
}

function both(first: DirtyBitmapError, second: DirtyBitmapError): DirtyBitmapError {
  return new DirtyBitmapError(first.code, `${first.message}; and then ${second.message}`, { cause: first });
}
