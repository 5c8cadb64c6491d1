import { printable } from '../bytes/text.js';
import type { Applied, ApplyResult } from '../qmp/apply-plan.js';
import { EXIT, errorLine, type Terminal, writeOut } from './terminal.js';

/** How a plan is printed: for a person, as the JSON of the actions, as a script. */
export type PlanOutput = 'human' | 'qmp' | 'sh';

const RESULTS: Readonly<Record<ApplyResult, readonly [text: string, exit: number]>> = {
  nothing: ['nothing to do, nothing was sent', EXIT.OK],
  problems: ['QEMU would refuse this: nothing was sent', EXIT.BAD],
  done: ['done', EXIT.OK],
  refused: ['refused: no bitmap was changed', EXIT.BAD],
  'not-done': ['not done: no bitmap was changed', EXIT.BAD],
  differs: ['done, but QEMU shows something else', EXIT.BAD],
  unknown: ['not known whether it was done: ask QEMU before you repeat it', EXIT.ACCESS],
};

/** Tells what came of a plan: steps and result to whoever reads the plan, errors to standard error. */
export async function reportApplied(applied: Applied, output: PlanOutput, terminal: Terminal): Promise<number> {
  const { result, steps, error, plan } = applied;
  const [text, exit] = RESULTS[result];
  const lines = [...(steps.length > 0 ? ['applied:'] : []), ...steps.map((step) => `  ${printable(step)}`), text];
  if (output === 'human') await writeOut(terminal, `${lines.join('\n')}\n`);
  else for (const line of lines) terminal.stderr.write(`dirtybitmap: ${line.trim()}\n`);
  // Problems are in the plan that was shown.
  if (error !== undefined && result !== 'problems') terminal.stderr.write(errorLine(error));
  if (plan.problems.some(({ code }) => code === 'argument')) return EXIT.USAGE;
  return result === 'done' && error !== undefined ? EXIT.BAD : exit;
}
