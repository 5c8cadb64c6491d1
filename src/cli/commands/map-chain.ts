import { nameFromText, printable } from '../../bytes/text.js';
import { chainBitmap } from '../../chain/chain-bitmap.js';
import type { Chain } from '../../chain/layer.js';
import { openChain } from '../../chain/open-chain.js';
import { DirtyBitmapError } from '../../errors.js';
import { chainFiles } from '../../io/chain-files.js';
import { EXIT, type Terminal } from '../terminal.js';
import { type MapOptions, writeMap } from '../write-map.js';

/**
 * `map IMAGE --chain`: a bitmap ORed along the backing chain. Only a qcow2 image has a bitmap, so asking for one declares
 * the format of the top; it is not guessed.
 */
export async function mapChain(image: string, options: MapOptions, terminal: Terminal): Promise<number> {
  const { format: formats = ['auto'], offset = 0, limit = {} } = options;
  if (image === '-' || offset > 0)
    throw new DirtyBitmapError('argument', '--chain is about images: give one as a file');
  if (formats.some((format) => format !== 'auto' && format !== 'qcow2')) {
    throw new DirtyBitmapError('argument', '--chain is about qcow2 images: leave --format away, or give qcow2');
  }
  const chain = await openChain(image, chainFiles, { format: 'qcow2', limits: limit });
  const name = options.bitmap ?? onlyBitmap(chain);
  const { bits, holders, notes } = chainBitmap(chain, name, limit);
  for (const note of notes) terminal.stderr.write(`dirtybitmap: ${printable(note)}\n`);
  const mapped = { node: undefined, name: nameFromText(name), bits, coveredBytes: holders[0]?.virtualSize ?? 0 };
  await writeMap(mapped, options, terminal);
  return EXIT.OK;
}

/** @throws DirtyBitmapError what ended the reading of the chain; `bitmap-not-found`. */
function onlyBitmap({ layers, error }: Chain): string {
  if (error !== undefined) throw error;
  const [only, ...others] = layers[0]?.bitmaps ?? [];
  if (only !== undefined && others.length === 0) return only.name.text;
  const found = only === undefined ? 'no bitmap' : 'several bitmaps';
  throw new DirtyBitmapError('bitmap-not-found', `the top of the chain has ${found}: choose one with --bitmap`);
}
