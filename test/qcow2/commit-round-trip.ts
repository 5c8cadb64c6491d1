import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Bitmap } from '../../src/bitmap/bitmap.js';
import { nameFromText } from '../../src/bytes/text.js';
import { commitImage } from '../../src/io/qcow2-commit.js';
import type { NewBitmap } from '../../src/qcow2/commit/wanted.js';
import { addBitmaps, mergeIntoBitmap, renameBitmap, setRecording } from '../../src/qcow2/operations.js';
import { decodeQcow2 } from '../../src/qcow2/read-qcow2.js';
import { Dice } from '../differential/dice.js';
import { randomBits } from './crash-operations.js';

/** What came of images that went forth and back between us and QEMU's tools. */
export interface RoundTripTally {
  trips: number;
  /** Bitmaps whose bits a tool and we were asked for, and said the same. */
  compared: number;
  readonly problems: string[];
}

/** A bitmap as it is to be. */
interface Told {
  readonly bits: Bitmap;
  readonly auto: boolean;
}

/** An image that both write, and what each of its bitmaps is to have. */
class Trip {
  readonly path: string;
  readonly expected = new Map<string, Told>();
  readonly problems: string[] = [];
  compared = 0;

  constructor(folder: string) {
    this.path = join(folder, 'image');
  }

  /** Runs a program that must succeed; returns its output. */
  run(program: string, args: readonly string[], input = ''): string {
    const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: 60_000, input });
    if (status !== 0) throw new Error(`${program} ${args.join(' ')}: exit ${status}: ${stderr}`);
    return stdout;
  }

  bitsOf(name: string): Bitmap {
    return (this.expected.get(name) as Told).bits;
  }

  /** A write of the guest's, which every bitmap records that is enabled. */
  recordWrite(offset: number, length: number): void {
    for (const { bits, auto } of this.expected.values()) if (auto) bits.set(offset, length);
  }

  /** What our reader, qemu-img and an NBD client say must be what is expected; QEMU changes the order. */
  compare(when: string): void {
    const differ = (what: string, expected: unknown, found: unknown): void => {
      const [wanted, is] = [JSON.stringify(expected), JSON.stringify(found)];
      if (wanted !== is) this.problems.push(`${when}: ${what}: expected ${wanted}, found ${is}`.slice(0, 600));
    };
    const listed = sorted([...this.expected].map(([name, { bits, auto }]) => [name, bits.granularity, auto]));
    const { bitmaps, findings } = decodeQcow2(new Uint8Array(readFileSync(this.path)), { writerPresent: false });
    differ('our list', listed, sorted(bitmaps.map(({ name, granularity, auto }) => [name.text, granularity, auto])));
    differ('our findings', [], findings.list);
    const bits = new Map(bitmaps.map((bitmap) => [bitmap.name.text, bitmap.bits]));
    const check = spawnSync('qemu-img', ['check', this.path], { encoding: 'utf8' });
    differ('exit of qemu-img check', 0, check.status);
    const info = JSON.parse(this.run('qemu-img', ['info', '--output=json', this.path]));
    const theirs: { name: string; granularity: number; flags: string[] }[] = info['format-specific'].data.bitmaps ?? [];
    const shown = theirs.map(({ name, granularity, flags }) => [name, granularity, flags.join() === 'auto']);
    differ('list of qemu-img info', listed, sorted(shown));
    for (const [name, told] of this.expected) {
      const wanted = [...told.bits.extents()];
      differ(`our bits of ${name}`, wanted, [...(bits.get(name)?.extents() ?? [])]);
      differ(`bits of ${name} over NBD`, wanted, this.#nbdExtents(name));
      this.compared++;
    }
  }

  /** The dirty extents that QEMU shows of a bitmap. */
  #nbdExtents(name: string): [number, number][] {
    const server = ['[', 'qemu-nbd', '-r', '-f', 'qcow2', '-B', name, this.path, ']'];
    const map = this.run('nbdinfo', [`--map=qemu:dirty-bitmap:${name}`, '--json', '--', ...server]);
    const dirty: [number, number][] = [];
    for (const { offset, length, type } of JSON.parse(map) as { offset: number; length: number; type: number }[]) {
      const last = dirty.at(-1);
      if ((type & 1) === 0) continue;
      if (last !== undefined && last[0] + last[1] === offset) last[1] += length;
      else dirty.push([offset, length]);
    }
    return dirty;
  }
}

function sorted(list: readonly (readonly unknown[])[]): string[] {
  return list.map((one) => one.join(' ')).sort();
}

/** Random images, written by turns. */
export async function runRoundTrips(count: number, seed: number, first = 0): Promise<RoundTripTally> {
  const tally: RoundTripTally = { trips: 0, compared: 0, problems: [] };
  for (let index = first; index < first + count; index++) {
    const folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-trip-'));
    try {
      const trip = new Trip(folder);
      await travel(trip, new Dice(seed, 'trip', index));
      tally.trips++;
      tally.compared += trip.compared;
      tally.problems.push(...trip.problems.map((problem) => `trip ${index}: ${problem}`));
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
  return tally;
}

async function travel(trip: Trip, dice: Dice): Promise<void> {
  const { path, expected } = trip;
  const cluster = 2 ** dice.between(9, 17);
  const sectors = dice.chance(20) ? dice.between(1, 9) : dice.between(10, Math.min(2 ** 20, cluster * 40));
  const size = sectors * 512;
  const grain = (): number => 2 ** dice.between(9, dice.chance(15) ? 31 : 16);
  const fresh = (name: string, auto: boolean): NewBitmap => {
    const granularity = grain();
    const bits = randomBits(size, granularity, cluster, dice);
    expected.set(name, { bits, auto });
    return { kind: 'new', name: nameFromText(name), granularity, auto, bits: bits.clone() };
  };
  const guest = (): void => {
    const offset = dice.below(sectors) * 512;
    const length = Math.min(size - offset, 512 * dice.between(1, 300));
    trip.run('qemu-io', ['-f', 'qcow2', '-c', `write -P 7 ${offset} ${length}`, path]);
    trip.recordWrite(offset, length);
  };
  const options = `cluster_size=${cluster},refcount_bits=${dice.pick([1, 2, 4, 8, 16, 32, 64])}`;
  trip.run('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', options, path, `${size}`]);
  const theirs = new Bitmap(grain(), { size });
  trip.run('qemu-img', ['bitmap', '--add', '-g', `${theirs.granularity}`, path, 'theirs']);
  expected.set('theirs', { bits: theirs, auto: true });
  guest();
  await commitImage(path, (image) => addBitmaps(image, [fresh('ours', true), fresh('disabled', false)]));
  trip.compare('after we have added two');
  guest();
  // A virtual machine opens the image for writing, and closes it.
  const blockdev = `driver=qcow2,node-name=disk,file.driver=file,file.filename=${path}`;
  const machine = ['-machine', 'none', '-nodefaults', '-display', 'none', '-qmp', 'stdio', '-blockdev', blockdev];
  trip.run('qemu-system-x86_64', machine, '{"execute":"qmp_capabilities"}\n{"execute":"quit"}\n');
  trip.compare('after QEMU has written to it');
  const merged = trip.bitsOf('disabled').withGranularity(grain());
  trip.run('qemu-img', ['bitmap', '--add', '--merge', 'disabled', '-g', `${merged.granularity}`, path, 'merged']);
  expected.set('merged', { bits: merged, auto: true });
  trip.compare('after QEMU has merged');
  trip.bitsOf('ours').or(merged);
  await commitImage(path, (image) => mergeIntoBitmap(image, nameFromText('ours'), [merged]));
  await commitImage(path, (image) => renameBitmap(image, nameFromText('disabled'), nameFromText('n\u00e4me')));
  expected.set('n\u00e4me', expected.get('disabled') as Told).delete('disabled');
  await commitImage(path, (image) => setRecording(image, nameFromText('merged'), false));
  expected.set('merged', { bits: merged, auto: false });
  guest();
  trip.compare('after we have merged, renamed and disabled');
  trip.run('qemu-img', ['bitmap', '--remove', path, 'theirs']);
  expected.delete('theirs');
  trip.compare('after QEMU has removed one');
  await commitImage(path, () => []);
  expected.clear();
  trip.compare('after we have removed all');
}

/** The tally in a line. */
export function roundTripLine({ trips, compared, problems }: RoundTripTally): string {
  return `${trips} images written by turns, bits of ${compared} bitmaps compared, ${problems.length} failures`;
}
