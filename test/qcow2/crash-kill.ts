import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { hasWriter, lockImage } from '../../src/io/image-lock.js';
import { commitSteps } from '../../src/qcow2/commit/plan-commit.js';
import type { WantedBitmap } from '../../src/qcow2/commit/wanted.js';
import type { Qcow2Image } from '../../src/qcow2/image.js';
import { keepBitmaps } from '../../src/qcow2/operations.js';
import { runStepsOnBytes } from '../../src/qcow2/random-access.js';
import { Dice } from '../differential/dice.js';
import { bitmapsOf, expectedOf, look, whichOf } from './crash-judge.js';
import { OPERATIONS } from './crash-operations.js';
import { askQemu } from './crash-qemu.js';
import { afterSteps } from './crash-states.js';

/** What came of killing our own writer. */
export interface KillTally {
  kills: number;
  /** Where they came: while a commit was under way, by what the image had after it, or between two. */
  readonly found: Map<string, number>;
  readonly problems: string[];
}

/** Bytes of an image that has been changed often enough. */
const LONG = 4 * 1024 * 1024;
/** Bitmaps of an image, at most. */
const MANY = 8;

/** The change of a number: the same in the writer, and in whoever tells what it was to do. */
export function killChange(
  seed: number,
  index: number,
): { readonly change: (image: Qcow2Image) => readonly WantedBitmap[]; readonly paranoid: boolean } {
  const dice = new Dice(seed, 'kill', index);
  const paranoid = dice.chance(30);
  const change = (image: Qcow2Image): readonly WantedBitmap[] => {
    if (image.bitmaps.length > MANY) return keepBitmaps(image).slice(MANY / 2);
    for (;;) {
      const list = OPERATIONS[dice.pick(Object.keys(OPERATIONS))]?.(image, dice);
      // The five with long names are there already.
      const names = list?.map((one) => (one.kind === 'new' ? one.name : (one.name ?? one.bitmap.name)).text);
      if (list !== undefined && new Set(names).size === list.length) return list;
    }
  };
  return { change, paranoid };
}

/**
 * Kills a writer at random moments, and looks at what it left: by time, or after a random step; locked in either way.
 * @param onKill is called after each.
 */
export async function runKills(count: number, seed: number, onKill?: (done: number) => void): Promise<KillTally> {
  const tally: KillTally = { kills: 0, found: new Map(), problems: [] };
  const folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-kill-'));
  const path = join(folder, 'image');
  try {
    let index = 0;
    for (let round = 0; round < count; round++) {
      const dice = new Dice(seed, 'killer', round);
      if (!existsSync(path) || statSync(path).size > LONG) create(path, dice);
      const way = dice.pick(['ofd', 'qemu-io'] as const);
      const before = new Uint8Array(readFileSync(path));
      const said = await killOne(path, { seed, index, way, dice });
      const problems = [...(await judge(path, before, seed, index, said, tally)), ...(await judgeLock(path, way))];
      tally.problems.push(
        ...problems.map((problem) => `kill ${round}, ${way}, ${said.at(-1) ?? 'nothing said'}: ${problem}`),
      );
      tally.kills++;
      index += said.length + 1;
      onKill?.(tally.kills);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  return tally;
}

function create(path: string, dice: Dice): void {
  const options = `cluster_size=${dice.pick([512, 1024, 4096])},refcount_bits=${dice.pick([1, 16, 64])}`;
  const run = spawnSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', options, path, '3M'], { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(run.stderr);
}

interface Victim {
  readonly seed: number;
  readonly index: number;
  readonly way: 'ofd' | 'qemu-io';
  readonly dice: Dice;
}

const CHILD = fileURLToPath(new URL('crash-child.ts', import.meta.url));

/** Starts a writer, kills it, and returns the lines that it has said. */
async function killOne(path: string, { seed, index, way, dice }: Victim): Promise<string[]> {
  const bySteps = dice.chance(50);
  const steps = bySteps ? dice.between(1, 60) : 0;
  const args = ['--import', 'tsx', CHILD, path, `${seed}`, `${index}`, way, `${steps}`];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (piece: string) => {
    complaint += piece;
  });
  const closed = once(child, 'close');
  const begun = new Promise<void>((resolve) => {
    child.stdout.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
      resolve();
    });
  });
  if (!bySteps) {
    await Promise.race([begun, closed]);
    await sleep(dice.below(400));
    child.kill('SIGKILL');
  }
  const [, signal] = await closed;
  if (signal !== 'SIGKILL') throw new Error(`the writer ended by itself: ${complaint}`);
  return text.split('\n').filter((line) => line !== '');
}

/** Holds the image against what the writer was about to do. */
async function judge(
  path: string,
  before: Uint8Array,
  seed: number,
  first: number,
  said: readonly string[],
  tally: KillTally,
): Promise<string[]> {
  const file = new Uint8Array(readFileSync(path));
  const seen = look(file);
  if ('error' in seen) return [`the reader refuses it: ${seen.code}`];
  const ended = said.filter((line) => line.startsWith('end')).length;
  let bytes = before;
  for (let index = first; index < first + ended; index++) bytes = planned(bytes, seed, index).after;
  const old = look(bytes);
  if ('error' in old) return [`without a crash, the reader refuses it: ${old.code}`];
  const underWay = said.length > 2 * ended;
  const lists = [bitmapsOf(old.image), ...(underWay ? [planned(bytes, seed, first + ended).wanted, []] : [])];
  const which = whichOf(bitmapsOf(seen.image), lists);
  const names = underWay ? ['the old ones', 'the new ones', 'none'] : ['those of the last commit'];
  const name = which === undefined ? 'a mix' : (names[which] as string);
  tally.found.set(name, (tally.found.get(name) ?? 0) + 1);
  return [
    ...(which === undefined ? ['the bitmaps are neither old, new nor none'] : []),
    ...(await askQemu(path, file)),
  ];
}

/** What a commit makes of an image. */
function planned(
  bytes: Uint8Array,
  seed: number,
  index: number,
): { after: Uint8Array; wanted: ReturnType<typeof expectedOf> } {
  const seen = look(bytes);
  if ('error' in seen) throw seen.error;
  const { change, paranoid } = killChange(seed, index);
  const list = change(seen.image);
  const { steps } = runStepsOnBytes(bytes, commitSteps(seen.image, list, { paranoid }));
  return { after: afterSteps(bytes, steps), wanted: expectedOf(list, seen.image) };
}

/** A lock must be gone with its process; the file that marks the other way is taken over by the next writer. */
async function judgeLock(path: string, way: 'ofd' | 'qemu-io'): Promise<string[]> {
  for (let tries = 0; way === 'qemu-io' && tries < 250 && (await hasWriter(path)); tries++) await sleep(20);
  if (await hasWriter(path)) return ['the image is locked still'];
  const mark = `${path}.dirtybitmap-lock`;
  if (way === 'qemu-io' && existsSync(mark)) {
    const file = await open(path, 'r+');
    const lock = await lockImage(path, file, { ways: ['qemu-io'] }).catch((error: Error) => error);
    if (lock instanceof Error) return [`the mark of a dead writer is in the way: ${lock.message}`];
    await lock.release();
    await file.close();
  }
  const left = readdirSync(join(path, '..')).filter((name) => name !== 'image');
  return left.length > 0 ? [`it left ${left.join(' ')}`] : [];
}

/** The tally in a line. */
export function killLine({ kills, found, problems }: KillTally): string {
  const listed = [...found].sort().map(([name, times]) => `${times} times ${name}`);
  return `${kills} times killed, ${listed.join(', ')}, ${problems.length} failures`;
}
