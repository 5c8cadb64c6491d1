import { printable } from '../bytes/text.js';
import { nodeNameOf } from '../qcow2/image-set.js';
import type { RandomAccess } from '../qcow2/random-access.js';
import { hexView, planHex, readHexViews, sectionChunks } from '../report/hex-view.js';
import { hexViewSection } from '../report/html/hex-section.js';
import { reportBody } from '../report/html/page.js';
import type { Format } from '../report/input-report.js';
import { mapJson, mappedEntry } from '../report/map-document.js';
import { budgetOf, inputModel } from '../report/report-model.js';
import { assertNoneLost, assertWhole } from '../report/whole-set.js';
import { entriesOf, entryLabel, type SetEntry } from '../set/rename-set.js';
import { writeSetJson } from '../set/set-json.js';
import { listChunks } from './list-chunks.js';
import type { BytesView, ChunkPage, Exported, Names, Opened } from './messages.js';
import { type Inspected, type ReadOptions, readInput } from './read-input.js';
import { chunkTable } from './views.js';

/** Chunks of a page of the list. */
const PAGE = 50;
/** Bytes that are shown at once: a chunk's header, and much of its data. */
const SHOWN = 512;
/** Bytes in which the first chunks of a section are looked for. */
const HEAD = 64 * 1024;
/** Names in a list to choose from. */
const MAX_NAMES = 2000;

/** An input that is open: what is shown of it, as HTML and text, and what is made of it. It reads bytes as they are wanted. */
export class Session {
  readonly #file: RandomAccess;
  readonly #inspected: Inspected;

  private constructor(file: RandomAccess, inspected: Inspected) {
    this.#file = file;
    this.#inspected = inspected;
  }

  /**
   * Reads an input.
   * @throws DirtyBitmapError as `readInput`.
   */
  static async open(name: string, file: RandomAccess, options: ReadOptions = {}): Promise<Session> {
    return new Session(file, await readInput(name, file, options));
  }

  /** What the input is, as the page shows it first. */
  async opened(): Promise<Opened> {
    const { report, timeline, chunks, set } = this.#inspected;
    const { findings, format, input } = report;
    const read = async (offset: number, length: number): Promise<Uint8Array> => await this.#file.read(offset, length);
    const first = format === 'section' ? sectionChunks(await read(0, HEAD), 0) : (timeline?.firstChunks ?? []);
    const hex = BINARY.includes(format) ? await readHexViews(planHex(first, findings.list), read) : [];
    const budget = budgetOf(1);
    const model = inputModel(report, { timeline, hex }, budget);
    return {
      name: input,
      html: String(reportBody({ version: '', inputs: [model], differences: null })),
      counts: { ...findings.counts },
      bitmaps: report.bitmaps.length,
      size: report.bytes,
      binary: BINARY.includes(format),
      chunked: namesOf(chunks.bitmaps.map(({ label, total }) => `${label} (${total})`)),
      maps: namesOf(entriesOf(set.set).map(entryLabel)),
    };
  }

  /** A page of the chunks of a bitmap: the one that has the chunk of a number. */
  async chunks(bitmap: number, number: number): Promise<ChunkPage> {
    const indexed = this.#inspected.chunks.bitmaps[bitmap];
    if (indexed === undefined) throw new Error(`there is no bitmap ${bitmap}`);
    const { label, listed, total } = indexed;
    const wanted = Math.max(0, Math.min(number, listed - 1));
    const first = wanted - (wanted % PAGE);
    const read = async (offset: number, length: number): Promise<Uint8Array> => await this.#file.read(offset, length);
    const chunks = await listChunks(indexed, first, PAGE, read);
    return { html: String(chunkTable(label, chunks)), first, count: chunks.length, listed, total };
  }

  /** The bytes at an offset, explained where a chunk begins there. */
  async bytes(wanted: number, chunk: boolean): Promise<BytesView> {
    const { bytes: size, findings: all } = this.#inspected.report;
    const offset = Math.max(0, Math.min(wanted, size - 1));
    // A finding may be about the end, where there is no byte; what it is about is marked, as in the report.
    const findings = all.list.filter((finding) => finding.offset === wanted);
    const [place] = chunk ? planHex([{ offset, length: SHOWN }], []) : planHex([], findings);
    const from = place?.offset ?? offset - (offset % 16);
    const plain = { title: 'bytes', offset: from, length: SHOWN, chunk: null, mark: null };
    // The bytes are cut to what is shown only after the chunk was read: its fields may reach further.
    const bytes = await this.#file.read(from, Math.max(SHOWN, place?.length ?? 0));
    const view = hexView(place ?? plain, bytes, SHOWN);
    const html = view === undefined ? '' : String(hexViewSection(view, 'h3'));
    return { html, offset: from, length: Math.min(bytes.length, SHOWN), size };
  }

  /**
   * All bitmaps as a set, or one as a map of nbdinfo, in pieces of text.
   * @param map the number of the bitmap, among those of the set.
   * @throws DirtyBitmapError where the input is bad, or bitmaps of it were lost: who went on with the rest would lose
   * changes.
   */
  exported(map: number | undefined): Exported {
    const { set } = this.#inspected;
    const notes = assertWhole(set);
    const stem = nodeNameOf(set.input);
    const pieces: string[] = [];
    if (map === undefined) {
      assertNoneLost(set);
      writeSetJson(set.set, (text) => pieces.push(text));
      return { name: `${stem}.set.json`, pieces, notes };
    }
    const entry = entriesOf(set.set)[map] as SetEntry;
    pieces.push(...mapJson(mappedEntry(entry)));
    const label = nodeNameOf(`${entryLabel(entry).replaceAll('/', '-')}.`);
    return { name: `${stem}.${label}.map.json`, pieces, notes };
  }
}

function namesOf(all: readonly string[]): Names {
  return { listed: all.slice(0, MAX_NAMES).map(printable), more: Math.max(0, all.length - MAX_NAMES) };
}

/** Kinds whose bytes say something beside their text. */
const BINARY: readonly Format[] = ['capture', 'section', 'qcow2'];
