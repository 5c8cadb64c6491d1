import type { Command, Help } from 'commander';
import { INPUT_TEXT } from '../../src/cli/program.js';
import { EXIT_TEXTS } from '../../src/cli/terminal.js';
import { RULES } from '../../src/rules.js';

/** The manual page, section 1, from the definitions that `--help` is made of too, and the codes of all errors and findings. */
export function manPage(program: Command): string {
  const name = program.name();
  const help = program.createHelp();
  const lines = [
    `.TH ${name.toUpperCase()} 1 "" "${name} ${program.version()}" "User Commands"`,
    '.SH NAME',
    `${name} \\- QEMU dirty bitmaps: show, check, convert, compare, merge, send and receive them`,
    '.SH SYNOPSIS',
    `.B ${name}`,
    '.I command',
    '.RI [ options ]',
    '.SH DESCRIPTION',
    text(program.description()),
    '.PP',
    text(INPUT_TEXT),
    ...optionsOf(program, help),
    '.SH COMMANDS',
    ...program.commands.flatMap((command) => commandLines(command, [], help)),
    '.SH EXIT STATUS',
    ...Object.entries(EXIT_TEXTS).flatMap(([code, meaning]) => term(code, meaning)),
    '.SH ENVIRONMENT',
    ...term('NO_COLOR', 'Where it is set and not empty, nothing is coloured.'),
    ...term('TERM', 'Where it is dumb, nothing is coloured.'),
    '.SH DIAGNOSTICS',
    text(
      'Every error and every finding has one of these codes. ERRORS.md of the package says what causes them and what to do.',
    ),
    ...Object.entries(RULES).flatMap(([code, { rule }]) => term(code, rule)),
  ];
  return `${lines.join('\n')}\n`;
}

/** A command, or each of the commands that it consists of. */
function commandLines(command: Command, before: readonly string[], help: Help): string[] {
  const words = [...before, command.name()];
  if (command.commands.length > 0) {
    const head = [`.SS ${text(words.join(' '))}`, text(`${help.commandDescription(command)}.`)];
    return [...head, ...command.commands.flatMap((one) => commandLines(one, words, help))];
  }
  const usage = help
    .commandUsage(command)
    .split(' ')
    .slice(1 + before.length)
    .join(' ');
  return [
    `.SS ${text([...before, usage].join(' '))}`,
    text(`${help.commandDescription(command)}.`),
    ...help
      .visibleArguments(command)
      .flatMap((argument) => term(help.argumentTerm(argument), help.argumentDescription(argument))),
    ...optionsOf(command, help),
  ];
}

/** Its options; `--help`, which every command has, is told of once, with those of the program. */
function optionsOf(command: Command, help: Help): string[] {
  return help
    .visibleOptions(command)
    .filter(({ long }) => long !== '--help' || command.parent === null)
    .flatMap((option) => term(help.optionTerm(option), help.optionDescription(option)));
}

/** A tagged paragraph. */
function term(tag: string, description: string): string[] {
  return ['.TP', `.B ${text(tag).replaceAll('-', '\\-')}`, text(description)];
}

/** Text in which nothing is a request or an escape; `code` is bold. */
function text(plain: string): string {
  const escaped = plain.replaceAll('\\', '\\e').replaceAll(/`([^`]*)`/g, '\\fB$1\\fR');
  return /^[.']/.test(escaped) ? `\\&${escaped}` : escaped;
}
