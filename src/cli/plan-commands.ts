import { type Command, InvalidArgumentError, Option } from 'commander';
import type { PlanOptions, PlanOutput } from './commands/plan.js';
import type { Terminal } from './terminal.js';

const OUTPUTS: readonly PlanOutput[] = ['human', 'qmp'];

/** Registers `plan`, with a command for each operation. */
export function addPlanCommands(program: Command, terminal: Terminal, done: (code: number) => void): void {
  const plan = program
    .command('plan')
    .description('the QMP transaction that merges or deletes bitmaps along a backing chain; nothing is sent');
  const command = (name: string, text: string): Command =>
    plan
      .command(name)
      .description(text)
      .requiredOption('--nodes <file>', 'what query-named-block-nodes returned; - is standard input')
      .requiredOption('--chain <nodes>', 'node names from the active layer down: TOP,...,BASE', parseChain)
      .addOption(
        new Option('-o, --output <how>', 'for a person, or the JSON of the actions').choices(OUTPUTS).default('human'),
      );

  command('merge', 'what changed since a bitmap was made, of several layers in one bitmap')
    .option('--top <node>', 'look down from this one (default: the first of the chain)')
    .option('--base <node>', 'the first that is not merged any more (default: to the end of the chain)')
    .requiredOption('--target <node>', 'the node that gets the result')
    .option('--bitmap <name>', 'only this one')
    .option('--into <name>', 'another name for the result, transient and disabled, for a backup')
    .option('--write-node <node>', 'the node with libvirt-tmp-activewrite, which is merged and removed')
    .action(async (options: PlanOptions) => {
      const { planMergeCommand } = await import('./commands/plan.js');
      done(await planMergeCommand(options, terminal));
    });

  command('delete', 'remove the bitmap of a checkpoint from every layer')
    .requiredOption('--bitmap <name>', 'the bitmap of the checkpoint')
    .action(async (options: PlanOptions) => {
      const { planDeleteCommand } = await import('./commands/plan.js');
      done(await planDeleteCommand(options, terminal));
    });
}

function parseChain(text: string): readonly string[] {
  const chain = text.split(',');
  if (chain.includes('')) throw new InvalidArgumentError('expected names of nodes, joined by commas');
  return chain;
}
