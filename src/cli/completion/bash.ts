import { allCommands, type CommandWords, type OptionWords, type Value } from './command-words.js';

/** A script that completes the command line in bash. It starts no program, so that nobody waits for the tab key. */
export function bashCompletion(program: CommandWords): string {
  const [name = ''] = program.path;
  const all = allCommands(program);
  return `# Completion for bash: source <(${name} completion bash)
_${name}() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} at=${name} word options= words= files=
  COMPREPLY=()
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$at $word" in
      ${all.slice(1).map(pattern).join(' | ')}) at+=" $word" ;;
    esac
  done
  case "$at $prev" in
${all.flatMap((command) => command.options.flatMap((option) => afterOption(command, option))).join('\n')}
    *)
      case $at in
${all.map(afterCommand).join('\n')}
      esac
      if [[ $cur == -* ]]; then words=$options files=; fi
      ;;
  esac
  if [[ -n $files ]]; then
    local IFS=$'\\n'
    # There is no compopt before bash 4.
    compopt -o default 2>/dev/null || COMPREPLY=($(compgen -f -- "$cur"))
  else
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
  fi
}
complete -F _${name} ${name}
`;
}

function pattern({ path }: CommandWords): string {
  return `'${path.join(' ')}'`;
}

/** What follows an option that takes a value. */
function afterOption({ path }: CommandWords, { flags, value }: OptionWords): string[] {
  if (value === undefined) return [];
  const patterns = flags.map((flag) => `'${[...path, flag].join(' ')}'`).join(' | ');
  return [`    ${patterns})${offer(value)} ;;`];
}

/** What follows a command. Which of its arguments it is is not counted: they are much the same. */
function afterCommand(command: CommandWords): string {
  const options = command.options.flatMap(({ flags }) => flags).join(' ');
  const names = command.commands.map(({ path }) => path.at(-1) ?? '');
  const offers = new Set(names.length > 0 ? [offer({ words: names })] : command.values.map(offer));
  return `        ${pattern(command)}) options='${options}'${[...offers].join('')} ;;`;
}

function offer(value: Value): string {
  if (value === 'any') return '';
  return value === 'file' ? ' files=yes' : ` words='${value.words.join(' ')}'`;
}
