import { closeSync, openSync, writeSync } from 'node:fs';
import { mapJson } from '../../src/report/map-document.js';
import { asSpeed, assertSame, type Case } from '../case.js';
import { DISK, GRANULARITY } from '../data/bitmaps.js';
import { loadCore } from '../library.js';
import { compare, timed } from '../measure.js';

/** Dirty and clean by turns: half of them are dirty. */
const EXTENTS = 1_000_000;

/**
 * The text that the command `map --json` writes, made and written. It is made by the command's own source: the command
 * itself would be measured with the start of Node and the reading of its input.
 */
const mapCase: Case = {
  name: 'map-json',
  group: 'map',
  title: 'map --json of 10^6 extents, written to /dev/null',
  against: 'JSON.stringify of the same array, written to /dev/null',
  goal: { atLeast: 0.5 },
  run: async ({ dist, pace, collect }) => {
    const { Bitmap } = await loadCore(dist);
    const bits = new Bitmap(GRANULARITY, { size: DISK });
    const extents: { offset: number; length: number; type: number; description: string }[] = [];
    for (let at = 0; extents.length < EXTENTS; ) {
      // Lengths from 1 to 249 granules, dirty ones and clean ones by turns.
      const length = (1 + ((extents.length * 7919) % 249)) * GRANULARITY;
      const type = extents.length % 2;
      if (type === 1) bits.set(at, length);
      extents.push({ offset: at, length, type, description: type === 1 ? 'dirty' : 'clean' });
      at += length;
    }
    const last = extents.at(-1) as (typeof extents)[number];
    const mapped = { bits, coveredBytes: last.offset + last.length };
    assertSame('map', JSON.stringify(JSON.parse([...mapJson(mapped)].join(''))), JSON.stringify(extents));
    const nowhere = openSync('/dev/null', 'w');
    const ours = timed(() => {
      for (const text of mapJson(mapped)) writeSync(nowhere, text);
    });
    const other = timed(() => void writeSync(nowhere, JSON.stringify(extents)));
    const contestants = [{ name: 'JSON.stringify', round: other }];
    const comparison = await compare({ name: 'map', round: ours }, contestants, { ...pace, collect });
    closeSync(nowhere);
    const note = `${((comparison.ours * 1e6) / EXTENTS).toFixed(0)} ns an extent`;
    return { ...asSpeed(comparison), against: undefined, note };
  },
};

export const MAP: readonly Case[] = [mapCase];
