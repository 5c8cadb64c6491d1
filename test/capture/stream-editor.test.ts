import { describe, expect, it } from 'vitest';
import { nameFromText } from '../../src/bytes/text.js';
import { CaptureReader } from '../../src/capture/capture-reader.js';
import type { SpliceChanges } from '../../src/capture/chunk-edits.js';
import { spliceCapture } from '../../src/capture/splice.js';
import { changeText, type StreamChanges, StreamEditor } from '../../src/capture/stream-editor.js';
import { collect, setOf } from '../support/sets.js';
import * as build from '../support/stream-builder.js';
import { listVectors, readStream, vectorOf } from '../support/vectors.js';

interface Edited {
  readonly bytes: Uint8Array;
  readonly done: readonly string[];
  readonly fault: string | undefined;
}

function edit(stream: Uint8Array, changes: StreamChanges, length = 65_536): Edited {
  const editor = new StreamEditor(changes);
  const out: Uint8Array[] = [];
  for (let at = 0; at < stream.length; at += length) out.push(...editor.push(stream.slice(at, at + length)));
  const bytes = Buffer.concat([...out, ...editor.finish()]);
  return { bytes, done: editor.done.map(changeText), fault: editor.fault?.code };
}

function read(stream: Uint8Array): CaptureReader {
  const reader = new CaptureReader();
  reader.push(stream);
  reader.finish();
  return reader;
}

const contents = (stream: Uint8Array): string[] =>
  read(stream)
    .bitmaps.map(({ node, name, complete, granularity, recording, bits }) =>
      JSON.stringify([node.text, name.text, complete, granularity, recording, [...bits.extents()].slice(0, 99)]),
    )
    .sort();

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
const ADDED = setOf({ node: 'added', name: 'new', size: 2 ** 26, dirty: [[65_536, 131_072]] });
/** Whole streams that may pass a tap; what lies at fixed places of a file may not. */
const LIVE = listVectors()
  .filter(({ id, channel }) => id.startsWith('captures') && !channel && !/mapped-ram|offset/.test(id))
  .map((vector) => [vector.id, readStream(vector)] as const)
  .filter(([, stream]) => {
    const { summary, findings } = read(stream);
    return summary.complete && findings.counts.error === 0 && stream.length < 2 ** 22;
  });
const WITH_BITMAPS = LIVE.filter(([, stream]) => read(stream).bitmaps.length > 0);

describe('StreamEditor', () => {
  it('has streams to work on', () => {
    expect(WITH_BITMAPS.length).toBeGreaterThan(20);
    expect(LIVE.length).toBeGreaterThan(WITH_BITMAPS.length);
  });

  it.each(LIVE)('passes %s on as it is where nothing is to be changed', (_id, stream) => {
    expect(same(edit(stream, {}, 1000).bytes, stream)).toBe(true);
    expect(edit(stream, { rename: () => undefined, drop: () => false }).done).toEqual([]);
  });

  const whole: readonly (readonly [string, SpliceChanges])[] = [
    ['drops', { drop: ({ index }) => index === 0 }],
    ['drops all', { drop: () => true }],
    ['renames', { rename: ({ node, bitmap }) => ({ node: nameFromText(`x${node.text}`), bitmap }) }],
  ];
  it.each(whole)('%s as it is done to a capture that is read twice', (_what, changes) => {
    for (const [id, stream] of WITH_BITMAPS) {
      const expected = collect(spliceCapture(stream, changes));
      expect(same(edit(stream, changes).bytes, expected), id).toBe(true);
      if (stream.length < 100_000) expect(same(edit(stream, changes, 1).bytes, expected), id).toBe(true);
    }
  });

  it('replaces a bitmap as it is done to a capture that is read twice', () => {
    for (const [id, stream] of WITH_BITMAPS) {
      const [first] = read(stream).bitmaps;
      if (first === undefined || !first.diskEnd || first.coveredBytes > 2 ** 40) continue;
      const { granularity } = first;
      const sketch = { node: first.node.text, name: first.name.text, granularity, size: first.coveredBytes };
      const put = setOf({ ...sketch, dirty: [[0, Math.min(granularity, first.coveredBytes)]] });
      const { bytes, done, fault } = edit(stream, { put }, 777);
      expect([fault, done], id).toEqual([undefined, [`${first.node.text}/${first.name.text}: replaced`]]);
      expect(same(bytes, collect(spliceCapture(stream, { put }))), id).toBe(true);
    }
  });

  it.each(LIVE)('adds a bitmap to %s', (_id, stream) => {
    const { bytes, done, fault } = edit(stream, { put: ADDED });
    expect([fault, done]).toEqual([undefined, ['added/new: added']]);
    const expected = ['["added","new",true,65536,true,[[65536,131072]]]', ...contents(stream)].sort();
    expect(contents(bytes)).toEqual(expected);
    expect(read(bytes).findings.counts.error).toBe(0);
    if (stream.length < 50_000) expect(same(edit(stream, { put: ADDED }, 1).bytes, bytes)).toBe(true);
  });

  it('says names again after bitmaps that were added', () => {
    const { bytes } = edit(build.precopy(), { put: ADDED });
    expect(contents(bytes)).toHaveLength(2);
    // Without its names the COMPLETE of b0 would be that of the bitmap before it.
    expect(read(bytes).bitmaps.map(({ complete }) => complete)).toEqual([true, true]);
  });

  it('takes out SWITCHOVER_START, where it is a command', () => {
    const stream = readStream(vectorOf('captures-10.0/small-qcow2-persistent.bin'));
    const { bytes, done } = edit(stream, { dropSwitchoverStart: true }, 3);
    expect(done).toEqual(['SWITCHOVER_START: dropped']);
    const at = Buffer.from(stream).indexOf('08000b0000', 'hex');
    expect(same(bytes, Buffer.concat([stream.subarray(0, at), stream.subarray(at + 5)]))).toBe(true);
    // Such bytes of a guest's stay.
    const command = build.command(11);
    const page = Buffer.alloc(4096, command);
    const guest = build.qevm(
      build.configuration('pc-i440fx-10.0'),
      build.start(2, 'ram', [build.u64(0x1004), build.str8('pc.ram'), build.u64(0x1000), build.RAM_EOS]),
      build.part(2, [build.u64(8), build.str8('pc.ram'), page, build.RAM_EOS]),
      ...[command, build.end(2, build.RAM_EOS), build.EOF],
    );
    expect(edit(guest, { dropSwitchoverStart: true }, 100).bytes.length).toBe(guest.length - 5);
  });

  it('holds back less than a header', () => {
    const stream = build.precopy();
    const editor = new StreamEditor({ drop: () => false, rename: () => undefined });
    let out = 0;
    let most = 0;
    for (let at = 0; at < stream.length; at++) {
      for (const { length } of editor.push(stream.slice(at, at + 1))) out += length;
      most = Math.max(most, at + 1 - out);
    }
    expect(most).toBeLessThan(32);
    // Devices are not waited for, nor what may follow the end: a source that waits for an answer sends nothing more.
    expect(editor.finish()).toEqual([]);
  });

  const two = build.bitmapStream(
    [build.startChunk(build.B0), build.startChunk({ bitmap: 'b1' }), build.EOS],
    [build.completeChunk({ bitmap: 'b0' }), build.completeChunk({ bitmap: 'b1' }), build.EOS],
  );
  it.each([
    ['two bitmaps of one name', 'bitmap-exists', two, { rename: () => ({ bitmap: nameFromText('x') }) }],
    [
      'a damaged stream',
      'item-unknown',
      build.join(build.qevm(build.configuration()), build.fill(99, 0xee)),
      { rename: () => ({}) },
    ],
    [
      'bitmaps of disks of two sizes',
      'size-differs',
      build.precopy(),
      { put: setOf({ name: 'other', size: 2 ** 26, dirty: [] }) },
    ],
  ])('says %s, and passes the rest on as it is', (_what, code, stream, changes) => {
    const { bytes, fault } = edit(stream, changes, 10);
    expect(fault).toBe(code);
    expect(same(bytes.subarray(-20), stream.subarray(-20))).toBe(true);
  });

  it('makes the destination drop all bitmaps where a fault would let it take the bits of one for those of another', () => {
    // Of two bitmaps the second is dropped; its second chunk leaves the names out, and is more than may be.
    const B1 = { ...build.B0, bitmap: 'b1' };
    const bits = (first: number, bytes: number, names?: build.Names): Uint8Array =>
      build.bitsChunk(first, build.UNIT, build.fill(bytes, 1), names);
    const bodies = [bits(0, 32, build.B0), build.completeChunk(), bits(0, 32, B1)];
    const stream = build.qevm(
      build.configuration(),
      build.start(3, 'dirty-bitmap', [build.startChunk(build.B0), build.startChunk(B1), build.EOS]),
      build.end(3, [...bodies, bits(build.UNIT, 10_241), build.EOS]),
    );
    const drop = ({ bitmap }: { bitmap: { text: string } }): boolean => bitmap.text === 'b1';
    for (const length of [1, 100, 65_536]) {
      const { bytes, fault } = edit(stream, { drop }, length);
      expect(fault).toBe('bits-size-limit');
      const name = Buffer.from('\x04\x19dirtybitmap-change-failed', 'latin1');
      const at = Buffer.from(bytes).indexOf(name);
      // Where the chunk stands that would have been b0's.
      expect(at).toBeGreaterThan(0);
      expect(
        same(bytes.subarray(at + name.length), stream.subarray(stream.length - (bytes.length - at - name.length))),
      ).toBe(true);
      expect(bytes[at + name.length]).toBe(0x40);
    }
    // Nothing was half changed: nothing is put in.
    expect(same(edit(stream, { rename: () => undefined }).bytes, stream)).toBe(true);
  });

  it('says that it could not do so where the fault is outside of the bitmaps', () => {
    const stream = build.qevm(
      build.configuration(),
      build.start(3, 'dirty-bitmap', [build.startChunk(build.B0), build.startChunk({ bitmap: 'b1' }), build.EOS]),
      // The next chunk of b1 may leave out its names, and would be b0's at the destination.
      build.part(3, [build.zeroesChunk(0, 1, build.B0), build.zeroesChunk(0, 1, { bitmap: 'b1' }), build.EOS]),
      build.fill(20, 0xee),
    );
    const harm = (changes: StreamChanges, length: number): StreamEditor['harm'] => {
      const editor = new StreamEditor(changes);
      for (let at = 0; at < stream.length; at += length) editor.push(stream.slice(at, at + length));
      expect(editor.fault?.code).toBe('item-unknown');
      return editor.harm;
    };
    for (const length of [1, 100, 65_536]) {
      expect(harm({ drop: ({ bitmap }) => bitmap.text === 'b1' }, length)).toBe('open');
      // The last chunk was of a bitmap that stays.
      expect(harm({ drop: ({ bitmap }) => bitmap.text === 'b0' }, length)).toBe(undefined);
    }
  });

  it('passes on what waits where the stream is cut', () => {
    const stream = build.precopy();
    for (let cut = 0; cut < stream.length; cut += 7) {
      const { bytes, fault } = edit(stream.subarray(0, cut), { drop: () => false, put: setOf() }, 5);
      expect([same(bytes, stream.subarray(0, cut)), fault]).toEqual([true, undefined]);
    }
  });
});
