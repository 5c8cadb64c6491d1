import type { Terminal } from './terminal.js';

/** Work that takes longer than this, in milliseconds, is shown. */
const PATIENCE = 1000;

/** Shows how far a long read has come, on a terminal only. */
export interface Progress {
  /** Bytes read so far. */
  update(bytes: number): void;
  stop(): void;
}

/**
 * A progress bar with rate and time left on standard error, from the first second on; nothing where that is no terminal.
 * @param total bytes of the input; without it only the rate is shown.
 */
export function startProgress(terminal: Terminal, label: string, total: number | undefined): Progress | undefined {
  if (terminal.stderr.isTTY !== true) return undefined;
  const began = performance.now();
  let bar: { update(value: number, payload: object): void; stop(): void } | undefined;
  let loading = false;
  let stopped = false;
  // The bar's module is only loaded by the few runs that show one.
  const show = async (): Promise<void> => {
    const { SingleBar } = await import('cli-progress');
    if (stopped) return;
    const format =
      total === undefined
        ? '{label} {mib} MiB  {rate} MiB/s'
        : '{label} [{bar}] {percentage}%  {rate} MiB/s  ETA {eta_formatted}';
    const single = new SingleBar({ format, stream: terminal.stderr, clearOnComplete: true, hideCursor: true });
    single.start(total ?? 0, 0, { label, rate: '-', mib: 0 });
    bar = single;
  };
  return {
    update(bytes) {
      const seconds = (performance.now() - began) / 1000;
      if (seconds * 1000 < PATIENCE) return;
      if (!loading) {
        loading = true;
        void show();
      }
      const mib = bytes / 2 ** 20;
      bar?.update(bytes, { rate: (mib / seconds).toFixed(0), mib: mib.toFixed(0) });
    },
    stop() {
      stopped = true;
      bar?.stop();
    },
  };
}
