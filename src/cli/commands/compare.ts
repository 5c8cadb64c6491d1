import { type Name, printable, toHex } from '../../bytes/text.js';
import { DirtyBitmapError } from '../../errors.js';
import { findingText, type Paint } from '../../report/info-text.js';
import { plural } from '../../report/text.js';
import type { LoadedSet } from '../../report/whole-set.js';
import { bitDifferences, type FieldDifference, fieldDifferences, type Pair, pairUp } from '../../set/compare-sets.js';
import { entriesOf, entryLabel, renameInSet, type SetEntry } from '../../set/rename-set.js';
import { choice, entryOf } from '../change-names.js';
import { loadSet } from '../load-set.js';
import { type InputOptions, openOptions } from '../open-input.js';
import { EXIT, painter, type Terminal, writeOut } from '../terminal.js';

/** What `compare` can be asked. */
export interface CompareOptions extends InputOptions {
  readonly json?: boolean;
  /** NODE/NAME of the one bitmap to compare. */
  readonly bitmap?: string;
}

/** A bitmap in the JSON of `compare`. */
interface ComparedBitmap {
  readonly node: string;
  /** The bytes of a name that is not clean UTF-8. */
  readonly nodeHex?: string;
  readonly name: string;
  readonly nameHex?: string;
  /** What differs besides the bits. */
  readonly fields: readonly FieldDifference[];
  /** What is dirty in one of them only: offset and length in bytes, ascending. */
  readonly extents: readonly (readonly [side: 'a' | 'b', offset: number, length: number])[];
  readonly bytesOnlyInA: number;
  readonly bytesOnlyInB: number;
  readonly status: Status;
}

/** The JSON document of `compare --json`, which is written as it comes. */
export interface CompareDocument {
  readonly a: string;
  readonly b: string;
  readonly bitmaps: readonly ComparedBitmap[];
  readonly equal: boolean;
  readonly counts: {
    readonly equal: number;
    readonly different: number;
    readonly onlyInA: number;
    readonly onlyInB: number;
  };
}

type Status = 'equal' | 'different' | 'only-in-a' | 'only-in-b';

/** Takes the differences one by one, so that none of them is kept. */
interface Writer {
  begin(pair: Pair, fields: readonly FieldDifference[]): void;
  extent(side: 'a' | 'b', offset: number, length: number): void;
  end(status: Status, bytes: { readonly a: number; readonly b: number }): void;
  finish(counts: Readonly<Record<Status, number>>): void;
}

/** `compare A B`: bitmap by bitmap, what only one of two inputs has; exit code 1 where they differ. */
export async function compare(a: string, b: string, options: CompareOptions, terminal: Terminal): Promise<number> {
  const [ownA = {}, ownB = {}] = openOptions([a, b], options);
  const inputs = sameNode(await loadSet(a, ownA, terminal), await loadSet(b, ownB, terminal));
  const out = new Output(terminal);
  const paint = painter(terminal.stdout, terminal.env);
  const writer = options.json === true ? jsonWriter(out, a, b) : textWriter(out, paint);
  const counts: Record<Status, number> = { equal: 0, different: 0, 'only-in-a': 0, 'only-in-b': 0 };
  const nameless = inputs.some(({ format }) => format === 'nbdinfo');
  for (const pair of pairsOf(inputs, options.bitmap)) {
    const { a: inA, b: inB } = pair;
    const fields =
      inA && inB
        ? fieldDifferences(inA, inB, nameless ? ['size'] : ['granularity', 'recording', 'persistent', 'size'])
        : [];
    writer.begin(pair, fields);
    const bytes = { a: 0, b: 0 };
    if (inA && inB) {
      for (const [side, offset, length] of bitDifferences(inA, inB)) {
        bytes[side] += length;
        writer.extent(side, offset, length);
        await out.flush();
      }
    }
    const both = fields.length + bytes.a + bytes.b > 0 ? 'different' : 'equal';
    const status = inA === undefined ? 'only-in-b' : inB === undefined ? 'only-in-a' : both;
    counts[status]++;
    writer.end(status, bytes);
  }
  writer.finish(counts);
  await out.flush(true);
  const whole = inputs.map((input) => sayWorst(input, terminal)).every(Boolean);
  return whole && counts.different + counts['only-in-a'] + counts['only-in-b'] === 0 ? EXIT.OK : EXIT.BAD;
}

/** An image tells no node: its bitmaps are those of the other input's only one. */
function sameNode(a: LoadedSet, b: LoadedSet): readonly [LoadedSet, LoadedSet] {
  if (a.format === 'qcow2' && b.set.nodes.length === 1) return [onNode(a, b), b];
  return b.format === 'qcow2' && a.set.nodes.length === 1 ? [a, onNode(b, a)] : [a, b];
}

function onNode(image: LoadedSet, other: LoadedSet): LoadedSet {
  return { ...image, set: renameInSet(image.set, () => ({ node: other.set.nodes[0]?.node })) };
}

function pairsOf([a, b]: readonly [LoadedSet, LoadedSet], wanted: string | undefined): readonly Pair[] {
  if (wanted === undefined && a.format !== 'nbdinfo' && b.format !== 'nbdinfo') return pairUp(a.set, b.set);
  return [{ a: onlyOf(a, wanted), b: onlyOf(b, wanted) }];
}

/** The bitmap that is wanted; of a map, which has no names, its only one. */
function onlyOf({ format, input, set }: LoadedSet, wanted: string | undefined): SetEntry {
  const entries = entriesOf(set);
  if (wanted !== undefined && format !== 'nbdinfo') return entryOf(entries, wanted);
  const [only] = entries;
  if (only !== undefined && entries.length === 1) return only;
  const message = `${input} has ${entries.length} bitmaps and the other input one without a name: choose one with --bitmap`;
  throw new DirtyBitmapError('bitmap-not-found', `${message}${choice(entries)}`);
}

/** Says the worst that was found in an input; false where that is an error. Ranges left out are none: they are clean. */
function sayWorst({ input, findings, lost }: LoadedSet, terminal: Terminal): boolean {
  for (const { message } of lost) terminal.stderr.write(`dirtybitmap: ${printable(input)}: ${printable(message)}\n`);
  if (lost.length > 0) return false;
  const worst = findings.list.find(({ severity }) => severity === 'error');
  if (worst === undefined) return true;
  const paint = painter(terminal.stderr, terminal.env);
  terminal.stderr.write(`dirtybitmap: ${printable(input)}: ${findingText(worst, paint)}\n`);
  return false;
}

/** Texts that are written together. */
class Output {
  readonly #terminal: Terminal;
  #text = '';

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  put(text: string): void {
    this.#text += text;
  }

  async flush(all = false): Promise<void> {
    if (this.#text.length < 60_000 && !all) return;
    const text = this.#text;
    this.#text = '';
    await writeOut(this.#terminal, text);
  }
}

function labelOf({ a, b }: Pair): string {
  const named = [a, b].find((entry) => entry !== undefined && entry.bitmap.name.bytes.length > 0);
  return named === undefined ? 'the bitmap' : printable(entryLabel(named));
}

function textWriter(out: Output, paint: Paint): Writer {
  let label = '';
  let head = '';
  let fields: readonly FieldDifference[] = [];
  const begin = (): void => {
    if (head === '') return;
    out.put(head);
    head = '';
    for (const { field, a, b } of fields) out.put(`  ${field}: ${a} in A, ${b} in B\n`);
  };
  return {
    begin(pair, found) {
      label = labelOf(pair);
      fields = found;
      head = `${label}: ${paint('different', 'error')}\n`;
    },
    extent(side, offset, length) {
      begin();
      out.put(`  only in ${side.toUpperCase()} ${String(offset).padStart(18)} ${String(length).padStart(18)}\n`);
    },
    end(status) {
      if (status === 'different') begin();
      else if (status === 'equal') out.put(`${label}: ${paint('equal', 'good')}\n`);
      else out.put(`${label}: ${paint(status === 'only-in-a' ? 'only in A' : 'only in B', 'error')}\n`);
    },
    finish(counts) {
      const total = counts.equal + counts.different + counts['only-in-a'] + counts['only-in-b'];
      out.put(
        `${plural(total, 'bitmap')}: ${counts.equal} equal, ${counts.different} different, ` +
          `${counts['only-in-a']} only in A, ${counts['only-in-b']} only in B\n`,
      );
    },
  };
}

/** One JSON document, written as it comes: extents are `[side, offset, length]`, ascending. */
function jsonWriter(out: Output, a: string, b: string): Writer {
  let bitmaps = 0;
  let extents = 0;
  out.put(`{ "a": ${JSON.stringify(a)}, "b": ${JSON.stringify(b)}, "bitmaps": [`);
  return {
    begin(pair, fields) {
      const { node, bitmap } = (pair.a?.bitmap.name.bytes.length ? pair.a : (pair.b ?? pair.a)) as SetEntry;
      const names = `${nameFields('node', node.node)}, ${nameFields('name', bitmap.name)}`;
      out.put(`${bitmaps++ > 0 ? ',' : ''}\n  { ${names}, "fields": ${JSON.stringify(fields)}, "extents": [`);
      extents = 0;
    },
    extent(side, offset, length) {
      out.put(`${extents++ > 0 ? ',' : ''}\n    ["${side}", ${offset}, ${length}]`);
    },
    end(status, bytes) {
      out.put(`], "bytesOnlyInA": ${bytes.a}, "bytesOnlyInB": ${bytes.b}, "status": "${status}" }`);
    },
    finish(counts) {
      const equal = counts.different + counts['only-in-a'] + counts['only-in-b'] === 0;
      const { 'only-in-a': onlyInA, 'only-in-b': onlyInB, ...rest } = counts;
      out.put(` ],\n  "equal": ${equal}, "counts": ${JSON.stringify({ ...rest, onlyInA, onlyInB })} }\n`);
    },
  };
}

/** A name, and its bytes where text cannot hold them. */
function nameFields(key: string, name: Name): string {
  const text = `"${key}": ${JSON.stringify(name.text)}`;
  return name.clean ? text : `${text}, "${key}Hex": "${toHex(name.bytes)}"`;
}
