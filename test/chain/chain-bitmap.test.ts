import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chainBitmap } from '../../src/chain/chain-bitmap.js';
import type { Chain } from '../../src/chain/layer.js';
import { openChain } from '../../src/chain/open-chain.js';
import { buildImage, type ImageForm } from '../qcow2/build-image.js';
import { memoryFiles } from './memory-files.js';

type Bitmaps = NonNullable<ImageForm['bitmaps']>;
interface LayerForm {
  readonly size?: number;
  readonly bitmaps?: Bitmaps;
}

/** A chain of these layers, over a file of `end`. */
async function chainOf(
  layers: readonly LayerForm[],
  end?: { readonly name: string; readonly format: string },
): Promise<Chain> {
  const files = layers.map(({ size = 65_536, bitmaps = [] }, at) => {
    const below = at + 1 < layers.length ? { name: `l${at + 1}`, format: 'qcow2' } : end;
    const extensions: [number, string][] = below === undefined ? [] : [[0xe2792aca, below.format]];
    return [`l${at}`, buildImage({ size, bitmaps, backing: below?.name ?? '', extensions }).bytes] as const;
  });
  return await openChain('l0', memoryFiles(Object.fromEntries(files)), { format: 'qcow2' });
}

const b = (more: Bitmaps[number] = {}): Bitmaps => [{ name: 'b', ...more }];
const reason = async (
  layers: readonly LayerForm[],
  ...end: Parameters<typeof chainOf> extends [unknown, ...infer Rest] ? Rest : never
): Promise<string> => {
  const chain = await chainOf(layers, ...end);
  try {
    chainBitmap(chain, 'b');
    return 'valid';
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    return `${code}: ${message}`;
  }
};

describe('a bitmap along a chain', () => {
  it('is the OR of all layers of an unbroken run', async () => {
    const chain = await chainOf([{ bitmaps: b({ dirty: [[0, 1]] }) }, { bitmaps: b({ dirty: [[2, 2]] }) }, {}]);
    const { bits, holders, notes } = chainBitmap(chain, 'b');
    expect([...bits.extents()]).toEqual([
      [0, 512],
      [1024, 1024],
    ]);
    expect([holders.map(({ path }) => path), notes]).toEqual([['l0', 'l1'], []]);
  });

  it.each<[string, readonly LayerForm[], RegExp]>([
    ['no layer has it', [{}, {}], /^bitmap-not-found: /],
    ['the top does not have it', [{}, { bitmaps: b() }], /chain-bitmap-invalid: .*the top, "l0", does not have it/],
    ['there is a hole', [{ bitmaps: b() }, {}, { bitmaps: b() }], /"l2" has it below a layer that does not/],
    ['one does not record', [{ bitmaps: b() }, { bitmaps: b({ flags: 0 }) }], /does not record on "l1"/],
    ['one is in use', [{ bitmaps: b() }, { bitmaps: b({ flags: 3 }) }], /it is in-use-orphaned on "l1"/],
    ['one is damaged', [{ bitmaps: b({ tableEntries: 3 }) }], /it is damaged on "l0"/],
    ['one is of a kind that QEMU does not make', [{ bitmaps: b({ flags: 6 }) }], /it is unsupported on "l0"/],
  ])('is none where %s', async (_, layers, expected) => expect(await reason(layers)).toMatch(expected));

  it('needs all layers that may have it', async () => {
    const layers = [{ bitmaps: b() }];
    expect(await reason(layers, { name: 'nbd:h:1', format: 'qcow2' })).toMatch(/chain-bitmap-invalid: .*not known/);
    expect(await reason(layers, { name: 'nbd:h:1', format: 'raw' })).toBe('valid');
    expect(await reason(layers, { name: 'gone', format: 'raw' })).toMatch(/^backing-missing: /);
  });

  it('keeps to the limit of memory', async () => {
    const chain = await chainOf([{ bitmaps: b({ dirty: [[0, 1]] }) }]);
    expect(() => chainBitmap(chain, 'b', { maxBitmapMemory: 1 })).toThrow(expect.objectContaining({ code: 'limit' }));
  });

  it('is what a naive OR of bytes gives, for disks and granules of all sizes', async () => {
    const layer = fc.record({
      size: fc.integer({ min: 1, max: 40 }).map((sectors) => sectors * 512),
      granularityBits: fc.integer({ min: 9, max: 12 }),
      dirty: fc.array(fc.tuple(fc.nat(40), fc.integer({ min: 1, max: 4 })), { maxLength: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(layer, { minLength: 1, maxLength: 4 }), async (forms) => {
        const layers = forms.map(({ size, granularityBits, dirty }) => {
          const granules = Math.ceil(size / 2 ** granularityBits);
          const inside = dirty.filter(([first, count]) => first + count <= granules);
          return { size, bitmaps: b({ granularityBits, dirty: inside }) };
        });
        const { bits, notes } = chainBitmap(await chainOf(layers), 'b');
        const size = layers[0]?.size ?? 0;
        const sectors = new Set<number>();
        for (const one of layers) {
          const [{ granularityBits = 9, dirty = [] } = {}] = one.bitmaps;
          for (const [first, count] of dirty) {
            const end = Math.min(size, one.size, (first + count) * 2 ** granularityBits);
            for (let at = first * 2 ** granularityBits; at < end; at += 512) sectors.add(at);
          }
        }
        const { granularity } = bits;
        expect(granularity).toBe(2 ** Math.min(...forms.map((form) => form.granularityBits)));
        for (let at = 0; at < size; at += granularity) {
          const dirty = Array.from({ length: granularity / 512 }, (_, sector) => at + sector * 512).some((one) =>
            sectors.has(one),
          );
          expect(bits.get(at), `${at}`).toBe(dirty);
        }
        expect(notes).toHaveLength(layers.filter((one) => one.size !== size).length);
      }),
      { numRuns: 300 },
    );
  });
});
