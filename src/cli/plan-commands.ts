import { type Command, InvalidArgumentError, Option } from 'commander';
import type { MakeOperation, PlanOptions } from './commands/plan.js';
import type { PlanOutput } from './plan-report.js';
import type { Terminal } from './terminal.js';

const OUTPUTS: readonly PlanOutput[] = ['human', 'qmp', 'sh'];

interface OperationOptions extends PlanOptions {
  readonly top?: string;
  readonly base?: string;
  readonly target?: string;
  readonly bitmap?: string;
  readonly into?: string;
  readonly writeNode?: string;
  readonly mirror?: string;
  readonly shallow?: boolean;
  readonly scratch?: string;
  readonly overlay?: string;
}

/** Registers `plan`, with a command for each operation. */
export function addPlanCommands(program: Command, terminal: Terminal, done: (code: number) => void): void {
  const plan = program
    .command('plan')
    .description('the QMP transaction for the bitmaps of a disk whose backing chain changes; sent only with --apply');
  const command = (name: string, text: string): Command => nodeOptions(plan.command(name).description(text));
  const action =
    (make: (options: OperationOptions) => MakeOperation) =>
    async (options: OperationOptions): Promise<void> => {
      const { planCommand } = await import('./commands/plan.js');
      done(await planCommand(make(options), options, terminal));
    };
  const prepare = (of: Command): Command =>
    of.option('--prepare', 'what goes before it instead: when the job is ready, before it is told to complete');

  prepare(command('copy', 'the disk was mirrored to another image: when the job is concluded'))
    .requiredOption('--mirror <node>', 'the node that it was copied to')
    .option('--shallow', 'of the active layer alone')
    .action(
      action(({ mirror = '', shallow }) => () => ({ kind: 'copy', mirror, shallow })),
    );

  prepare(command('commit', 'layers were committed into one below them: when the job is concluded'))
    .option('--top <node>', 'the uppermost that was committed (default: the active layer)')
    .requiredOption('--base <node>', 'the node that they went to')
    .action(
      action(({ top, base = '' }) => (active) => ({ kind: 'commit', top: top ?? active, base })),
    );

  command('pull', 'layers below were streamed into the active one: when the job is concluded')
    .option('--base <node>', 'the first that was not (default: all were)')
    .action(
      action(({ base }) => () => ({ kind: 'pull', base })),
    );

  command('backup', 'what changed since a checkpoint, in one bitmap for a backup job')
    .requiredOption('--bitmap <name>', 'the bitmap of the checkpoint')
    .option('--scratch <node>', 'pull mode: the node that keeps old data (default: push mode)')
    .option('--into <name>', 'what the bitmap for the job is called (default: backup-NODE)')
    .action(
      action(({ bitmap = '', scratch, into }) => (active) => {
        return { kind: 'backup', bitmap, scratch, into: into ?? `backup-${active}` };
      }),
    );

  command('snapshot', 'an overlay comes on top, with bitmaps that go on recording')
    .requiredOption('--overlay <node>', 'the node that comes on top; opened already, with "backing": null')
    .action(
      action(({ overlay = '' }) => () => ({ kind: 'snapshot', overlay })),
    );

  command('merge', 'what changed since a bitmap was made, of several layers in one bitmap')
    .option('--top <node>', 'look down from this one (default: the first of the chain)')
    .option('--base <node>', 'the first that is not merged any more (default: to the end of the chain)')
    .requiredOption('--target <node>', 'the node that gets the result')
    .option('--bitmap <name>', 'only this one')
    .option('--into <name>', 'another name for the result, transient and disabled, for a backup')
    .option('--write-node <node>', 'the node with libvirt-tmp-activewrite, which is merged and removed')
    .action(
      action(({ top, base, target = '', bitmap, into, writeNode }) => (active) => {
        return { kind: 'merge', top: top ?? active, base, target, bitmap, into, writeNode };
      }),
    );

  command('delete', 'remove the bitmap of a checkpoint from every layer')
    .requiredOption('--bitmap <name>', 'the bitmap of the checkpoint')
    .action(
      action(({ bitmap = '' }) => () => ({ kind: 'delete', bitmap })),
    );
}

function nodeOptions(command: Command): Command {
  return command
    .option('--qmp <socket>', 'ask this QEMU: unix:PATH, tcp:HOST:PORT or a path')
    .option('--nodes <file>', 'what query-named-block-nodes returned, instead of --qmp; - is standard input')
    .option('--graph <file>', 'what x-debug-query-block-graph returned, with --nodes; QEMU 10.1 does not need it')
    .option('--node <node>', 'the active layer: a node; a device too, where the job did not move it')
    .option('--chain <nodes>', 'instead of --node: names of nodes from the active layer down: TOP,...,BASE', parseChain)
    .addOption(
      new Option('-o, --output <how>', 'for a person, the JSON of the actions, or a shell script')
        .choices(OUTPUTS)
        .default('human'),
    )
    .option('--apply', 'do it: as one transaction, sent once, and looked at afterwards')
    .option('--timeout <seconds>', 'for each answer of QEMU', parseSeconds, 30);
}

/** Seconds, with or without a fraction. */
export function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0 && seconds <= 86_400)) throw new InvalidArgumentError('expected seconds, above 0, up to a day');
  return seconds;
}

function parseChain(text: string): readonly string[] {
  const chain = text.split(',');
  if (chain.includes('')) throw new InvalidArgumentError('expected names of nodes, joined by commas');
  return chain;
}
