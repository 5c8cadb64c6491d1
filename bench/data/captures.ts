import { closeSync, openSync, writeSync } from 'node:fs';
import {
  BITMAP_ID,
  configuration,
  EOF,
  EOS,
  end,
  footer,
  join,
  type Part,
  part,
  qevm,
  RAM_EOS,
  RAM_ID,
  start,
  str8,
  u32,
  u64,
  vmdesc,
} from '../../test/support/stream-builder.js';
import { loadCore } from '../library.js';
import { DISK, KiB, MiB } from './bitmaps.js';
import { randomBits, randomBytes } from './random.js';

const PAGE = 4 * KiB;
/** Bytes of a page's header. */
const HEADER = 8;
/** RAM_SAVE_FLAG_PAGE, and with RAM_SAVE_FLAG_CONTINUE: of the same block as the page before. */
const FIRST_PAGE = 0x08;
const NEXT_PAGE = 0x28;
const RAM_BLOCK = 'pc.ram';
/** Bytes of RAM in a section, as QEMU sends them at a few hundred MB/s. */
const PER_SECTION = 16 * MiB;
const GRANULARITY = 64 * KiB;

/** What is in a capture. */
export interface MadeCapture {
  readonly bytes: number;
  /** Dirty bytes of each bitmap. */
  readonly counts: readonly number[];
}

/** Writes a capture of a machine with so much RAM, every page of it sent whole, and two bitmaps of 2 MiB at the end. */
export async function writeCapture(dist: string, path: string, ram: number): Promise<MadeCapture> {
  const { counts, starts, ends } = await bitmapSections(dist);
  const file = openSync(path, 'w');
  let bytes = 0;
  const write = (...parts: readonly Part[]): void => {
    const piece = join(...parts);
    for (let at = 0; at < piece.length; ) at += writeSync(file, piece, at);
    bytes += piece.length;
  };
  try {
    write(
      qevm(configuration('pc')),
      start(RAM_ID, 'ram', [u64(ram + 0x04), str8(RAM_BLOCK), u64(ram), RAM_EOS]),
      start(BITMAP_ID, 'dirty-bitmap', starts),
    );
    const pages = ramPages();
    for (let at = 0; at < ram; at += PER_SECTION) {
      numberPages(pages, at);
      write(0x02, u32(RAM_ID), u64(at + FIRST_PAGE), str8(RAM_BLOCK), pages, RAM_EOS, footer(RAM_ID));
      write(part(BITMAP_ID, EOS));
    }
    write(end(RAM_ID, RAM_EOS), end(BITMAP_ID, ends), EOF, vmdesc({ page_size: PAGE, devices: [] }));
  } finally {
    closeSync(file);
  }
  return { bytes, counts };
}

/** A stream of so many sections that hold nothing but their end, after a START section and before an END section. */
export async function idleCapture(dist: string, sections: number): Promise<Uint8Array> {
  const { starts, ends } = await bitmapSections(dist);
  const idle = part(BITMAP_ID, EOS);
  const all = new Uint8Array(sections * idle.length);
  for (let at = 0; at < all.length; at += idle.length) all.set(idle, at);
  return join(qevm(configuration()), start(BITMAP_ID, 'dirty-bitmap', starts), all, end(BITMAP_ID, ends), EOF);
}

/** The pages of a section, but for the header of the first, which has the name of the block behind it. */
function ramPages(): Uint8Array {
  const step = HEADER + PAGE;
  const pages = new Uint8Array((PER_SECTION / PAGE) * step - HEADER);
  const content = randomBytes(7, PAGE);
  for (let at = 0; at < pages.length; at += step) pages.set(content, at);
  return pages;
}

/** Writes the headers of the pages of the section that begins at an address. */
function numberPages(pages: Uint8Array, address: number): void {
  const view = new DataView(pages.buffer);
  for (let page = 1; page < PER_SECTION / PAGE; page++) {
    const offset = address + page * PAGE;
    const at = page * (HEADER + PAGE) - HEADER;
    view.setUint32(at, offset / 2 ** 32);
    view.setUint32(at + 4, (offset % 2 ** 32) + NEXT_PAGE);
  }
}

/** Bodies of the START and the END section of two bitmaps of 1 TiB at 64 KiB: random bits, and 1,000 of them. */
async function bitmapSections(dist: string): Promise<{ counts: number[]; starts: Uint8Array; ends: Uint8Array }> {
  const { Bitmap, MemoryGraph, Source } = await loadCore(dist);
  const bits = DISK / GRANULARITY;
  const dense = new Bitmap(GRANULARITY, { size: DISK });
  dense.writeBytes(0, randomBytes(5, bits / 8));
  const sparse = new Bitmap(GRANULARITY, { size: DISK });
  sparse.setEach(randomBits(6, 1000, bits).map((bit) => bit * GRANULARITY));
  const graph = new MemoryGraph();
  const disk = graph.addNode({ name: 'disk0', size: DISK });
  disk.create({ name: 'sparse', granularity: GRANULARITY, bits: sparse });
  disk.create({ name: 'dense', granularity: GRANULARITY, bits: dense });
  const source = new Source(graph);
  const section = (): Uint8Array => {
    const pieces: Uint8Array[] = [];
    for (const bytes of source.section(new Uint8Array(MiB))) pieces.push(bytes.slice());
    return join(pieces);
  };
  source.setup();
  const starts = section();
  source.complete();
  return { counts: [dense.count(), sparse.count()], starts, ends: section() };
}
