import { quoted } from '../bytes/text.js';
import { encodeCapture, encodeSection } from '../capture/capture-encoder.js';
import { DirtyBitmapError } from '../errors.js';
import { type Pieces, writeFile } from '../io/write-file.js';
import type { Limits } from '../limits.js';
import type { Profile } from '../migration/cutter.js';
import { type Mapped, mapJson, mappedEntry } from '../report/map-document.js';
import type { BitmapSet } from '../set/bitmap-set.js';
import { entriesOf, entryLabel } from '../set/rename-set.js';
import { writeSetJson } from '../set/set-json.js';
import { type Terminal, writeOut } from './terminal.js';

/** What a set can be written as. */
export type OutputKind = 'capture' | 'section' | 'set' | 'nbdinfo' | 'qcow2';

/** How a set is written. */
export interface OutputOptions {
  /** What it is written as. */
  readonly outputFormat: OutputKind;
  /** A file, or `-`; an image that is there for `qcow2`. */
  readonly output: string;
  readonly force?: boolean;
  /** Of a capture. Default `none`. */
  readonly machine?: string;
  /** Of a capture or a section. Default `qemu`. */
  readonly profile?: Profile;
  /** A set as MessagePack rather than JSON. */
  readonly msgpack?: boolean;
  /** Limits on what is read and written. */
  readonly limit?: Partial<Limits>;
  /** Whether a signal ends the process, and the file that is half written is removed first. Default true. */
  readonly onSignals?: boolean;
}

const PROFILED: readonly OutputKind[] = ['capture', 'section'];

/**
 * Refuses options that would do nothing, and an output without a name.
 * @throws DirtyBitmapError `argument`.
 */
export function checkOutputOptions({ outputFormat: as, output, machine, profile, msgpack }: OutputOptions): void {
  if (output === '') throw new DirtyBitmapError('argument', '-o: expected the name of a file, or -, found nothing');
  if (machine !== undefined && as !== 'capture') throw idle('--machine', 'is about captures', as);
  if (profile !== undefined && !PROFILED.includes(as)) throw idle('--profile', 'is about captures and sections', as);
  if (msgpack === true && as !== 'set') throw idle('--msgpack', 'is about sets', as);
}

function idle(option: string, what: string, as: OutputKind): DirtyBitmapError {
  return new DirtyBitmapError('argument', `${option} ${what}, and this output is a ${as}; leave it out`);
}

/**
 * Writes a set as a whole or not at all.
 * @returns bytes written.
 * @throws DirtyBitmapError what the kind cannot hold; as `writeFile`.
 */
export async function writeSet(set: BitmapSet, options: OutputOptions, terminal: Terminal): Promise<number> {
  return await writePieces(await piecesOf(set, options), options, terminal);
}

/** Writes pieces to a file, or to standard output. @throws DirtyBitmapError `file-access`; as `writeFile`. */
export async function writePieces(
  pieces: Pieces,
  { output, force, onSignals = true }: Pick<OutputOptions, 'output' | 'force' | 'onSignals'>,
  terminal: Terminal,
): Promise<number> {
  if (output !== '-') return await writeFile(output, pieces, { force, onSignals });
  let bytes = 0;
  const { stdout } = terminal;
  let failed: Error | undefined;
  const fail = (error: Error): void => {
    failed ??= error;
  };
  stdout.on('error', fail);
  try {
    for await (const piece of pieces) {
      bytes += piece.length;
      // The stream may keep what it is given until after the next piece was made.
      await writeOut(terminal, piece.slice());
      if (failed !== undefined) break;
    }
    // What became of the last piece.
    await new Promise<void>((resolve) => void stdout.write('', () => setImmediate(resolve)));
  } finally {
    stdout.off('error', fail);
  }
  if (failed === undefined) return bytes;
  throw new DirtyBitmapError('file-access', `standard output cannot be written: ${failed.message}`, { cause: failed });
}

async function piecesOf(
  set: BitmapSet,
  { outputFormat: as, machine, profile, msgpack, limit }: OutputOptions,
): Promise<Pieces> {
  if (as === 'capture') return encodeCapture(set, { machine, profile });
  if (as === 'section') return encodeSection(set, { profile });
  if (as === 'nbdinfo')
    return texts((write) => {
      for (const text of mapJson(mapped(set))) write(text);
    });
  if (msgpack !== true) return texts((write) => writeSetJson(set, write, limit));
  const { encodeSetMsgpack } = await import('../msgpack/set.js');
  return [encodeSetMsgpack(set, limit)];
}

/** The one bitmap of a map, which says nothing of its name. */
function mapped(set: BitmapSet): Mapped {
  const entries = entriesOf(set);
  const [only] = entries;
  if (only === undefined || entries.length > 1) {
    const names = entries.slice(0, 20).map((entry) => quoted(entryLabel(entry), 80));
    const found = only === undefined ? 'none' : `${entries.length} (${names.join(', ')})`;
    const message = `a map of nbdinfo is of one bitmap, found ${found}; choose one with --select NODE/NAME`;
    throw new DirtyBitmapError('bitmap-not-found', message);
  }
  return mappedEntry(only);
}

/** What a writer of texts writes, as bytes. It is made as a whole: it may be refused at its end. */
function texts(make: (write: (text: string) => void) => void): Uint8Array[] {
  const encoder = new TextEncoder();
  const pieces: Uint8Array[] = [];
  make((text) => pieces.push(encoder.encode(text)));
  return pieces;
}
