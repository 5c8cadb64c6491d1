import { printable } from '../bytes/text.js';
import type { BitmapPlan } from '../chain/actions.js';
import { DirtyBitmapError } from '../errors.js';
import { bitmapPlanText } from './bitmap-plan-text.js';
import { jsonText } from './text.js';

/** The commands around a transaction, as QMP has them. */
export interface ScriptCommands {
  /** Makes nodes writable; undefined where none has to be. */
  readonly open: object | undefined;
  readonly transaction: object;
  readonly close: object | undefined;
}

/**
 * A POSIX shell script that does a plan, through `virsh` or a program of the caller's that takes a QMP command and prints
 * the answer. No name of a domain is guessed.
 * @throws DirtyBitmapError `unsupported`: a command is too long for one.
 */
export function planScript(plan: BitmapPlan, { open, transaction, close }: ScriptCommands): string {
  const comments = bitmapPlanText(plan).map((line) => `# ${printable(line)}`);
  return `#!/bin/sh
# Made from what QEMU said of its nodes at that time: if they changed since, make a new one.
${comments.join('\n')}
#
# DOMAIN=NAME sh SCRIPT            asks libvirt, with virsh qemu-monitor-command
# QMP_COMMAND=PROGRAM sh SCRIPT    PROGRAM takes a QMP command as its argument, and prints QEMU's answer
# Exit: 0 done, 1 refused by QEMU, 2 used wrongly, 3 not known whether it was done.
set -u
if [ -z "\${QMP_COMMAND:-}" ] && [ -z "\${DOMAIN:-}" ]; then
  echo 'set DOMAIN to the name of the VM, or QMP_COMMAND' >&2
  exit 2
fi

# qmp WHAT COMMAND
qmp() {
  if [ -n "\${QMP_COMMAND:-}" ]; then
    answer=$("$QMP_COMMAND" "$2")
  else
    answer=$(virsh qemu-monitor-command --domain "$DOMAIN" --cmd "$2")
  fi
  case $(printf '%s' "$answer" | tr -d '[:space:]') in
    *'"return":'*) echo "$1: done" ;;
    *'"error":'*) echo "$1: refused: $answer" >&2; return 1 ;;
    *) echo "$1: no answer: whether it was done is not known; ask QEMU before you repeat it" >&2; return 3 ;;
  esac
}

${[
  'code=0',
  // Refused is as it was; without an answer the nodes may be writable, and are made read-only again.
  ...(open ? [`qmp 'reopen read-write' ${quote(open)} || code=$?`, '[ $code -ne 1 ] || exit 1'] : []),
  `[ $code -ne 0 ] || qmp 'transaction' ${quote(transaction)} || code=$?`,
  ...(close ? [`qmp 'reopen read-only' ${quote(close)} || { again=$?; [ $code -gt $again ] || code=$again; }`] : []),
  'exit $code',
].join('\n')}
`;
}

/** Linux takes no longer word of a command (MAX_ARG_STRLEN), in bytes and with a NUL byte behind it. */
const MAX_WORD = 128 * 1024 - 1;

/** As one word of a shell. */
function quote(command: object): string {
  const text = jsonText(command);
  if (new TextEncoder().encode(text).length > MAX_WORD) {
    const message = `a command of this plan is longer than the ${MAX_WORD} bytes that a shell can pass on; use --apply`;
    throw new DirtyBitmapError('unsupported', message);
  }
  return `'${text.replaceAll("'", "'\\''")}'`;
}
