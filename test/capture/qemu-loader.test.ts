import { describe, expect, it } from 'vitest';
import { QemuLoader } from '../../src/capture/qemu-loader.js';
import type { QemuDestination } from '../../src/migration/qemu-destination.js';
import type { QemuPrediction } from '../../src/migration/qemu-prediction.js';
import { all, eachVersion, inShort } from '../support/qemu-verdicts.js';
import {
  ADVISE,
  B0,
  BITMAP_ID,
  bitmapChunks,
  capabilities,
  command,
  completeChunk,
  configuration,
  EOF,
  EOS,
  end,
  fill,
  full,
  join,
  LISTEN,
  type Part,
  packaged,
  part,
  precopy,
  qevm,
  RAM_EOS,
  RUN,
  start,
  startChunk,
  str8,
  u32,
  u64,
} from '../support/stream-builder.js';

function load(destination: QemuDestination, stream: Uint8Array, piece = stream.length): QemuPrediction {
  const loader = new QemuLoader(destination);
  for (let at = 0; at < stream.length; at += piece) loader.push(stream.slice(at, at + piece));
  return loader.finish();
}

/** What each version makes of a stream. */
function verdicts(stream: Uint8Array, destination: Omit<QemuDestination, 'version'> = {}): Record<string, string> {
  return eachVersion((version) => inShort(load({ version, ...destination }, stream)));
}

const START: Part = start(BITMAP_ID, 'dirty-bitmap', [startChunk(B0), EOS]);
const END: Part = end(BITMAP_ID, [bitmapChunks(), EOS]);
const none = (...items: readonly Part[]): Uint8Array => qevm(configuration('none'), ...items);

describe('a stream as QEMU writes it', () => {
  it('is loaded, in any pieces', () => {
    const stream = precopy();
    const whole = load({ version: '7.2' }, stream);
    expect(whole.verdict).toBe('load');
    expect(whole.bitmaps).toMatchObject([{ node: 'disk0', name: 'b0', recording: true, busy: false, count: 65_536 }]);
    for (const piece of [1, 7]) expect(load({ version: '7.2' }, stream, piece)).toEqual(whole);
  });

  it('says what that rests on', () => {
    const { assumptions } = load({ version: '7.2' }, precopy());
    expect(assumptions).toEqual([
      'The destination has the nodes that the stream names, each as large as the stream covers it: "disk0" of 4194304 bytes.',
      'They are writable and have no bitmaps of these names, neither in memory nor stored.',
      'It is a machine none with the capabilities of the source.',
      'Its RAM and devices load; 2 device sections came.',
    ]);
    const known = { version: '7.2', machine: 'none', nodes: [{ node: 'disk0', size: 4_194_304 }] } as const;
    expect(load(known, none(START, END, EOF)).assumptions).toEqual([]);
  });

  it('is loaded without bitmaps too', () => {
    expect(verdicts(none(EOF))).toEqual(all('load'));
  });
});

describe('what comes before the sections', () => {
  it.each<[string, Uint8Array, string]>([
    ['nothing', new Uint8Array(0), 'not-a-stream'],
    ['something else', join('QEVN', u32(3), fill(20)), 'not-a-stream'],
    ['another version', join('QEVM', u32(2), fill(20)), 'stream-version'],
    ['no configuration', qevm(START, END, EOF), 'configuration-missing'],
    [
      'a subsection that nobody knows',
      qevm(configuration('none', [5, 3, 'x/y', u32(1)]), EOF),
      'configuration-invalid',
    ],
  ])('%s', (_what, stream, code) => {
    expect(verdicts(stream)).toEqual(all(`fail ${code}`));
  });

  it('must be what the destination wants', () => {
    expect(verdicts(qevm(START, END, EOF), { configuration: false })).toEqual(all('load'));
    expect(verdicts(none(START, END, EOF), { configuration: false })).toEqual(all('fail configuration-unexpected'));
    expect(verdicts(none(START, END, EOF), { machine: 'none' })).toEqual(all('load'));
    expect(verdicts(none(START, END, EOF), { machine: 'pc' })).toEqual(all('fail machine'));
  });

  it('may ask for mapped-ram only where that exists', () => {
    expect(verdicts(qevm(configuration('none', capabilities('mapped-ram')), START, END, EOF))).toEqual({
      '5.2': 'fail capability',
      '7.2': 'fail capability',
      '10.0': 'load',
      '11.1': 'load',
    });
  });
});

describe('sections', () => {
  it.each<[string, Part, string]>([
    ['with another name', start(9, 'dirty-bitmaps', EOS), 'section-unknown'],
    ['with another instance', start(9, 'dirty-bitmap', EOS, { instance: 1 }), 'section-unknown'],
    ['with another version', start(9, 'dirty-bitmap', EOS, { version: 2 }), 'section-version'],
    ['that go on without having begun', part(9, EOS), 'section-not-started'],
    ['that are none', 0x55, 'damaged'],
    ['that a source left behind which refused', start(9, 'dirty-bitmap', []), 'source-failed'],
    ['with the footer of another', join(start(9, 'ram', RAM_EOS, { footer: false }), 0x7e, u32(8)), 'footer-mismatch'],
  ])('%s', (_what, section, code) => {
    expect(verdicts(none(section, EOF))).toEqual(all(`fail ${code}`));
  });

  it('have footers or not, as the destination wants', () => {
    const without = precopy({ footers: false, vmdesc: false });
    expect(verdicts(without)).toEqual(all('fail footer-missing'));
    expect(verdicts(precopy(), { footers: false })).toEqual(all('fail footer-unexpected'));
    const bare = none(
      start(BITMAP_ID, 'dirty-bitmap', [startChunk(B0), EOS], { footer: false }),
      end(BITMAP_ID, [bitmapChunks(), EOS], { footer: false }),
      EOF,
    );
    expect(verdicts(bare, { footers: false })).toEqual(all('load'));
  });

  it('of the legacy block migration are gone since 9.1', () => {
    const stream = none(start(1, 'block', u64(0x02)), START, END, EOF);
    expect(verdicts(stream)).toEqual({
      '5.2': 'load',
      '7.2': 'load',
      '10.0': 'fail section-unknown',
      '11.1': 'fail section-unknown',
    });
  });

  it('may come under two ids', () => {
    const stream = none(START, start(4, 'dirty-bitmap', [bitmapChunks(), EOS]), EOF);
    expect(verdicts(stream)).toEqual(all('load'));
  });
});

describe('commands', () => {
  it.each<[string, Part, string]>([
    ['PING without a return path', command(2, u32(1)), 'ping'],
    ['one that nobody knows', command(99), 'command-invalid'],
    ['PING of two bytes', command(2, fill(2)), 'command-invalid'],
    ['an empty package', packaged(), 'damaged'],
  ])('%s', (_what, item, code) => {
    expect(verdicts(none(item, START, END, EOF))).toEqual(all(`fail ${code}`));
  });

  it('PING is answered on a return path, where the channel has one', () => {
    const stream = none(command(1), command(2, u32(1)), START, END, EOF);
    expect(verdicts(stream)).toEqual(all('load'));
    expect(verdicts(stream, { returnPath: false })).toEqual(all('fail ping'));
  });

  it('SWITCHOVER_START came with 10.0', () => {
    expect(verdicts(none(START, command(11), END, EOF))).toEqual({
      '5.2': 'fail command-unknown',
      '7.2': 'fail command-unknown',
      '10.0': 'load',
      '11.1': 'load',
    });
  });

  it('ENABLE_COLO never leads to an end', () => {
    expect(verdicts(none(command(8), START, END, EOF))).toEqual({
      '5.2': 'fail colo',
      '7.2': 'fail colo',
      '10.0': 'fail colo-refused',
      '11.1': 'fail colo-refused',
    });
  });
});

describe('a stream that ends too early', () => {
  const rest = join(packaged(command(LISTEN), full(0, 'timer', fill(24)), command(RUN)), part(BITMAP_ID, EOS));

  it('fails in precopy, and nothing is there', () => {
    const stream = precopy({ vmdesc: false });
    expect(verdicts(stream.subarray(0, stream.length - 1))).toEqual(all('fail cut'));
    expect(load({ version: '7.2' }, stream.subarray(0, stream.length - 1)).bitmaps).toEqual([]);
  });

  it('loses what is not complete after the switch-over', () => {
    const stream = none(command(ADVISE), START, rest);
    expect(verdicts(stream)).toEqual(all('cancel postcopy-lost'));
    expect(verdicts(join(stream, END))).toEqual(all('load postcopy-broken'));
    expect(load({ version: '7.2' }, join(stream, END)).bitmaps).toMatchObject([{ name: 'b0', busy: false }]);
  });

  it('fails inside of the package', () => {
    const stream = none(command(ADVISE), START, rest);
    expect(verdicts(stream.subarray(0, stream.length - 20))).toEqual(all('fail cut'));
  });

  it('stops the guest where RAM takes part in the postcopy', () => {
    const stream = none(command(ADVISE, [u64(4096), u64(4096)]), START, rest);
    expect(verdicts(stream)).toEqual(all('fail postcopy-paused'));
  });
});

describe('a postcopy of two nodes', () => {
  it('kills 7.2 and 10.0', () => {
    const two = [startChunk(B0), startChunk({ node: 'disk1', bitmap: 'b0' }), EOS];
    const stream = none(
      command(ADVISE),
      start(BITMAP_ID, 'dirty-bitmap', two),
      packaged(command(LISTEN), command(RUN)),
      end(BITMAP_ID, [completeChunk(B0), completeChunk({ node: 'disk1', bitmap: 'b0' }), EOS]),
      EOF,
    );
    expect(verdicts(stream)).toEqual({
      '5.2': 'load',
      '7.2': 'abort node-after-run',
      '10.0': 'abort node-after-run',
      '11.1': 'load',
    });
  });
});

describe('what this library cannot follow', () => {
  it('is assumed to load, and the place is told', () => {
    const device = full(7, 'timer', fill(24), { footer: false });
    const stream = none(start(BITMAP_ID, 'dirty-bitmap', [startChunk(B0), EOS], { footer: false }), device, EOF);
    const { verdict, unreadFrom, assumptions } = load({ version: '7.2', footers: false }, stream);
    expect([verdict, unreadFrom]).toEqual(['load', stream.length - device.length - 1]);
    expect(assumptions.join()).toContain('from byte');
  });
});

describe('pieces that are left out', () => {
  it('change nothing', () => {
    const list = [u64(4096 + 0x04), str8('pc.ram'), u64(4096)];
    const ram = start(2, 'ram', [list, u64(0x08), str8('pc.ram'), fill(4096), RAM_EOS]);
    const stream = qevm(configuration('pc-i440fx-7.2'), ram, START, END, EOF);
    const loader = new QemuLoader({ version: '7.2' });
    let skipped = 0;
    for (let at = 0; at < stream.length; ) {
      const skip = Math.min(loader.skippable, stream.length - at);
      loader.skipped(skip);
      skipped += skip;
      at += skip;
      loader.push(stream.slice(at, at + 16));
      at += 16;
    }
    expect(loader.finish().bitmaps).toMatchObject([{ count: 65_536 }]);
    expect(skipped).toBeGreaterThan(4000);
    expect(loader.skippable).toBeGreaterThanOrEqual(0);
  });
});
