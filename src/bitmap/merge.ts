import { BLOCK_PAGES, blockOf, byteOf, PAGE_BYTES, PAGE_WORDS, type PageStore, wordOf } from './page-store.js';
import { MIN_QUADS, orQuads, quadsAreNative } from './quads.js';
import { equalWords, orWords } from './words.js';

/**
 * ORs all pages of `source` into `target`. Pages that are absent or zero in `source` cost nothing.
 * @throws DirtyBitmapError `limit` when the memory budget is used up; what was merged until then stays.
 */
export function orPages(target: PageStore, source: PageStore): void {
  const wide = quadsAreNative();
  for (let page = source.table.next(0); page >= 0; ) {
    const from = source.table.slot(page);
    let to = target.table.slot(page);
    let pages = 1;
    if (to !== 0) {
      pages = target.run(page, to, source.run(page, from, BLOCK_PAGES));
      orRun(target, to, source, from, pages, wide);
    } else if (!source.isZero(page)) {
      to = target.claim(page);
      const base = byteOf(from);
      const bytes = (source.bytes[blockOf(from)] as Uint8Array).subarray(base, base + PAGE_BYTES);
      (target.bytes[blockOf(to)] as Uint8Array).set(bytes, byteOf(to));
    }
    page = source.table.next(page + pages);
  }
}

/** Whether two stores have the same bits; pages that are present and zero are as good as absent. */
export function equalPages(a: PageStore, b: PageStore): boolean {
  let inA = a.table.next(0);
  let inB = b.table.next(0);
  while (inA >= 0 || inB >= 0) {
    if (inA === inB) {
      const slotA = a.table.slot(inA);
      const slotB = b.table.slot(inB);
      const pages = a.run(inA, slotA, b.run(inB, slotB, BLOCK_PAGES));
      const wordsA = a.words[blockOf(slotA)] as Int32Array;
      const wordsB = b.words[blockOf(slotB)] as Int32Array;
      const from = wordOf(slotB);
      if (!equalWords(wordsA, wordOf(slotA), wordsB, from, from + pages * PAGE_WORDS)) return false;
      inA = a.table.next(inA + pages);
      inB = b.table.next(inB + pages);
    } else if (inB < 0 || (inA >= 0 && inA < inB)) {
      if (!a.isZero(inA)) return false;
      inA = a.table.next(inA + 1);
    } else {
      if (!b.isZero(inB)) return false;
      inB = b.table.next(inB + 1);
    }
  }
  return true;
}

function orRun(target: PageStore, to: number, source: PageStore, from: number, pages: number, wide: boolean): void {
  const at = wordOf(to);
  const first = wordOf(from);
  const end = first + pages * PAGE_WORDS;
  if (wide && end - first >= 2 * MIN_QUADS) {
    orQuads(target.quads(blockOf(to)), at >>> 1, source.quads(blockOf(from)), first >>> 1, end >>> 1);
  } else {
    orWords(target.words[blockOf(to)] as Int32Array, at, source.words[blockOf(from)] as Int32Array, first, end);
  }
}
