import { DIRTY_BITMAP } from '../../capture/items.js';
import type { Phase, Timeline, TimelineRun } from '../../capture/timeline.js';
import { formatBytes, plural } from '../text.js';
import { type Html, html } from './escape.js';
import { short } from './tables.js';

const WIDTH = 640;
const LANE = 22;
const TOP = 20;
/** From the top: what each lane holds. */
const LANES = ['use-bitmap', 'use-ram', 'use-device', 'use-other'] as const;
const HEIGHT: number = TOP + LANES.length * LANE;
/** Units that a phase must be wide for its name to fit. */
const LABEL_ROOM = 62;

/** A stream from left to right: a lane each for bitmaps, RAM, devices and the rest, over bands for its phases. */
export function timelineSvg({ runs, leftOut, bytes }: Timeline): Html {
  const weights = runs.map((run) => 1 + Math.log2(1 + run.bytes));
  const gap = leftOut === null ? 0 : Math.max(1, ...weights);
  const scale =
    WIDTH /
    Math.max(
      1,
      weights.reduce((sum, weight) => sum + weight, gap),
    );
  const bands: { phase: Phase; x: number; end: number }[] = [];
  const marks: Html[] = [];
  let x = 0;
  for (const [at, run] of runs.entries()) {
    if (leftOut !== null && at === leftOut.after) {
      marks.push(leftOutMark(leftOut, x, gap * scale));
      x += gap * scale;
    }
    const width = (weights[at] as number) * scale;
    const lane = laneOf(run);
    const text = `${runName(run)}: ${formatBytes(run.bytes)} at ${run.offset}${run.count > 1 ? `, ${run.count} of them` : ''} (${run.phase})`;
    marks.push(
      html`<rect class="${LANES[lane]}" x="${short(x)}" y="${TOP + lane * LANE + 2}" width="${short(Math.max(0.5, width - 0.5))}" height="${LANE - 4}"><title>${text}</title></rect>`,
    );
    const band = bands.at(-1);
    if (band?.phase === run.phase) band.end = x + width;
    else bands.push({ phase: run.phase, x, end: x + width });
    x += width;
  }
  const label = `Timeline of ${formatBytes(bytes)}: ${bands.map(({ phase }) => phase).join(', then ')}; the table below says the same`;
  return html`<svg class="map timeline" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${label}">
${bands.map(bandMark)}
${marks}</svg>`;
}

function bandMark(
  { phase, x, end }: { readonly phase: Phase; readonly x: number; readonly end: number },
  at: number,
): Html {
  const width = end - x;
  return html`<g><title>${phase}</title><rect class="band${at % 2}" x="${short(x)}" y="0" width="${short(width)}" height="${HEIGHT}"/>${
    width > LABEL_ROOM && html`<text class="phase" x="${short(x + 4)}" y="15">${phase}</text>`
  }</g>\n`;
}

function leftOutMark(leftOut: NonNullable<Timeline['leftOut']>, x: number, width: number): Html {
  const text = `${plural(leftOut.runs, 'run')} left out here: ${leftOut.items} items, ${formatBytes(leftOut.bytes)}`;
  return html`<rect class="gone" x="${short(x)}" y="${TOP}" width="${short(width)}" height="${HEIGHT - TOP}"><title>${text}</title></rect>`;
}

function laneOf({ kind, name }: TimelineRun): number {
  if (kind !== 'section') return 3;
  if (name === DIRTY_BITMAP) return 0;
  return name === 'ram' ? 1 : 2;
}

/** What a run is called. */
export function runName({ kind, name, instance, sectionType }: TimelineRun): string {
  if (kind === 'section')
    return `${name}${instance > 0 ? ` (instance ${instance})` : ''} ${(sectionType ?? '').toUpperCase()}`;
  if (kind === 'command') return `command ${name}`;
  return { header: 'magic and version', configuration: 'configuration', end: 'end of stream', vmdesc: 'vmdesc' }[kind];
}
