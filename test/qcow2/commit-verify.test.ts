import { describe, expect, it } from 'vitest';
import type { Bitmap } from '../../src/bitmap/bitmap.js';
import { nameFromText } from '../../src/bytes/text.js';
import { disableBitmaps } from '../../src/qcow2/commit/switch-header.js';
import { assertCommitted } from '../../src/qcow2/commit/verify.js';
import type { WantedBitmap } from '../../src/qcow2/commit/wanted.js';
import { parseExtensions } from '../../src/qcow2/extensions.js';
import { parseHeader } from '../../src/qcow2/header.js';
import type { Qcow2Image } from '../../src/qcow2/image.js';
import { keepBitmaps, putBitmaps } from '../../src/qcow2/operations.js';
import { decodeQcow2 } from '../../src/qcow2/read-qcow2.js';
import { codeOf } from '../support/chunks.js';
import { buildImage, type ImageForm } from './build-image.js';
import { commit, fresh, TWO } from './commit-in-memory.js';
import { clearAutoclear, otherLength } from './crash-edits.js';
import { afterSteps } from './crash-states.js';

describe('disableBitmaps', () => {
  const disabled = (bytes: Uint8Array): Uint8Array => {
    const header = parseHeader(bytes);
    return afterSteps(bytes, disableBitmaps(header, parseExtensions(bytes, header)));
  };

  it('clears the bit, and nothing else', () => {
    const { bytes } = buildImage({ ...TWO, autoclear: 3 });
    const after = disabled(bytes);
    expect([...after.keys()].filter((at) => after[at] !== bytes[at])).toEqual([95]);
    expect(after[95]).toBe(2);
    expect(decodeQcow2(after).bitmaps.map(({ trust }) => trust)).toEqual(['stale', 'stale']);
  });

  it.each([[[]], [[[0x11223344, 'behind']]]] as const)(
    'takes away an extension of another length, which QEMU opens in no way (%j behind it)',
    (moreExtensions) => {
      const { bytes } = buildImage({ ...TWO, moreExtensions } as ImageForm);
      const after = disabled(otherLength(bytes));
      expect(decodeQcow2(after)).toMatchObject({ bitmaps: [], bitmapsExtension: undefined });
    },
  );

  it('refuses version 2, which has something else where the bit would be', () => {
    const { bytes } = buildImage({ version: 2 });
    expect(codeOf(() => disableBitmaps(parseHeader(bytes)))).toBe('qcow2-not-writable');
  });
});

describe('assertCommitted', () => {
  const { bytes } = buildImage({ bitmaps: [...TWO.bitmaps, { name: 'lost', flags: 3 }] });
  const image = decodeQcow2(bytes, { writerPresent: false });
  const [one, two, lost] = keepBitmaps(image) as [WantedBitmap, WantedBitmap, WantedBitmap];
  const verdict = (...list: WantedBitmap[]): string | undefined => codeOf(() => assertCommitted(image, list));

  it('accepts what was to be', () => {
    expect(() => assertCommitted(image, [one, two, lost])).not.toThrow();
    // What is in use stays so, also where somebody says what it is already.
    expect(() => assertCommitted(image, [one, two, { ...lost, auto: true }])).not.toThrow();
  });

  it('finds another list, name, flag, granularity and other bits', () => {
    const [bitmap] = image.bitmaps as [Qcow2Image['bitmaps'][0]];
    const bits = bitmap.bits as Bitmap;
    const other = bits.clone();
    other.set(64 * 1024);
    expect(verdict(one, two)).toBe('qcow2-verify-failed');
    expect(verdict(two, one, lost)).toBe('qcow2-verify-failed');
    expect(verdict({ ...one, auto: false }, two, lost)).toBe('qcow2-verify-failed');
    expect(verdict({ kind: 'keep', bitmap: { ...bitmap, bits: other } }, two, lost)).toBe('qcow2-verify-failed');
    expect(verdict({ kind: 'new', name: bitmap.name, auto: true, granularity: 512, bits: other }, two, lost)).toBe(
      'qcow2-verify-failed',
    );
    expect(
      verdict({ kind: 'new', name: bitmap.name, auto: true, granularity: 512, bits: 'all-dirty' }, two, lost),
    ).toBe('qcow2-verify-failed');
    expect(verdict({ kind: 'keep', bitmap: { ...bitmap, granularity: 1024 } }, two, lost)).toBe('qcow2-verify-failed');
    expect(verdict(one, two, { kind: 'new', name: nameFromText('lost'), auto: true, granularity: 512, bits })).toBe(
      'qcow2-verify-failed',
    );
  });

  it('does not count bitmaps that are void', () => {
    const built = buildImage({ ...TWO, moreExtensions: [[0x11223344, 'behind']] });
    const { image } = commit(built.bytes, () => []);
    expect(image.bitmaps.map(({ trust }) => trust)).toEqual(['stale', 'stale']);
    const again = commit(clearAutoclear(built.bytes), (image) => putBitmaps(image, [fresh('one')]));
    expect(again.image.bitmaps.map(({ name, trust }) => [name.text, trust])).toEqual([['one', 'enabled']]);
  });
});
