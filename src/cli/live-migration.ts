import type { MultiBar, SingleBar } from 'cli-progress';
import type { IncomingMigration } from '../capture/incoming-migration.js';
import { findingText } from '../report/info-text.js';
import { bitmapProgress, completeText, phaseText } from '../report/migration-text.js';
import { formatBytes } from '../report/text.js';
import { painter, type Terminal } from './terminal.js';

/** Bars that a terminal has room for; bitmaps after these are counted only. */
const MAX_BARS = 10;
/** A drawing costs more than a piece of RAM: milliseconds between two. */
const STEP = 100;

/**
 * Shows a migration as it passes, on standard error: phases, findings and bitmaps that are complete as lines, and on a
 * terminal bars with rate and time left.
 */
export class LiveMigration {
  readonly #terminal: Terminal;
  readonly #sizeOf: (node: string) => number | undefined;
  readonly #bars: MultiBar | undefined;
  readonly #rows = new Map<string, SingleBar>();
  readonly #began = performance.now();
  #total: SingleBar | undefined;
  #drawn = 0;
  #phases = 0;
  #findings = 0;
  readonly #toldComplete = new Set<unknown>();
  #toldPostcopyRam: boolean;

  private constructor(
    terminal: Terminal,
    bars: MultiBar | undefined,
    sizeOf: (node: string) => number | undefined,
    destination: boolean,
  ) {
    this.#terminal = terminal;
    this.#toldPostcopyRam = !destination;
    this.#bars = bars;
    this.#sizeOf = sizeOf;
  }

  /** @param destination whether the migration ends here: else it passes by. */
  static async begin(
    terminal: Terminal,
    sizeOf: (node: string) => number | undefined,
    destination = true,
  ): Promise<LiveMigration> {
    if (terminal.stderr.isTTY !== true) return new LiveMigration(terminal, undefined, sizeOf, destination);
    const { MultiBar } = await import('cli-progress');
    const format = '{label} [{bar}] {percentage}%  {came}  ETA {eta_formatted}';
    const bars = new MultiBar({ format, stream: terminal.stderr, clearOnComplete: true, hideCursor: true });
    return new LiveMigration(terminal, bars, sizeOf, destination);
  }

  /** Looks at what has come by now. */
  update(incoming: IncomingMigration): void {
    const { reader, phase, phases } = incoming;
    for (; this.#phases < phases.length; this.#phases++) {
      const next = phases[this.#phases];
      if (next !== undefined) this.say(phaseText(next));
    }
    if (incoming.postcopyRam && !this.#toldPostcopyRam) {
      this.#toldPostcopyRam = true;
      this.say(
        'postcopy-ram is on: a precopy is received as any other, but a postcopy needs a real destination, whose guest ' +
          'fetches its RAM; no guest runs here',
      );
    }
    this.#tellFindings(incoming);
    const now = performance.now();
    // Bitmaps may be many, and pieces more: once for each step.
    if (now - this.#drawn < STEP && phase !== 'complete') return;
    this.#drawn = now;
    this.#draw(incoming, now);
    for (const bitmap of reader.bitmaps) {
      if (!bitmap.complete || this.#toldComplete.has(bitmap)) continue;
      this.#toldComplete.add(bitmap);
      this.say(completeText(bitmap));
    }
  }

  /** A line that stays. */
  say(text: string): void {
    const line = `dirtybitmap: ${text}\n`;
    if (this.#bars === undefined || this.#total === undefined) {
      this.#terminal.stderr.write(line);
      return;
    }
    this.#bars.log(line);
    // What waits for the next drawing would be lost where there is none.
    this.#bars.update();
  }

  stop(): void {
    this.#bars?.stop();
  }

  #tellFindings({ reader }: IncomingMigration): void {
    const { list } = reader.findings;
    const paint = painter(this.#terminal.stderr, this.#terminal.env);
    for (; this.#findings < list.length; this.#findings++) {
      const finding = list[this.#findings];
      if (finding !== undefined) this.say(findingText(finding, paint));
    }
  }

  #draw({ reader, phase }: IncomingMigration, now: number): void {
    if (this.#bars === undefined) return;
    const seconds = (now - this.#began) / 1000;
    const rate = `${formatBytes(Math.round(reader.bytes / Math.max(seconds, 0.001)))}/s`;
    const all = { label: phase, bytes: formatBytes(reader.bytes), rate };
    this.#total ??= this.#bars.create(0, 0, all, { format: '{label}  {bytes}  {rate}' });
    this.#total.update(reader.bytes, all);
    for (const { label, covered, size, wireBytes, complete } of bitmapProgress(reader.bitmaps, this.#sizeOf)) {
      const row = this.#rows.get(label) ?? this.#row(label, size);
      if (size !== undefined) row?.setTotal(size);
      row?.update(covered, { label, covered: formatBytes(covered), came: formatBytes(wireBytes) });
      if (complete) row?.stop();
    }
  }

  /** A bar; without the size of the disk only how much was told of. */
  #row(label: string, size: number | undefined): SingleBar | undefined {
    if (this.#rows.size >= MAX_BARS) return undefined;
    const format = size === undefined ? { format: '{label}  {covered} of the disk, {came}' } : {};
    const row = this.#bars?.create(size ?? 0, 0, { label, covered: '', came: '' }, format);
    if (row !== undefined) this.#rows.set(label, row);
    return row;
  }
}
