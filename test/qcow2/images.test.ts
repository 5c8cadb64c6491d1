import { describe, expect, it } from 'vitest';
import { DirtyBitmapError } from '../../src/errors.js';
import { decodeQcow2 } from '../../src/qcow2/read-qcow2.js';
import type { Code } from '../../src/rules.js';
import { compareImage } from './images-truth.js';
import { IMAGES, readVector } from './vectors.js';

/** Which rule each image breaks that must be refused. */
const BROKEN: Readonly<Record<string, Code>> = {
  'autoclear-noext': 'qcow2-extension-missing',
  'dir-beyond-eof': 'qcow2-directory-outside',
  // An L1 table is no entry: the size of its name is 0.
  'dir-overlaps-l1': 'qcow2-name-size',
  'dir-size-limit': 'qcow2-directory-size',
  'dir-size-short': 'qcow2-directory-broken',
  'dir-size-zero': 'qcow2-directory-size',
  'dir-unaligned': 'qcow2-directory-offset',
  'duplicate-names': 'qcow2-name-twice',
  'entry-beyond-eof': 'qcow2-data-outside',
  'entry-lowbits': 'qcow2-word-reserved',
  'entry-overlaps-l1': 'qcow2-cluster-referenced',
  'entry-reserved': 'qcow2-word-reserved',
  'ext-length': 'qcow2-extension-length',
  'ext-reserved': 'qcow2-extension-reserved',
  'extra-data': 'qcow2-directory-broken',
  'flags-bit7': 'qcow2-bitmap-flags',
  'name-long': 'qcow2-name-size',
  'nb-huge': 'qcow2-bitmap-count',
  'nb-zero': 'qcow2-bitmap-count',
  'table-beyond-eof': 'qcow2-table-outside',
  'table-entries-huge': 'qcow2-table-entries',
  'table-entries-two': 'qcow2-table-length',
  'table-entries-zero': 'qcow2-table-entries',
  // The file ends inside the cluster of the directory, so that as bits it is cut off.
  'table-overlaps-dir': 'qcow2-data-outside',
  'table-unaligned': 'qcow2-table-offset',
  'table-zero': 'qcow2-table-offset',
  type2: 'qcow2-bitmap-type',
  'unknown-incompatible': 'qcow2-incompatible-unknown',
};

describe('images that QEMU made, or that were broken by hand', () => {
  it.each(IMAGES)('%s is read as QEMU and an independent reader do', (name, truth) => {
    expect(compareImage(outcomeOf(name), truth)).toEqual([]);
  });

  it('are refused with the rule that they break', () => {
    const refused = IMAGES.filter(([, truth]) => truth.mustRefuse === true).map(([name]) => name);
    expect(Object.fromEntries(refused.map((name) => [name, codeOf(name)]))).toEqual(
      Object.fromEntries(Object.entries(BROKEN).map(([name, code]) => [`bad-${name}.qcow2`, code])),
    );
  });

  it.each([
    ['ok-corrupt-bit', 'qcow2-corrupt', 72],
    ['ok-unknown-autoclear', 'qcow2-autoclear-unknown', 88],
    ['ok-pad-nonzero', 'qcow2-directory-padding', 5658],
    ['ok-tail-bits', 'bits-past-end', 4608],
    ['stale-autoclear0', 'qcow2-stale', 112],
    ['spec-extra-data', 'qcow2-bitmap-unsupported', 5632],
    ['spec-flags-bit2', 'qcow2-bitmap-unsupported', 5632],
    ['spec-granularity8', 'qcow2-bitmap-unsupported', 5632],
  ])('%s is read, with a finding', (name, code, offset) => {
    expect(decodeQcow2(readVector(`${name}.qcow2`)).findings.list).toMatchObject([{ code, offset }]);
  });

  it('hold bitmaps that are in use, and told as what they are', () => {
    const bytes = readVector('in-use.qcow2');
    const trustOf = (writerPresent?: boolean) => {
      const { bitmaps, findings } = decodeQcow2(bytes, { writerPresent });
      const codes = new Set(findings.list.map((finding) => finding.code));
      expect(bitmaps.every((bitmap) => bitmap.inUse && bitmap.bits === undefined)).toBe(true);
      return [new Set(bitmaps.map((bitmap) => bitmap.trust)), codes];
    };
    expect(trustOf(true)).toEqual([new Set(['in-use-live']), new Set(['qcow2-in-use-live'])]);
    expect(trustOf(false)).toEqual([new Set(['in-use-orphaned']), new Set(['qcow2-in-use-orphaned'])]);
    expect(trustOf(undefined)).toEqual([new Set(['in-use-unknown']), new Set(['qcow2-in-use'])]);
  });

  it('with the dirty bit are read, without a look at refcounts', () => {
    const { bitmaps, findings } = decodeQcow2(readVector('dirty-bit.qcow2'));
    expect(bitmaps.map((bitmap) => bitmap.trust)).toEqual(['in-use-unknown']);
    expect(findings.list.map((finding) => finding.code)).toEqual(['qcow2-dirty', 'qcow2-in-use']);
  });

  it('tell the names of bitmaps that are stale, without bits', () => {
    const { bitmaps } = decodeQcow2(readVector('stale-autoclear0.qcow2'));
    expect(bitmaps).toMatchObject([{ name: { text: 'b0' }, trust: 'stale', granularity: 512, auto: true }]);
    expect(bitmaps[0]?.bits).toBeUndefined();
  });
});

function outcomeOf(name: string): unknown {
  try {
    return decodeQcow2(readVector(name));
  } catch (error) {
    return error;
  }
}

function codeOf(name: string): Code | undefined {
  const outcome = outcomeOf(name);
  if (outcome instanceof DirtyBitmapError) return outcome.code;
  return (outcome as ReturnType<typeof decodeQcow2>).bitmaps[0]?.fault?.code;
}
