const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Signals that end work cleanly; a second one ends the process. */
export interface CleanEnd {
  /** Aborted by the first signal. */
  readonly signal: AbortSignal;
  stop(): void;
}

/** Takes the signals that end a process until it is stopped. */
export function onSignals(): CleanEnd {
  const controller = new AbortController();
  const end = (name: NodeJS.Signals): void => {
    stop();
    controller.abort(new Error(`${name} came`));
  };
  const stop = (): void => {
    for (const name of SIGNALS) process.off(name, end);
  };
  for (const name of SIGNALS) process.on(name, end);
  return { signal: controller.signal, stop };
}
