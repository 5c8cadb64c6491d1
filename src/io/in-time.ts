/** How long to wait. */
export interface Wait {
  /** Milliseconds; undefined: for ever. */
  readonly timeout?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Waits for work; what comes too late is dropped.
 * @throws what the work throws; what `late` makes; the reason of an aborted signal.
 */
export async function inTime<T>(work: Promise<T>, { timeout, signal }: Wait, late: () => Error): Promise<T> {
  const done = new AbortController();
  const limits: Promise<never>[] = [];
  if (timeout !== undefined) {
    limits.push(
      new Promise((_, reject) => {
        const timer = setTimeout(() => reject(late()), timeout);
        done.signal.addEventListener('abort', () => clearTimeout(timer));
      }),
    );
  }
  if (signal !== undefined) {
    limits.push(
      new Promise((_, reject) => {
        const abort = (): void => reject(signal.reason);
        if (signal.aborted) abort();
        signal.addEventListener('abort', abort, { once: true, signal: done.signal });
      }),
    );
  }
  work.catch(() => {});
  try {
    return await Promise.race([work, ...limits]);
  } finally {
    done.abort();
  }
}
