import { printable } from '../../bytes/text.js';
import type { BitmapPlan } from '../../chain/actions.js';
import { parseNodes } from '../../chain/parse-nodes.js';
import { planDelete } from '../../chain/plan-delete.js';
import { planMerge } from '../../chain/plan-merge.js';
import { DirtyBitmapError } from '../../errors.js';
import { openSource } from '../../io/source.js';
import { resolveLimits } from '../../limits.js';
import { bitmapPlanText } from '../../report/bitmap-plan-text.js';
import { jsonText } from '../../report/text.js';
import { readDocument } from '../load-document.js';
import { EXIT, type Terminal, writeOut } from '../terminal.js';

/** How a plan is printed. */
export type PlanOutput = 'human' | 'qmp';

/** What `plan merge` and `plan delete` can be asked. */
export interface PlanOptions {
  /** What `query-named-block-nodes` returned: a file, or `-`. */
  readonly nodes: string;
  /** Node names, the active layer first. */
  readonly chain: readonly string[];
  readonly output: PlanOutput;
  readonly top?: string;
  readonly base?: string;
  readonly target?: string;
  readonly bitmap?: string;
  readonly into?: string;
  readonly writeNode?: string;
}

/** `plan merge`: the transaction that merges bitmaps along a chain. */
export async function planMergeCommand(options: PlanOptions, terminal: Terminal): Promise<number> {
  const { chain, top = chain[0] ?? '', base, target = '', bitmap, into, writeNode } = options;
  return await plan(options, terminal, (nodes) =>
    planMerge(chain, nodes, { top, base, target, bitmap, into, writeNode }),
  );
}

/** `plan delete`: the transaction that deletes a checkpoint. */
export async function planDeleteCommand(options: PlanOptions, terminal: Terminal): Promise<number> {
  const { chain, bitmap = '' } = options;
  return await plan(options, terminal, (nodes) => planDelete(chain, nodes, bitmap));
}

async function plan(
  { nodes: path, output }: PlanOptions,
  terminal: Terminal,
  make: (nodes: ReturnType<typeof parseNodes>['nodes']) => BitmapPlan,
): Promise<number> {
  const { nodes, notes } = parseNodes(await readJson(path));
  const made = make(nodes);
  const say = (what: string, text: string): void =>
    void terminal.stderr.write(`dirtybitmap: ${what}${printable(text)}\n`);
  if (output === 'human') {
    await writeOut(terminal, `${bitmapPlanText(made).join('\n')}\n`);
  } else {
    await writeOut(terminal, `${jsonText(made.actions, 2)}\n`);
    for (const { name, node, reason } of made.skipped) say('left out: ', `${node}/${name}: ${reason}`);
    for (const { message } of made.problems) say('problem: ', message);
  }
  for (const note of notes) say('', note);
  if (made.problems.some(({ code }) => code === 'argument')) return EXIT.USAGE;
  return made.actions.length === 0 && made.problems.length > 0 ? EXIT.BAD : EXIT.OK;
}

async function readJson(path: string): Promise<unknown> {
  const source = await openSource(path, { blocking: true });
  try {
    const bytes = await readDocument(source, {}, resolveLimits());
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    if (cause instanceof DirtyBitmapError) throw cause;
    const message = `${path}: expected JSON, found ${(cause as Error).message}; give what query-named-block-nodes returned`;
    throw new DirtyBitmapError('set-invalid', message, { cause });
  } finally {
    await source.close();
  }
}
