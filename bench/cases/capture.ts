import { join } from 'node:path';
import { asSpeed, assertSame, type Case, type Context, type Measured } from '../case.js';
import { GiB } from '../data/bitmaps.js';
import { idleCapture, type MadeCapture, writeCapture } from '../data/captures.js';
import { commandLine, loadCore } from '../library.js';
import { compare, race, timed } from '../measure.js';
import { outputOf, runProcess } from '../processes.js';
import { spreadOf } from '../statistics.js';

const GROUP = 'capture';
const SECTIONS = 100_000;

/** Stops where `info` does not find in a capture what was put into it. */
export function assertInfo(dist: string, path: string, made: MadeCapture): void {
  type Document = {
    readonly bytes: number;
    readonly bitmaps: readonly { readonly count: number; readonly complete: boolean }[];
  };
  const document: Document = JSON.parse(outputOf(process.execPath, [commandLine(dist), 'info', '--json', path]));
  assertSame('info: bytes', document.bytes, made.bytes);
  assertSame(
    'info: counts',
    document.bitmaps
      .map(({ count }) => count)
      .sort()
      .join(),
    made.counts.toSorted().join(),
  );
  assertSame(
    'info: complete',
    document.bitmaps.every(({ complete }) => complete),
    true,
  );
}

async function info({ dist, folder, pace }: Context): Promise<Measured> {
  const path = join(folder, 'capture.bin');
  const made = await writeCapture(dist, path, GiB);
  assertInfo(dist, path, made);
  const ours = {
    name: 'dirtybitmap info',
    round: () => runProcess(process.execPath, [commandLine(dist), 'info', path]).milliseconds,
  };
  const other = { name: 'cat', round: () => runProcess('cat', [path]).milliseconds };
  const comparison = await compare(ours, [other], { ...pace, warmUp: 2 });
  const note = `${(made.bytes / comparison.ours / 1e6).toFixed(1)} GB of capture a second`;
  return { ...asSpeed(comparison), against: undefined, note };
}

async function idle({ dist, pace }: Context): Promise<Measured> {
  const { CaptureReader } = await loadCore(dist);
  const [few, many] = [await idleCapture(dist, 1), await idleCapture(dist, 1 + SECTIONS)];
  const read = (stream: Uint8Array): InstanceType<typeof CaptureReader> => {
    const reader = new CaptureReader({ total: stream.length });
    reader.push(stream);
    reader.finish();
    return reader;
  };
  const { summary, bitmaps } = read(many);
  assertSame('sections', summary.sections[0]?.count, SECTIONS + 3);
  assertSame('bitmaps', bitmaps.filter(({ complete }) => complete).length, 2);
  const contestants = [few, many].map((stream) => ({ name: 'CaptureReader', round: timed(() => void read(stream)) }));
  const [without = [], times = []] = await race(contestants, pace);
  return { value: spreadOf(times.map((ms, round) => ((ms - (without[round] as number)) * 1e6) / SECTIONS)) };
}

export const CAPTURE: readonly Case[] = [
  {
    name: 'info-1-gib',
    group: GROUP,
    title: 'info on a capture with 1 GiB of RAM pages, bitmaps at the end',
    against: 'cat FILE > /dev/null',
    goal: { atLeast: 0.7 },
    run: info,
  },
  {
    name: 'part-sections',
    group: GROUP,
    title: '100,000 PART sections with nothing but EOS: ns a section',
    against: '-',
    goal: { atMost: 150 },
    unit: 'ns',
    run: idle,
  },
];
