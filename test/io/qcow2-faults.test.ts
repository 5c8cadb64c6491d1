import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type DirtyBitmapError, isDirtyBitmapError } from '../../src/errors.js';
import { commitImage, undoCommit } from '../../src/io/qcow2-commit.js';
import type { WantedBitmap } from '../../src/qcow2/commit/wanted.js';
import type { Qcow2Image } from '../../src/qcow2/image.js';
import { keepBitmaps } from '../../src/qcow2/operations.js';
import { recount } from '../qcow2/own-checker.js';
import { CASES, contradicts, prepare, which } from './qcow2-fault-cases.js';

/** How the disk fails: with the call (write or sync) of this number, and perhaps with all after it. */
interface Fault {
  readonly path: string;
  readonly call: number;
  readonly code: 'ENOSPC' | 'EIO';
  readonly forGood: boolean;
  calls: number;
}

const disk: { fault: Fault | undefined } = vi.hoisted(() => ({ fault: undefined }));

// The seam is that of Node: a file that is opened for writing fails as told, everything else is real.
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  const open = async (...args: Parameters<typeof real.open>): Promise<FileHandle> => {
    const handle = await real.open(...args);
    return args[0] === disk.fault?.path && args[1] === 'r+' ? failing(handle, disk.fault) : handle;
  };
  return { ...real, open };
});

// Locks are another matter, and looking at every process takes its time.
vi.mock('../../src/io/proc-locks.js', async (original) => ({
  ...(await original<typeof import('../../src/io/proc-locks.js')>()),
  writersOf: async () => [],
}));

function failing(handle: FileHandle, fault: Fault): FileHandle {
  const fails = (): boolean => {
    const call = fault.calls++;
    return call === fault.call || (fault.forGood && call > fault.call);
  };
  const error = (): Error => Object.assign(new Error(`${fault.code}: the disk, write`), { code: fault.code });
  const write = async (bytes: Uint8Array, at: number, length: number, position: number) => {
    if (!fails()) return await handle.write(bytes, at, length, position);
    // The kernel stops between pages, or where the last byte finds no room; a small write is whole.
    if (length > 512) await handle.write(bytes, at, length - 512, position);
    throw error();
  };
  const datasync = async (): Promise<void> => {
    if (fails()) throw error();
    await handle.datasync();
  };
  return new Proxy(handle, {
    get(target, key) {
      if (key === 'write') return write;
      if (key === 'datasync') return datasync;
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

const FAULTS = [
  ['ENOSPC', false],
  ['ENOSPC', true],
  ['EIO', true],
] as const;

const hasQemu = spawnSync('qemu-img', ['--version']).status === 0;

describe('a disk that fails', () => {
  let folder: string;
  let path: string;
  let tried = 0;
  let asked = 0;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-faults-'));
    path = join(folder, 'image');
    writeFileSync(join(folder, 'base.raw'), new Uint8Array(512));
  });
  afterEach(() => {
    disk.fault = undefined;
    rmSync(folder, { recursive: true });
  });
  afterAll(() => console.log(`${tried} faults, ${asked} of them checked by qemu-img`));

  /** The error of a work whose disk fails; undefined where it came to its end before. */
  async function errorOf(work: Promise<unknown>): Promise<DirtyBitmapError | undefined> {
    try {
      await work;
      return undefined;
    } catch (error) {
      if (!isDirtyBitmapError(error)) throw error;
      return error;
    }
  }

  function check(file: Uint8Array, what: string, leaksBefore: number, message: string): void {
    const { corruptions, leaks } = recount(file);
    expect(corruptions, what).toEqual([]);
    if (!message.includes('leaked clusters')) expect(leaks, what).toBeLessThanOrEqual(leaksBefore);
    if (!hasQemu || tried++ % 12 !== 0) return;
    asked++;
    const { status, stderr } = spawnSync('qemu-img', ['check', '-f', 'qcow2', path], { cwd: folder, encoding: 'utf8' });
    expect([0, 3], `${what}: ${stderr}`).toContain(status);
  }

  it.each(CASES)('while it is to $what', async (one) => {
    const { base, old, wanted } = prepare(one);
    const { leaks } = recount(base);
    for (const [code, forGood] of FAULTS)
      for (let call = 0; ; call++) {
        writeFileSync(path, base);
        disk.fault = { path, call, code, forGood, calls: 0 };
        const error = await errorOf(commitImage(path, one.change, { unlocked: true, paranoid: one.paranoid }));
        disk.fault = undefined;
        const file = new Uint8Array(readFileSync(path));
        const found = which(file, old, wanted);
        const what = `${code}, call ${call}${forGood ? ' and all after it' : ''}: ${error?.message}`;
        if (error === undefined) {
          expect(found).toBe('new');
          break;
        }
        expect(error.code).toBe('qcow2-write-failed');
        expect(error.message).toContain(code);
        expect(['old', 'new', 'none'], what).toContain(found);
        expect(contradicts(error.message, found), `${what}, and they are ${found}`).toBe(false);
        check(file, what, leaks, error.message);
        // Whatever it left, when the disk is well again the image can be written.
        if (call % 3 === 0) await commitImage(path, again(found, one.change), { unlocked: true });
      }
  });

  type Change = (image: Qcow2Image) => readonly WantedBitmap[];

  /** The change once more, where it was not made; of bitmaps that are lost, one can at least get rid. */
  function again(found: string, change: Change): Change {
    return found === 'old' ? change : found === 'new' ? keepBitmaps : () => [];
  }

  it('while a change is undone', async () => {
    const one = CASES.find(({ what }) => what === 'replace') as (typeof CASES)[0];
    const { base, old, wanted } = prepare(one);
    for (let call = 0; ; call++) {
      writeFileSync(path, base);
      const undo = join(folder, `undo-${call}`);
      await commitImage(path, one.change, { unlocked: true, undo });
      disk.fault = { path, call, code: 'EIO', forGood: true, calls: 0 };
      const error = await errorOf(undoCommit(path, undo, { unlocked: true }));
      disk.fault = undefined;
      const file = new Uint8Array(readFileSync(path));
      if (error === undefined) {
        expect(which(file, old, wanted)).toBe('old');
        expect(call).toBeGreaterThan(4);
        break;
      }
      expect(error.code).toBe('qcow2-write-failed');
      expect(['old', 'new', 'none']).toContain(which(file, old, wanted));
      check(file, `call ${call}`, 0, error.message);
    }
  });
});
