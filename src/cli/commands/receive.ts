import type { Socket } from 'node:net';
import { printable } from '../../bytes/text.js';
import type { CaptureReader } from '../../capture/capture-reader.js';
import { DirtyBitmapError, isDirtyBitmapError } from '../../errors.js';
import { formatAddress, parseAddress } from '../../io/address.js';
import { Listener } from '../../io/listen.js';
import { type ReceivedMigration, receiveMigration } from '../../io/receive-migration.js';
import { resolveLimits } from '../../limits.js';
import { infoText } from '../../report/info-text.js';
import { type InfoDocument, infoDocument } from '../../report/input-report.js';
import { jsonText } from '../../report/text.js';
import { LiveMigration } from '../live-migration.js';
import { nativeSha256 } from '../native-sha256.js';
import { ReceivedTargets, type TargetOptions, type WrittenTarget } from '../received-targets.js';
import { onSignals } from '../signals.js';
import {
  type ErrorDocument,
  EXIT,
  errorDocument,
  errorLine,
  exitCodeOf,
  painter,
  type Terminal,
  writeOut,
} from '../terminal.js';

/** What `receive` can be asked. */
export interface ReceiveCommandOptions extends TargetOptions {
  readonly listen: string;
  /** Ends after the first migration. */
  readonly once?: boolean;
  /** Seconds without a byte; 0 for ever. */
  readonly timeout: number;
  readonly json?: boolean;
}

/** `receive --listen ADDRESS`: a destination for a QEMU's `migrate` that keeps the bitmaps. */
export async function receive(options: ReceiveCommandOptions, terminal: Terminal): Promise<number> {
  if (options.json === true && options.once !== true) {
    throw new DirtyBitmapError('argument', '--json is one document, of one migration: give --once too');
  }
  if (options.json === true && options.output === '-') {
    throw new DirtyBitmapError('argument', '--json and -o - both write to standard output: give -o a file');
  }
  const address = parseAddress(options.listen);
  const targets = await ReceivedTargets.check(options, terminal);
  const say = (text: string): void => void terminal.stderr.write(`dirtybitmap: ${text}\n`);
  const listener = await Listener.open(address, {
    onRefused: (from) =>
      say(
        `a second connection (${printable(from)}) was refused: one migration at a time, over one channel (a source with ` +
          'multifd or postcopy-preempt opens more: switch these off)',
      ),
  });
  const signals = onSignals();
  let worst: number = EXIT.OK;
  try {
    say(`waits at ${printable(formatAddress(listener.address))} for a migration`);
    do {
      const socket = await listener.accept(signals.signal);
      worst = Math.max(worst, await receiveOne(socket, targets, options, signals.signal, terminal));
    } while (options.once !== true && !signals.signal.aborted);
    return worst;
  } catch (error) {
    // Nothing came when it was ended: that is how it ends.
    if (signals.signal.aborted && error === signals.signal.reason) return worst;
    throw error;
  } finally {
    signals.stop();
    await listener.close();
  }
}

async function receiveOne(
  socket: Socket,
  targets: ReceivedTargets,
  options: ReceiveCommandOptions,
  signal: AbortSignal,
  terminal: Terminal,
): Promise<number> {
  const live = await LiveMigration.begin(terminal, (node) => targets.sizeOf(node));
  let written: readonly WrittenTarget[] | undefined;
  let came: CaptureReader | undefined;
  live.say('a source has connected');
  try {
    // What was written for the migration before may be there still.
    await targets.checkFree();
    const received = await receiveMigration(socket, {
      ...(options.timeout > 0 && { timeout: options.timeout * 1000 }),
      signal,
      limits: options.limit,
      onProgress: (incoming) => live.update(incoming),
      keep: async (reader) => {
        came = reader;
        written = await targets.write(reader);
      },
    });
    live.stop();
    return await tell(received, written, targets, options, terminal);
  } catch (error) {
    live.stop();
    // Refused before it began: the source fails at once, and goes on.
    socket.destroy();
    if (came !== undefined) await keepPartial(came, targets, terminal);
    if (!isDirtyBitmapError(error) || options.once === true) throw error;
    terminal.stderr.write(errorLine(error));
    return exitCodeOf(error);
  }
}

/** What could not be written where it should be, the source may not have any more. */
async function keepPartial(reader: CaptureReader, targets: ReceivedTargets, terminal: Terminal): Promise<void> {
  const partial = await targets.writePartial(reader);
  if (partial === undefined) return;
  terminal.stderr.write(`dirtybitmap: what came is kept in ${printable(partial)}, a set\n`);
}

async function tell(
  { reader, error, complete }: ReceivedMigration,
  written: readonly WrittenTarget[] | undefined,
  targets: ReceivedTargets,
  { listen, json, limit }: ReceiveCommandOptions,
  terminal: Terminal,
): Promise<number> {
  const { bitmaps, bytes, summary, findings } = reader;
  const report = { input: listen, format: 'capture', bytes, capture: summary, bitmaps, findings } as const;
  const document = infoDocument(report, nativeSha256, resolveLimits(limit).maxHashBytes);
  const partial = written === undefined ? await targets.writePartial(reader) : undefined;
  const why = error === undefined || isDirtyBitmapError(error) ? error : interrupted(error);
  if (json === true) {
    await writeOut(terminal, `${jsonText(receivedDocument(document, why, written, partial), 2)}\n`);
  } else {
    const paint = painter(terminal.stdout, terminal.env);
    const lines = [...infoText(document, paint), ...(written ?? []).flatMap(({ lines: own }) => own)];
    await writeOut(terminal, `${lines.join('\n')}\n`);
  }
  if (why !== undefined) terminal.stderr.write(errorLine(why));
  if (partial !== undefined) {
    terminal.stderr.write(`dirtybitmap: what came is kept in ${printable(partial)}, a set\n`);
  } else if (written === undefined && !targets.none) {
    terminal.stderr.write('dirtybitmap: nothing was written: no bitmap had come\n');
  }
  if (why !== undefined) return exitCodeOf(why);
  return complete && findings.counts.error === 0 ? EXIT.OK : EXIT.BAD;
}

/** The JSON document of `receive --json`: that of `info`, and what became of it here. */
export interface ReceivedDocument extends InfoDocument, Partial<ErrorDocument> {
  readonly written: readonly (Pick<WrittenTarget, 'output' | 'format' | 'bitmaps'> & {
    /** Of a file; null for an image. */
    readonly bytes: number | null;
  })[];
  /** The file with what came of a migration that did not come to its end. */
  readonly partial: string | null;
}

function receivedDocument(
  document: InfoDocument,
  error: DirtyBitmapError | undefined,
  written: readonly WrittenTarget[] | undefined,
  partial: string | undefined,
): ReceivedDocument {
  return {
    ...document,
    written: (written ?? []).map(({ lines: _lines, bytes, ...one }) => ({ ...one, bytes: bytes ?? null })),
    partial: partial ?? null,
    ...(error && errorDocument(error)),
  };
}

function interrupted(cause: Error): DirtyBitmapError {
  return new DirtyBitmapError('peer-closed', `the migration was ended here: ${cause.message}`, { cause });
}
