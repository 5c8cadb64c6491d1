import type { Argument, Command, Option } from 'commander';

/** What can stand somewhere on a command line: one of these words, the name of a file, or anything. */
export type Value = { readonly words: readonly string[] } | 'file' | 'any';

/** An option, as a shell completes it. */
export interface OptionWords {
  /** `-o`, `--output`: as they are typed. */
  readonly flags: readonly string[];
  readonly description: string;
  /** What follows it; undefined for a switch. */
  readonly value: Value | undefined;
  /** Whether it may be given several times. */
  readonly repeats: boolean;
}

/** A command, as a shell completes it. */
export interface CommandWords {
  /** The words of it, from the name of the program on. */
  readonly path: readonly string[];
  readonly description: string;
  readonly commands: readonly CommandWords[];
  readonly options: readonly OptionWords[];
  /** What its arguments are; the last one repeats where it may. */
  readonly values: readonly Value[];
  readonly repeats: boolean;
}

/** Placeholders of the command definitions that stand for a file, an image or a socket. */
const FILES: readonly string[] = ['a', 'b', 'capture', 'file', 'folder', 'image', 'input', 'set', 'socket'];

/** A command and those below it, from the definitions that `--help` is made of too: what is hidden there is hidden here. */
export function commandWords(command: Command, before: readonly string[] = []): CommandWords {
  const help = command.createHelp();
  const path = [...before, command.name()];
  const names = command.commands.map((one) => one.name());
  return {
    path,
    description: help.commandDescription(command),
    commands: help.visibleCommands(command).map((one) => {
      const words = commandWords(one, path);
      // Where there are commands there is `help`, and its argument is one of them.
      return command.commands.includes(one) ? words : { ...words, values: [{ words: names }] };
    }),
    options: help.visibleOptions(command).map((option) => ({
      flags: [option.short, option.long].filter((flag) => flag !== undefined),
      description: option.description,
      value: option.required || option.optional ? valueFor(option) : undefined,
      // One that has a function to read it may put together what was given before.
      repeats: option.parseArg !== undefined,
    })),
    values: command.registeredArguments.map(valueFor),
    repeats: command.registeredArguments.at(-1)?.variadic ?? false,
  };
}

/** All commands, each before those below it. */
export function allCommands(command: CommandWords): CommandWords[] {
  return [command, ...command.commands.flatMap(allCommands)];
}

function valueFor(of: Option | Argument): Value {
  if (of.argChoices !== undefined) return { words: of.argChoices };
  const placeholder = 'flags' in of ? (/[<[]([^>\]]+)[>\]]/.exec(of.flags)?.[1] ?? '') : of.name();
  return FILES.includes(placeholder.replace(/\.\.\.$/, '').toLowerCase()) ? 'file' : 'any';
}
