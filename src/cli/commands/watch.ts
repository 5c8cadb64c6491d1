import { DirtyBitmapError, isDirtyBitmapError } from '../../errors.js';
import { type WatchResult, watchMigration } from '../../io/watch-migration.js';
import type { QmpExecutor } from '../../qmp/commands.js';
import type { MigrationEvent } from '../../qmp/migration-observer.js';
import { migrationOutlook } from '../../qmp/migration-outlook.js';
import type { MigrationSide } from '../../qmp/migration-side.js';
import { queryMigrationBits, queryMigrationSide } from '../../qmp/query-migration-side.js';
import { verifyMigration } from '../../qmp/verify-migration.js';
import { jsonText } from '../../report/text.js';
import { eventText, outlookText, verificationText } from '../../report/watch-text.js';
import { startProgress } from '../progress.js';
import { withQmp } from '../qmp-connection.js';
import { onSignals } from '../signals.js';
import { EXIT, painter, type Terminal, writeOut } from '../terminal.js';

/** What `watch` can be asked. */
export interface WatchCommandOptions {
  /** The source. */
  readonly qmp: string;
  readonly dstQmp?: string;
  readonly check?: boolean;
  readonly verify?: boolean;
  /** Seconds. */
  readonly interval: number;
  /** Seconds. */
  readonly timeout: number;
  readonly json?: boolean;
}

/** The JSON document of `watch --json`: the end of the migration, and what was told on the way. */
export interface WatchDocument extends WatchResult {
  readonly events: readonly Exclude<MigrationEvent, { readonly kind: 'progress' }>[];
}

/** `watch`: what a migration will do with bitmaps, does, or has done. */
export async function watchCommand(options: WatchCommandOptions, terminal: Terminal): Promise<number> {
  const { check, verify } = options;
  if (check === true) return await checkBefore(options, terminal);
  if (verify === true) return await verifyAfter(options, terminal);
  return await follow(options, terminal);
}

async function checkBefore(options: WatchCommandOptions, terminal: Terminal): Promise<number> {
  const outlook = await withEnds(options, undefined, async (source, destination) =>
    migrationOutlook(await queryMigrationSide(source), destination && (await queryMigrationSide(destination))),
  );
  await print(options, terminal, outlook, () => outlookText(outlook, painter(terminal.stdout, terminal.env)));
  return outlook.ok ? EXIT.OK : EXIT.BAD;
}

async function verifyAfter(options: WatchCommandOptions, terminal: Terminal): Promise<number> {
  const { qmp, dstQmp, timeout } = options;
  if (dstQmp === undefined) throw new DirtyBitmapError('argument', '--verify needs --dst-qmp SOCKET');
  const [source, destination] = await Promise.all(
    [qmp, dstQmp].map((address) =>
      withQmp({ qmp: address, timeout }, async (end) => await queryMigrationBits(end.qmp)),
    ),
  );
  const verification = verifyMigration(source as MigrationSide, destination as MigrationSide);
  const text = (): string[] => verificationText(verification, painter(terminal.stdout, terminal.env));
  await print(options, terminal, verification, text);
  return verification.ok ? EXIT.OK : EXIT.BAD;
}

async function follow(options: WatchCommandOptions, terminal: Terminal): Promise<number> {
  const stop = onSignals(terminal);
  try {
    const result = await withEnds(options, stop.signal, async (source, destination) => {
      const { interval, timeout } = options;
      const watch = watchMigration(source, {
        ...{ destination, signal: stop.signal },
        ...{ interval: interval * 1000, patience: timeout * 1000 },
      });
      return await shown(watch, options, terminal);
    });
    if (stop.signal.aborted) terminal.stderr.write('dirtybitmap: stopped before the end of the migration\n');
    return result.ok || (stop.signal.aborted && result.outlook.ok) ? EXIT.OK : EXIT.BAD;
  } catch (error) {
    if (!stop.signal.aborted || isDirtyBitmapError(error)) throw error;
    terminal.stderr.write('dirtybitmap: stopped before QEMU answered\n');
    return EXIT.OK;
  } finally {
    stop.stop();
  }
}

/** Prints what happens when it happens; with `--json` all of it at the end. */
async function shown(
  watch: AsyncGenerator<MigrationEvent, WatchResult, void>,
  options: WatchCommandOptions,
  terminal: Terminal,
): Promise<WatchResult> {
  const paint = painter(terminal.stdout, terminal.env);
  const events: Exclude<MigrationEvent, { kind: 'progress' }>[] = [];
  let bar: Awaited<ReturnType<typeof startProgress>>;
  let total = 0;
  let shownBytes = 0;
  try {
    for (;;) {
      const { done, value } = await watch.next();
      if (done === true) {
        const document: WatchDocument = { ...value, events };
        if (options.json === true) await writeOut(terminal, `${jsonText(document, 2)}\n`);
        return value;
      }
      if (value.kind === 'progress') {
        const { ram } = value.progress;
        if (ram === undefined || ram.total === 0) continue;
        if (bar === undefined || total !== ram.total) bar = await startProgress(terminal, 'RAM', ram.total);
        total = ram.total;
        const sent = ram.total - Math.min(ram.remaining, ram.total);
        // What does not go on has no time left to tell.
        if (sent !== shownBytes) bar?.update(sent);
        shownBytes = sent;
        continue;
      }
      events.push(value);
      bar?.stop();
      bar = undefined;
      if (options.json !== true) await writeOut(terminal, `${eventText(value, paint).join('\n')}\n`);
    }
  } finally {
    bar?.stop();
  }
}

async function print(
  { json }: WatchCommandOptions,
  terminal: Terminal,
  document: object,
  text: () => string[],
): Promise<void> {
  await writeOut(terminal, json === true ? `${jsonText(document, 2)}\n` : `${text().join('\n')}\n`);
}

/** Work over the source, and over the destination where that is given. */
async function withEnds<T>(
  { qmp, dstQmp, timeout }: WatchCommandOptions,
  signal: AbortSignal | undefined,
  work: (source: QmpExecutor, destination: QmpExecutor | undefined) => Promise<T>,
): Promise<T> {
  return await withQmp({ qmp, timeout, signal }, async (source) => {
    if (dstQmp === undefined) return await work(source.qmp, undefined);
    return await withQmp(
      { qmp: dstQmp, timeout, signal },
      async (destination) => await work(source.qmp, destination.qmp),
    );
  });
}
