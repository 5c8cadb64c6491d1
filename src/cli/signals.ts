import type { Terminal } from './terminal.js';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** What ends work cleanly: a signal, of which a second one ends the process, or an output that cannot be written. */
export interface CleanEnd {
  /** Aborted by the first of them. */
  readonly signal: AbortSignal;
  stop(): void;
}

/** Takes the signals that end a process, and errors of standard output, until it is stopped. */
export function onSignals({ stdout }: Terminal): CleanEnd {
  const controller = new AbortController();
  const end = (name: NodeJS.Signals): void => {
    stop();
    controller.abort(new Error(`${name} came`));
  };
  const broken = ({ code }: NodeJS.ErrnoException): void => {
    // A reader that has gone is not waited for, and ends nothing (main.ts).
    if (code !== 'EPIPE') controller.abort(new Error('the output cannot be written'));
  };
  const stop = (): void => {
    for (const name of SIGNALS) process.off(name, end);
    stdout.off('error', broken);
  };
  for (const name of SIGNALS) process.on(name, end);
  stdout.on('error', broken);
  return { signal: controller.signal, stop };
}
