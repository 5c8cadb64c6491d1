import { describe, expect, it } from 'vitest';
import { all, loadChunks as load, verdicts } from '../support/qemu-verdicts.js';
import { B0, completeChunk, type Names, type Part, startChunk, UNIT, zeroesChunk } from '../support/stream-builder.js';

describe('disks whose size is not known', () => {
  const names = (node: string, bitmap: string): Names => ({ node, bitmap });

  it('are as large as the stream covers them', () => {
    const { bitmaps, assumptions } = load({ version: '7.2' }, [startChunk(B0), zeroesChunk(0, 100), completeChunk()]);
    expect(bitmaps).toMatchObject([{ wordBits: 64, count: 0 }]);
    expect(assumptions.join()).toContain('"disk0" of 51200 bytes');
  });

  it('have one size for all their bitmaps', () => {
    const short = [startChunk(B0), zeroesChunk(0, 100), completeChunk()];
    const longer = (node: string): Part => [startChunk(names(node, 'b1')), zeroesChunk(0, UNIT), completeChunk()];
    expect(verdicts(undefined, [short, longer('disk1')])).toEqual(all('load'));
    expect(verdicts(undefined, [short, longer('disk0')])).toEqual(all('abort bits-length'));
    const twice = [startChunk(B0), zeroesChunk(0, 100), zeroesChunk(0, 300)];
    expect(verdicts(undefined, twice)).toEqual(all('abort bits-length'));
  });

  it('die where they died, whatever came after', () => {
    const chunks = [startChunk(B0), zeroesChunk(0, 100), zeroesChunk(0, UNIT), startChunk(B0)];
    const { verdict, reasons } = load({ version: '7.2' }, chunks);
    expect([verdict, reasons.map((reason) => reason.code)]).toEqual(['abort', ['bits-length']]);
    expect(reasons[0]?.message).toContain('nothing is loaded');
  });

  it('have no bytes where that is all the stream says', () => {
    expect(verdicts(undefined, [startChunk(B0), zeroesChunk(0, 0), completeChunk()])).toEqual(all('abort disk-empty'));
    expect(verdicts(undefined, [startChunk(B0), completeChunk()])).toEqual(all('load'));
  });

  it('end by 2^53 bytes', () => {
    expect(verdicts(undefined, [startChunk(B0), zeroesChunk(2 ** 44, UNIT)])).toEqual(all('abort bits-past-end'));
  });
});
