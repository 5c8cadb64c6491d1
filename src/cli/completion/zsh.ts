import { allCommands, type CommandWords, type OptionWords, type Value } from './command-words.js';

/** A script that completes the command line in zsh: one to be sourced, or a file `_dirtybitmap` in a folder of `fpath`. */
export function zshCompletion(program: CommandWords): string {
  const [name = ''] = program.path;
  return `#compdef ${name}
# Completion for zsh: source <(${name} completion zsh), after compinit
${allCommands(program).reverse().map(completionOf).join('\n')}
if [[ $funcstack[1] == _${name} ]]; then _${name} "$@"; else compdef _${name} ${name}; fi
`;
}

function functionOf({ path }: CommandWords): string {
  return `_${path.join('_').replaceAll('-', '_')}`;
}

function completionOf(command: CommandWords): string {
  const options = command.options.map(optionSpec);
  if (command.commands.length === 0) {
    const last = command.values.length - 1;
    const values = command.values.map((value, at) => {
      const place = at === last && command.repeats ? '*' : String(at + 1);
      return `'${place}:${action(value)}'`;
    });
    return `${functionOf(command)}() {\n  _arguments -s \\\n    ${[...options, ...values].join(' \\\n    ')}\n}`;
  }
  const names = command.commands.map(({ path, description }) => quote(`${path.at(-1)}:${description}`));
  const cases = command.commands.map((one) => `        ${one.path.at(-1)}) ${functionOf(one)} ;;`);
  return `${functionOf(command)}() {
  local curcontext=$curcontext state line
  typeset -A opt_args
  local -a commands=(
    ${names.join('\n    ')}
  )
  _arguments -C -s \\
    ${options.join(' \\\n    ')} \\
    '1:command:->command' '*::argument:->argument'
  case $state in
    command) _describe -t commands command commands ;;
    argument)
      case $line[1] in
${cases.join('\n')}
      esac
      ;;
  esac
}`;
}

/** `(-o --output)-o[what it does]:file:_files`, for each of its flags. */
function optionSpec({ flags, description, value, repeats }: OptionWords): string {
  const text = description.replaceAll(/[[\]:\\]/g, (character) => `\\${character}`);
  const excluded = repeats ? '*' : flags.length > 1 ? `(${flags.join(' ')})` : '';
  const after = value === undefined ? '' : `:${action(value)}`;
  return flags.map((flag) => quote(`${excluded}${flag}[${text}]${after}`)).join(' ');
}

function action(value: Value): string {
  if (value === 'any') return 'value: ';
  return value === 'file' ? 'file:_files' : `value:(${value.words.join(' ')})`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
