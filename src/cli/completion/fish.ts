import { allCommands, type CommandWords, type OptionWords, type Value } from './command-words.js';

/** A script that completes the command line in fish. */
export function fishCompletion(program: CommandWords): string {
  const [name = ''] = program.path;
  const all = allCommands(program);
  const known = all.slice(1).map(({ path }) => quote(path.join(' ')));
  return `# Completion for fish: ${name} completion fish | source
function __${name}_at
    set -l at ${name}
    for word in (commandline -opc)[2..]
        switch "$at $word"
            case ${known.join(' ')}
                set at "$at $word"
        end
    end
    test "$at" = "$argv[1]"
end
complete -c ${name} -f
${all.flatMap((command) => linesOf(name, command)).join('\n')}
`;
}

function linesOf(name: string, command: CommandWords): string[] {
  const begin = `complete -c ${name} -n ${quote(`__${name}_at '${command.path.join(' ')}'`)}`;
  const names = command.commands.map(
    ({ path, description }) => `${begin} -a ${quote(path.at(-1) ?? '')} -d ${quote(description)}`,
  );
  const values = [...new Set(command.values.map(action))].filter((one) => one !== '').map((one) => `${begin}${one}`);
  return [...names, ...values, ...command.options.map((option) => `${begin}${optionOf(option)}`)];
}

function optionOf({ flags, description, value }: OptionWords): string {
  const named = flags.map((flag) => (flag.startsWith('--') ? ` -l ${flag.slice(2)}` : ` -s ${flag.slice(1)}`));
  const after = value === undefined ? '' : value === 'file' ? ' -r -F' : ` -x${action(value)}`;
  return `${named.join('')}${after} -d ${quote(description)}`;
}

function action(value: Value): string {
  if (value === 'any') return '';
  return value === 'file' ? ' -F' : ` -a ${quote(value.words.join(' '))}`;
}

function quote(text: string): string {
  return `'${text.replaceAll(/[\\']/g, (character) => `\\${character}`)}'`;
}
