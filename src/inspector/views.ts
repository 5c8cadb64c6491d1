import { SECTOR } from '../chunk/chunk-cursor.js';
import type { Findings } from '../findings.js';
import { type Html, type HtmlValue, html } from '../report/html/escape.js';
import { findingList } from '../report/html/page.js';
import { table } from '../report/html/tables.js';
import { formatBytes } from '../report/text.js';
import type { ListedChunk } from './list-chunks.js';

/** Findings that are shown while the input is read. */
const LIVE = 20;

/** Some chunks of a bitmap; a button of each shows its bytes. */
export function chunkTable(label: string, chunks: readonly ListedChunk[]): Html {
  const rows = chunks.map((chunk) => [
    html`<button type="button" class="link" data-offset="${chunk.offset}" data-chunk="1" aria-label="chunk ${chunk.number}: show its bytes">${chunk.number}</button>`,
    chunk.kind.toUpperCase(),
    placeOf(chunk),
    chunk.kind === 'bits' ? chunk.dirtyBits : '',
    chunk.offset,
    chunk.length,
  ]);
  const columns = [
    { title: 'Chunk' },
    { title: 'Kind' },
    { title: 'On the disk' },
    { title: 'Bits set', number: true },
    { title: 'Offset', number: true },
    { title: 'Bytes', number: true },
  ];
  return table(`Chunks of ${label}`, columns, rows);
}

function placeOf({ kind, firstSector, sectorCount, granularity }: ListedChunk): HtmlValue {
  if (kind === 'start') return `granularity ${formatBytes(granularity)}`;
  if (kind !== 'bits' && kind !== 'zeroes') return '';
  return `${formatBytes(sectorCount * SECTOR)} from ${formatBytes(firstSector * SECTOR)}`;
}

/** The first findings, as they come. */
export function liveFindings(findings: Findings): Html {
  return html`<ul class="findings">${findingList(findings.list.slice(0, LIVE))}</ul>`;
}
