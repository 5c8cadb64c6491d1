import { describe, expect, it } from 'vitest';
import { Bitmap } from '../../src/bitmap/bitmap.js';
import { nameFromText } from '../../src/bytes/text.js';
import { Findings } from '../../src/findings.js';
import { differenceModel } from '../../src/report/difference-map.js';
import { reportHtml } from '../../src/report/html/page.js';
import type { InputReport, ReportBitmap } from '../../src/report/input-report.js';
import { budgetOf, inputModel } from '../../src/report/report-model.js';

const DISK = 2 ** 44;
const MAX = 2_000_000;

function input(name: string, bitmaps: readonly (readonly [string, Bitmap])[]): InputReport {
  const list = bitmaps.map(([bitmap, bits]): ReportBitmap => {
    const names = { node: nameFromText('disk0'), name: nameFromText(bitmap) };
    const flags = { recording: true, persistent: true, complete: true, diskEnd: true };
    return { ...names, ...flags, granularity: bits.granularity, coveredBytes: DISK, bits };
  });
  return { input: name, format: 'set', bytes: 1, bitmaps: list, findings: new Findings(10) };
}

/** The page of these inputs, as `report` makes it. */
function pageOf(...inputs: InputReport[]): string {
  const budget = budgetOf(inputs.length);
  const [a, b] = inputs;
  const limits = { maxPairs: budget.pairs, maxCells: budget.cells };
  const differences = a !== undefined && b !== undefined ? differenceModel(a, b, limits) : null;
  return reportHtml({ version: '0.0.0', inputs: inputs.map((one) => inputModel(one, {}, budget)), differences });
}

/** Numbers that are always the same, from 0 to 1. */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}

/** A bitmap of 2^28 granules, about a fourth of them dirty, one here and one there. */
function noisy(seed: number): Bitmap {
  const bits = new Bitmap(65536, { size: DISK });
  const roll = dice(seed);
  const piece = Uint8Array.from({ length: 2 ** 16 }, () => Math.floor(roll() * 256) & Math.floor(roll() * 256));
  for (let at = 0; at < DISK / 65536 / 8; at += piece.length) bits.writeBytes(at, piece);
  return bits;
}

describe('the report of a disk of 16 TiB', () => {
  it('with 2^28 granules stays far under 2 MB; with another beside it, and the differences, it does as well', () => {
    const [a, b] = [input('a', [['backup', noisy(1)]]), input('b', [['backup', noisy(2)]])];
    expect(pageOf(a).length).toBeLessThan(MAX / 4);
    const both = pageOf(a, b);
    expect(both.length).toBeLessThan(MAX);
    expect(both).toContain('A cell is 8 GiB of the disk');
  });

  it('with 250 bitmaps stays under 2 MB, and lists those that it does not show', () => {
    const roll = dice(7);
    const bitmaps = Array.from({ length: 250 }, (_, at): [string, Bitmap] => {
      const bits = new Bitmap(2 ** 22, { size: DISK });
      for (let count = 0; count < 500; count++) bits.set(Math.floor(roll() * DISK));
      return [`checkpoint-${at}`, bits];
    });
    const page = pageOf(input('many', bitmaps));
    expect(page.length).toBeLessThan(MAX);
    expect(page.match(/<h4>disk0\/checkpoint-/g)?.length).toBe(200);
    expect(page).toContain('50 more bitmaps, not shown');
    expect(page).toContain('<li>disk0/checkpoint-249</li>');
    expect(pageOf(input('a', bitmaps), input('b', bitmaps)).length).toBeLessThan(MAX);
  });

  it('with 250 bitmaps of the longest names stays under 2 MB, though each of their characters is escaped', () => {
    const bitmaps = Array.from({ length: 250 }, (_, at): [string, Bitmap] => [
      `${at}${'&'.repeat(1000)}`,
      new Bitmap(2 ** 22, { size: DISK }),
    ]);
    expect(pageOf(input('many', bitmaps)).length).toBeLessThan(MAX);
  });
});
