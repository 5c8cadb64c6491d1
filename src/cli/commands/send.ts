import { printable } from '../../bytes/text.js';
import { DirtyBitmapError } from '../../errors.js';
import { formatAddress, parseAddress } from '../../io/address.js';
import { connectTo } from '../../io/connect.js';
import { assertSendable, sendMigration } from '../../io/send-migration.js';
import type { Profile } from '../../migration/cutter.js';
import { formatBytesExact, jsonText, plural } from '../../report/text.js';
import { assertNoneLost, assertWhole } from '../../report/whole-set.js';
import { entriesOf, entryLabel } from '../../set/rename-set.js';
import { renamed, selected, withNode } from '../change-names.js';
import { loadSet } from '../load-set.js';
import { type InputOptions, openOptions } from '../open-input.js';
import { startProgress } from '../progress.js';
import { onSignals } from '../signals.js';
import { EXIT, type Terminal, writeOut } from '../terminal.js';

/** What `send` can be asked. */
export interface SendCommandOptions extends InputOptions {
  readonly connect: string;
  readonly machine?: string;
  /** Bytes per second. */
  readonly rate?: number;
  readonly profile?: Profile;
  /** False with `--no-return-path`. */
  readonly returnPath: boolean;
  /** Seconds in which nothing is taken and nothing said; 0 for ever. */
  readonly timeout: number;
  readonly select?: readonly string[];
  readonly rename?: readonly string[];
  readonly node?: string;
  readonly json?: boolean;
}

/** The JSON document of `send --json`. */
export interface SentDocument {
  readonly input: string;
  /** The address. */
  readonly to: string;
  /** Of the stream. */
  readonly bytes: number;
  /** Whether QEMU said that it has loaded the stream; null where nobody said. */
  readonly loaded: boolean | null;
  readonly bitmaps: readonly { readonly node: string; readonly name: string }[];
}

/** `send INPUT --connect ADDRESS`: a source for a QEMU that waits with `-incoming`. */
export async function send(input: string, options: SendCommandOptions, terminal: Terminal): Promise<number> {
  const address = parseAddress(options.connect);
  const [own = {}] = openOptions([input], options);
  const loaded = await loadSet(input, own, terminal);
  const notes = assertWhole(loaded);
  if (options.select === undefined) assertNoneLost(loaded);
  const set = renamed(selected(withNode(loaded, options.node, true), options.select), options.rename);
  const entries = entriesOf(set);
  if (entries.length === 0) throw new DirtyBitmapError('bitmap-not-found', 'the input has no bitmap to send');
  for (const note of notes) terminal.stderr.write(`dirtybitmap: ${printable(note)}\n`);
  const { machine, profile, rate, returnPath } = options;
  assertSendable(set, options);
  const signals = onSignals(terminal);
  const wait = { signal: signals.signal, ...(options.timeout > 0 && { timeout: options.timeout * 1000 }) };
  const progress = await startProgress(terminal, formatAddress(address), undefined);
  try {
    const socket = await connectTo(address, { ...wait, allowHalfOpen: true });
    const onProgress = (bytes: number): void => progress?.update(bytes);
    const sent = await sendMigration(socket, set, { ...wait, machine, profile, rate, returnPath, onProgress });
    progress?.stop();
    if (options.json === true) {
      const bitmaps = entries.map(({ node, bitmap }) => ({ node: node.node.text, name: bitmap.name.text }));
      const to = formatAddress(address);
      const document: SentDocument = { input, to, bytes: sent.bytes, loaded: sent.loaded ?? null, bitmaps };
      await writeOut(terminal, `${jsonText(document, 2)}\n`);
      return EXIT.OK;
    }
    const what = `${plural(entries.length, 'bitmap')} sent in ${formatBytesExact(sent.bytes)}`;
    const end = sent.loaded === true ? 'QEMU has loaded the stream' : 'whether it was loaded, nobody said';
    const lines = [`${printable(formatAddress(address))}: ${what}; ${end}`];
    for (const entry of entries) lines.push(`  ${printable(entryLabel(entry))}`);
    await writeOut(terminal, `${lines.join('\n')}\n`);
    return EXIT.OK;
  } catch (error) {
    if (error !== signals.signal.reason || !signals.signal.aborted) throw error;
    const message = `the migration was ended here (${(error as Error).message}): QEMU drops what came of it, and exits or waits on`;
    throw new DirtyBitmapError('peer-closed', message);
  } finally {
    signals.stop();
    progress?.stop();
  }
}
