import { printable } from '../../bytes/text.js';
import { DirtyBitmapError, isDirtyBitmapError } from '../../errors.js';
import { formatAddress, parseAddress } from '../../io/address.js';
import { connectTo } from '../../io/connect.js';
import { Listener } from '../../io/listen.js';
import { type ConnectOn, tapConnections } from '../../io/tap-connections.js';
import type { TapNotice, TapOptions, TappedMigration } from '../../io/tap-options.js';
import { resolveLimits } from '../../limits.js';
import { infoDocument } from '../../report/input-report.js';
import { type TapDocument, tapText } from '../../report/tap-document.js';
import { jsonText } from '../../report/text.js';
import { LiveMigration } from '../live-migration.js';
import { nativeSha256 } from '../native-sha256.js';
import { onSignals } from '../signals.js';
import { type TapChangeOptions, type TapChanges, tapChanges } from '../tap-changes.js';
import { type RecordedFile, type RecordOptions, TapRecords } from '../tap-records.js';
import { EXIT, errorDocument, errorLine, painter, type Terminal, writeOut } from '../terminal.js';
import { youngGarbage } from '../young-garbage.js';

/** What `tap` can be asked. */
export interface TapCommandOptions extends RecordOptions, TapChangeOptions {
  readonly listen: string;
  readonly connect: string;
  readonly json?: boolean;
}

/** Connections of one migration at once: multifd takes 255 at most, beside the main one and that of postcopy-preempt. */
const MOST = 300;
/** Notices that mean that something went wrong. */
const BAD: readonly TapNotice['kind'][] = ['answer', 'change-failed', 'decoding-failed'];
/** So do these, unless the migration came through all the same. */
const DOUBTFUL: readonly TapNotice['kind'][] = ['channel-failed', 'refused'];

/** `tap --listen A --connect B`: between a source and a destination, unseen by both. */
export async function tap(options: TapCommandOptions, terminal: Terminal): Promise<number> {
  const from = parseAddress(options.listen);
  const to = parseAddress(options.connect);
  if (formatAddress(from) === formatAddress(to)) {
    throw new DirtyBitmapError('argument', '--listen and --connect are the same: it would speak with itself');
  }
  const changes = await tapChanges(options, terminal);
  const records = await TapRecords.open(options);
  // Until the recordings have their names: a signal then comes too late to end anything.
  const signals = onSignals(terminal);
  try {
    const notices: TapNotice[] = [];
    const passed = await pass(records, changes, notices, signals.signal, options, terminal);
    const whole = (what: RecordedFile['what']): boolean => isWhole(what, passed);
    return await tell(passed, await records.finish(whole), notices, options, terminal);
  } catch (error) {
    await records.finish(() => false);
    throw error;
  } finally {
    signals.stop();
  }
}

async function pass(
  records: TapRecords,
  { changes, unused }: TapChanges,
  notices: TapNotice[],
  signal: AbortSignal,
  options: TapCommandOptions,
  terminal: Terminal,
): Promise<TappedMigration> {
  const from = parseAddress(options.listen);
  const to = parseAddress(options.connect);
  const live = await LiveMigration.begin(terminal, () => undefined, false);
  const notice = (one: TapNotice): void => {
    notices.push(one);
    live.say(printable(one.message));
  };
  const listener = await Listener.open(from, {
    most: MOST,
    onRefused: () => notice({ kind: 'refused', message: `a connection was refused: there are ${MOST} already` }),
  });
  try {
    live.say(
      `waits at ${printable(formatAddress(listener.address))}, and passes on to ${printable(formatAddress(to))}`,
    );
    const tapOptions: TapOptions = {
      signal,
      limits: options.limit,
      onProgress: ({ incoming }) => live.update(incoming),
      onNotice: notice,
      onRead: youngGarbage(),
      record: records.stream('stream'),
      recordMeta: records.stream('bitmaps'),
      changes,
    };
    const connect: ConnectOn = (over) => connectTo(to, { signal: over, allowHalfOpen: true });
    const passed = await tapConnections(listener, connect, tapOptions);
    for (const text of unused(passed.changes)) notice({ kind: 'change-failed', message: `nothing came for ${text}` });
    return passed;
  } catch (error) {
    if (!signal.aborted || error !== signal.reason) throw error;
    throw new DirtyBitmapError('peer-closed', `nothing came: ${(error as Error).message}`, { cause: error });
  } finally {
    live.stop();
    await listener.close();
  }
}

/**
 * Whether a recording may have its name: all that passed is in it, and the migration was not cut, or nobody can tell
 * because it cannot be followed. A capture of the bitmaps alone is whole only where it was followed to its end.
 */
function isWhole(what: RecordedFile['what'], passed: TappedMigration): boolean {
  const { complete, error, reader, recorded, metaRecorded } = passed;
  if (error !== undefined) return false;
  if (what === 'bitmaps') return metaRecorded === true && complete;
  const cut = reader.findings.list.some(({ code }) => code === 'stream-cut');
  return recorded === true && (complete || !cut);
}

async function tell(
  passed: TappedMigration,
  files: readonly RecordedFile[],
  notices: readonly TapNotice[],
  { listen, connect, limit, json, dropSwitchoverStart }: TapCommandOptions,
  terminal: Terminal,
): Promise<number> {
  const { reader, error, channel, backBytes, otherChannels, answer, forwardBytes } = passed;
  const { bitmaps, summary, findings } = reader;
  const report = {
    input: listen,
    format: 'capture',
    bytes: forwardBytes,
    capture: summary,
    bitmaps,
    findings,
  } as const;
  const why = error === undefined || isDirtyBitmapError(error) ? error : interrupted(error);
  const document: TapDocument = {
    ...infoDocument(report, nativeSha256, resolveLimits(limit).maxHashBytes),
    tap: {
      ...{ to: connect, channel: channel ?? null, backBytes, otherChannels, answer: answer ?? null },
      changes: passed.changes,
      recorded: files.flatMap(({ path }) => path ?? []),
      partial: files.flatMap(({ partial }) => partial ?? []),
      notices: notices.map(({ kind, message }) => ({ kind, message })),
    },
  };
  if (json === true) await writeOut(terminal, `${jsonText({ ...document, ...(why && errorDocument(why)) }, 2)}\n`);
  else await writeOut(terminal, `${tapText(document, painter(terminal.stdout, terminal.env)).join('\n')}\n`);
  if (why !== undefined) terminal.stderr.write(errorLine(why));
  for (const { partial, error: refused } of files) {
    if (refused !== undefined) terminal.stderr.write(errorLine(refused));
    if (partial !== undefined) terminal.stderr.write(`dirtybitmap: what came is kept in ${printable(partial)}\n`);
  }
  return exitCode(passed, files, notices, dropSwitchoverStart === true);
}

function exitCode(
  { error, reader, channel }: TappedMigration,
  files: readonly RecordedFile[],
  notices: readonly TapNotice[],
  changed: boolean,
): number {
  const kinds = new Set(notices.map(({ kind }) => kind));
  if (kinds.has('record-failed') || files.some((file) => file.error !== undefined)) return EXIT.ACCESS;
  // What cannot be seen cannot be recorded or changed, either.
  const missing = channel === 'tls' && (files.length > 0 || changed);
  const serious = reader.summary.complete ? BAD : [...BAD, ...DOUBTFUL];
  const bad =
    error !== undefined || missing || reader.findings.counts.error > 0 || serious.some((kind) => kinds.has(kind));
  return bad ? EXIT.BAD : EXIT.OK;
}

function interrupted(cause: Error): DirtyBitmapError {
  return new DirtyBitmapError('peer-closed', `the migration was ended here: ${cause.message}`, { cause });
}
