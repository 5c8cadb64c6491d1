import type { Bitmap } from '../bitmap/bitmap.js';
import { type DrawnBitmap, densityBars, densityGraph } from '../report/density-bar.js';
import { mapJson, mapText } from '../report/map-document.js';
import type { InputOptions } from './open-input.js';
import { barShape, isTerminal, type Terminal, writeOut } from './terminal.js';

/** What `map` can be asked. */
export interface MapOptions extends InputOptions {
  readonly json?: boolean;
  /** A picture instead of the list of extents. */
  readonly graph?: boolean;
  /** NODE/NAME, or NAME. */
  readonly bitmap?: string;
}

/** Writes a bitmap as it was asked for; a person at a terminal sees a bar above the list. */
export async function writeMap(
  bitmap: DrawnBitmap & { readonly bits: Bitmap },
  { json, graph }: MapOptions,
  terminal: Terminal,
): Promise<void> {
  if (graph === true) {
    const shape = barShape(terminal);
    // What is piped is as wide for everybody.
    const wide = isTerminal(terminal.stdout) ? shape : { ...shape, columns: Number.POSITIVE_INFINITY };
    await writeOut(terminal, `${densityGraph(bitmap, wide).join('\n')}\n`);
    return;
  }
  if (json !== true && isTerminal(terminal.stdout)) {
    const bars = densityBars([bitmap], barShape(terminal));
    if (bars.length > 0) await writeOut(terminal, `${bars.join('\n')}\n`);
  }
  for (const text of json === true ? mapJson(bitmap) : mapText(bitmap)) await writeOut(terminal, text);
}
