import { printable } from '../bytes/text.js';
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
export async function startProgress(
  terminal: Terminal,
  label: string,
  total: number | undefined,
): Promise<Progress | undefined> {
  if (terminal.stderr.isTTY !== true) return undefined;
  // Loaded before the reading begins, which may give way to nothing until it is done.
  const { SingleBar } = await import('cli-progress');
  const began = performance.now();
  const format =
    total === undefined
      ? '{label} {mib} MiB  {rate} MiB/s'
      : '{label} [{bar}] {percentage}%  {rate} MiB/s  ETA {eta_formatted}';
  const bar = new SingleBar({ format, stream: terminal.stderr, clearOnComplete: true, hideCursor: true });
  let shown = false;
  return {
    update(bytes) {
      const seconds = (performance.now() - began) / 1000;
      if (seconds * 1000 < PATIENCE) return;
      const mib = bytes / 2 ** 20;
      const payload = { label: printable(label), rate: (mib / seconds).toFixed(0), mib: mib.toFixed(0) };
      if (!shown) bar.start(total ?? 0, bytes, payload);
      shown = true;
      bar.update(bytes, payload);
    },
    stop() {
      if (shown) bar.stop();
    },
  };
}
