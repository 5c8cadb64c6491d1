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
  const signals = onSignals(terminal);
  let worst: number = EXIT.OK;
  try {
    say(`waits at ${printable(formatAddress(listener.address))} for a migration`);
    for (;;) {
      const socket = await listener.accept(signals.signal);
      worst = Math.max(worst, await receiveOne(socket, targets, options, signals.signal, terminal));
      if (options.once === true || signals.signal.aborted) return worst;
      // A connection that is taken only to be dropped would harm the source: its persistent bitmaps are not stored then.
      if (!targets.taken) continue;
      say('what was written is in the way of the next migration: no more are taken (see --force)');
      return worst;
    }
  } catch (error) {
    if (!signals.signal.aborted || error !== signals.signal.reason) throw error;
    // Without --once that is how it ends.
    if (options.once !== true) return worst;
    throw interrupted(error as Error, 'before a migration came');
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
  live.say('a source has connected');
  targets.begin();
  try {
    const received = await receiveMigration(socket, {
      ...(options.timeout > 0 && { timeout: options.timeout * 1000 }),
      signal,
      limits: options.limit,
      onProgress: (incoming) => live.update(incoming),
      keep: async (reader) => await targets.write(reader),
    });
    live.stop();
    const { error } = received;
    // Neither the peer's doing nor that of a signal: a fault of ours.
    if (error !== undefined && !isDirtyBitmapError(error) && !signal.aborted) throw error;
    return await tell(received, targets, options, terminal);
  } finally {
    live.stop();
  }
}

async function tell(
  { reader, error, complete, kept }: ReceivedMigration,
  targets: ReceivedTargets,
  { listen, json, limit, output }: ReceiveCommandOptions,
  terminal: Terminal,
): Promise<number> {
  const { bitmaps, bytes, summary, findings } = reader;
  const report = { input: listen, format: 'capture', bytes, capture: summary, bitmaps, findings } as const;
  const document = infoDocument(report, nativeSha256, resolveLimits(limit).maxHashBytes);
  const why = error === undefined || isDirtyBitmapError(error) ? error : interrupted(error, 'in the middle');
  const stderr = (line: string): void => void terminal.stderr.write(`dirtybitmap: ${line}\n`);
  const partial = kept ? undefined : await partialOf(reader, targets, terminal);
  if (json === true) {
    await writeOut(terminal, `${jsonText(receivedDocument(document, why, targets.written, partial), 2)}\n`);
  } else if (output !== '-') {
    const paint = painter(terminal.stdout, terminal.env);
    await writeOut(terminal, `${infoText(document, paint).join('\n')}\n`);
    for (const line of targets.written.flatMap(({ lines }) => lines)) await writeOut(terminal, `${line}\n`);
  }
  if (why !== undefined) terminal.stderr.write(errorLine(why));
  if (!kept && targets.written.length > 0) {
    stderr(`written before that: ${targets.written.map((one) => printable(one.output)).join(', ')}`);
  }
  if (partial !== undefined) stderr(`what came is kept in ${printable(partial)}, a set`);
  else if (!kept && !targets.none && bitmaps.length === 0) stderr('nothing was written: no bitmap had come');
  if (!kept && bitmaps.some(({ persistent }) => persistent)) stderr(SKIP_STORE);
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

/** Source: dirty-bitmap-states.md section 4, skip_store; QEMU 7.2 and 11.1. */
const SKIP_STORE =
  'the source does not store its persistent bitmaps any more after a migration that failed: they will be inconsistent ' +
  'when it ends; one migration that completes, and `cont` at the source, mends that';

/** What came, beside the target; where that cannot be written either, that is told and hides nothing. */
async function partialOf(
  reader: CaptureReader,
  targets: ReceivedTargets,
  terminal: Terminal,
): Promise<string | undefined> {
  try {
    return await targets.writePartial(reader);
  } catch (error) {
    if (!isDirtyBitmapError(error)) throw error;
    terminal.stderr.write(errorLine(error));
    return undefined;
  }
}

function receivedDocument(
  document: InfoDocument,
  error: DirtyBitmapError | undefined,
  written: readonly WrittenTarget[],
  partial: string | undefined,
): ReceivedDocument {
  return {
    ...document,
    written: written.map(({ lines: _lines, bytes, ...one }) => ({ ...one, bytes: bytes ?? null })),
    partial: partial ?? null,
    ...(error && errorDocument(error)),
  };
}

function interrupted(cause: Error, when: string): DirtyBitmapError {
  return new DirtyBitmapError('peer-closed', `the migration was ended here ${when}: ${cause.message}`, { cause });
}
