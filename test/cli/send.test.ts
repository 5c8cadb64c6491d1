import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseAddress } from '../../src/io/address.js';
import { Listener } from '../../src/io/listen.js';
import { formatSetJson } from '../../src/set/set-json.js';
import { bitmapsOf, Qemu } from '../support/qemu.js';
import { runCli } from '../support/run-cli.js';
import { setOf } from '../support/sets.js';
import { VECTORS } from '../support/vectors.js';
import { whenThere } from '../support/wire.js';
import { describeWithQemu } from '../support/with-qemu.js';

const CAPTURE = join(VECTORS, 'captures/small-qcow2-persistent.bin');

let folder: string;
let address: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-send-'));
  address = `unix:${join(folder, 'in.sock')}`;
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('send', () => {
  it('says that nobody listens', async () => {
    const { code, stderr } = await runCli('send', CAPTURE, '--connect', address);
    expect([code, stderr]).toEqual([3, expect.stringContaining('there is no such socket')]);
  });

  it.each([
    [['--connect', 'nonsense'], 'expected unix:PATH or tcp:HOST:PORT'],
    [['--rate', 'fast'], 'expected bytes: 4096'],
    // Before it connects: a QEMU takes one connection only.
    [['--rate', '0'], 'expected at least 1 byte per second'],
    [['--machine', 'x'.repeat(300)], 'machine: expected 1 to 255 bytes'],
    [['--select', 'b9'], 'there is no bitmap "b9" (there are "disk0/b0")'],
  ])('says what is wrong with %j', async (args, message) => {
    const { code, stderr } = await runCli('send', CAPTURE, '--connect', address, ...args);
    expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
  });

  it('says that the other side closed without a word', async () => {
    const listener = await Listener.open(parseAddress(address));
    const sent = runCli('send', CAPTURE, '--connect', address);
    const socket = await listener.accept();
    socket.once('data', () => socket.destroy()).resume();
    const { code, stderr } = await sent;
    expect([code, stderr]).toEqual([3, expect.stringContaining('closed the connection without a word')]);
    await listener.close();
  });

  it('ends with a signal', async () => {
    const listener = await Listener.open(parseAddress(address));
    const sent = runCli('send', CAPTURE, '--connect', address, '--rate', '1');
    const socket = await listener.accept();
    await new Promise((resolve) => socket.once('data', resolve).resume());
    process.emit('SIGTERM', 'SIGTERM');
    const { code, stderr } = await sent;
    expect([code, stderr]).toEqual([3, expect.stringContaining('ended here (SIGTERM came)')]);
    socket.destroy();
    await listener.close();
  });

  it('says in JSON what it sent', async () => {
    const listener = await Listener.open(parseAddress(address));
    const sent = runCli('send', CAPTURE, '--connect', address, '--no-return-path', '--json');
    (await listener.accept()).resume();
    const { code, stdout } = await sent;
    const bitmaps = [{ node: 'disk0', name: 'b0' }];
    expect([code, JSON.parse(stdout)]).toEqual([
      0,
      { input: CAPTURE, to: address, bytes: expect.any(Number), loaded: null, bitmaps },
    ]);
    await listener.close();
  });
});

describeWithQemu('send, with a real destination', () => {
  let qemu: Qemu;
  afterEach(async () => {
    await qemu.quit();
  });

  async function destination(...machine: string[]): Promise<void> {
    const disks = [
      { driver: 'null-co', 'node-name': 'disk0', size: 64 * 2 ** 20 },
      { driver: 'null-co', 'node-name': 'disk1', size: 2 ** 30 },
    ];
    const args = disks.flatMap((disk) => ['-blockdev', JSON.stringify(disk)]);
    qemu = await Qemu.start('qemu-system-x86_64', [...machine, '-incoming', address, '-S', ...args], folder);
  }

  it.each([
    ['none', ['-machine', 'none'], []],
    ['a PC', ['-machine', 'pc-i440fx-7.2', '-m', '32'], ['--machine', 'pc-i440fx-7.2']],
    ['none, slowly', ['-machine', 'none'], ['--rate', '4k', '--profile', 'compact']],
  ])('a capture, to a QEMU of machine %s, which then has its bitmap', async (_what, machine, more) => {
    await destination(...machine);
    const { code, stdout, stderr } = await runCli('send', CAPTURE, '--connect', address, ...more);
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('1 bitmap sent in');
    expect(stdout).toContain('QEMU has loaded the stream');
    const [info] = JSON.parse((await runCli('info', '--json', CAPTURE)).stdout).bitmaps;
    const { name, count, sha256, recording, persistent } = info;
    expect(await bitmapsOf(qemu)).toEqual([
      expect.objectContaining({ node: 'disk0', name, count, sha256, recording, persistent, busy: false }),
    ]);
  });

  it('a set of several nodes, and an image', async () => {
    await destination('-machine', 'none');
    const file = join(folder, 'set.json');
    const set = setOf(
      { node: 'disk0', name: 'a', size: 64 * 2 ** 20, dirty: [[0, 65_536]] },
      { node: 'disk1', name: 'b', granularity: 4096, dirty: [[2 ** 29, 2 ** 20]], recording: false },
    );
    writeFileSync(file, formatSetJson(set));
    expect(await runCli('send', file, '--connect', address)).toMatchObject({ code: 0 });
    const shown = (await bitmapsOf(qemu)).map(({ node, name, count, recording }) => [node, name, count, recording]);
    expect(shown).toEqual([
      ['disk0', 'a', 65_536, true],
      ['disk1', 'b', 2 ** 20, false],
    ]);
  });

  it('an image', async () => {
    const image = join(folder, 'disk1.qcow2');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', image, '1G']);
    execFileSync('qemu-img', ['bitmap', '--add', image, 'kept']);
    await destination('-machine', 'none');
    expect(await runCli('send', image, '--connect', address)).toMatchObject({ code: 0 });
    expect((await bitmapsOf(qemu)).map(({ node, name }) => `${node}/${name}`)).toEqual(['disk1/kept']);
  });

  it('another machine type: QEMU refuses the stream, which is said', async () => {
    await destination('-machine', 'none');
    const { code, stderr } = await runCli('send', CAPTURE, '--connect', address, '--machine', 'pc-q35-7.2');
    expect([code, stderr]).toEqual([3, expect.stringContaining('QEMU refuses the stream')]);
    expect((await qemu.quit()).stderr).toContain('Machine type received is');
  });
});

describeWithQemu('from receive to send', () => {
  it('brings the bitmaps of one QEMU into another', async () => {
    const disk = JSON.stringify({ driver: 'null-co', 'node-name': 'disk0', size: 2 ** 30 });
    const from = await Qemu.start('qemu-system-x86_64', ['-machine', 'none', '-blockdev', disk], folder);
    await from.execute('block-dirty-bitmap-add', { node: 'disk0', name: 'b0' });
    await from.execute('human-monitor-command', { 'command-line': 'qemu-io disk0 "write 5M 3M"' });
    const capabilities = [{ capability: 'dirty-bitmaps', state: true }];
    await from.execute('migrate-set-capabilities', { capabilities });
    const set = join(folder, 'set.json');
    const received = runCli('receive', '--listen', address, '-o', set, '--once');
    await whenThere(join(folder, 'in.sock'), received);
    await from.execute('migrate', { uri: address });
    expect((await received).code).toBe(0);
    const expected = await bitmapsOf(from);
    await from.quit();
    rmSync(join(folder, 'qmp.sock'), { force: true });
    const args = ['-machine', 'none', '-incoming', address, '-blockdev', disk];
    const to = await Qemu.start('qemu-system-x86_64', args, folder);
    expect(await runCli('send', set, '--connect', address)).toMatchObject({ code: 0 });
    expect(await bitmapsOf(to)).toEqual(expected);
    await to.quit();
  });
});
