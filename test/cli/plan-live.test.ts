import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Qemu } from '../support/qemu.js';
import { type CliResult, runCli } from '../support/run-cli.js';
import { describeWithQemu } from '../support/with-qemu.js';

let folder: string;
let socket: string;
let qemu: Qemu;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-plan-live-'));
  socket = join(folder, 'ours.sock');
});
afterEach(() => rmSync(folder, { recursive: true }));

const plan = (...args: string[]): Promise<CliResult> => runCli('plan', ...args, '--qmp', `unix:${socket}`);

describeWithQemu('a running VM, from the command line', () => {
  beforeEach(async () => {
    const nodes = ['base', 'mid', 'top', 'mirror'].map((name) => {
      const path = join(folder, `${name}.qcow2`);
      execFileSync('qemu-img', ['create', '-f', 'qcow2', path, '1M'], { stdio: 'ignore' });
      const file = { driver: 'file', filename: path };
      const backing = { mid: 'base', top: 'mid' }[name] ?? null;
      const read = { base: true, mid: true }[name] ?? false;
      return JSON.stringify({ driver: 'qcow2', 'node-name': name, 'read-only': read, file, backing });
    });
    const args = nodes.flatMap((node) => ['-blockdev', node]);
    qemu = await Qemu.start(
      'qemu-system-x86_64',
      ['-machine', 'none', '-qmp', `unix:${socket},server=on,wait=off`, ...args],
      folder,
    );
    await qemu.execute('block-dirty-bitmap-add', { node: 'top', name: "o'clock", persistent: true });
    await qemu.execute('human-monitor-command', { 'command-line': 'qemu-io top "write 0 4096"' });
  });
  afterEach(async () => {
    await qemu.quit();
  });

  const names = async (node: string): Promise<string[]> => {
    type Shown = { readonly 'node-name': string; readonly 'dirty-bitmaps'?: { readonly name: string }[] };
    const nodes = await qemu.execute<Shown[]>('query-named-block-nodes', { flat: true });
    return (nodes.find((one) => one['node-name'] === node)?.['dirty-bitmaps'] ?? []).map(({ name }) => name);
  };

  it('shows the chain', async () => {
    const chain = (...more: string[]): Promise<CliResult> => runCli('chain', '--qmp', socket, ...more);
    const { code, stdout } = await chain('--node', 'top');
    expect([code, stdout.replaceAll(folder, 'DIR').split('\n')]).toEqual([
      0,
      [
        'top: qcow2, 1 MiB (1048576), DIR/top.qcow2',
        "   bitmap o'clock: recording, persistent, 64 KiB (65536) dirty, granularity 64 KiB",
        '└─ mid: qcow2, 1 MiB (1048576), read-only, DIR/mid.qcow2',
        '   └─ base: qcow2, 1 MiB (1048576), read-only, DIR/base.qcow2',
        '',
        '3 layers, end terminated: "base" has no backing node',
        '',
      ],
    ]);
    expect(JSON.parse((await chain('--node', 'top', '--json')).stdout)).toMatchObject({
      layers: [{ node: 'top', bitmaps: [{ name: "o'clock", count: 65_536, busy: false }] }, { node: 'mid' }, {}],
      ...{ end: 'terminated', linkSource: 'graph', error: null },
    });
    expect(await chain('--node', 'nope')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('mirror, top, mid, base'),
    });
    expect((await chain()).code).toBe(2);
    expect((await runCli('chain')).code).toBe(2);
  });

  it('applies: prepares, merges, deletes, each seen to be done', async () => {
    const copy = ['copy', '--node', 'top', '--mirror', 'mirror'];
    expect(await plan(...copy, '--apply')).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('nothing was sent'),
    });
    expect((await plan(...copy, '--prepare', '--apply')).code).toBe(0);
    expect((await plan(...copy, '--prepare', '--apply')).code).toBe(1);
    const { code, stdout } = await plan(...copy, '--apply');
    expect([code, stdout.split('\n')]).toEqual([
      0,
      [
        'one transaction:',
        '  add "o\'clock" to mirror (persistent, recording, granularity 65536)',
        '  merge into "o\'clock" of mirror: top/o\'clock, mirror/libvirt-tmp-activewrite',
        '  remove "libvirt-tmp-activewrite" from mirror',
        'applied:',
        '  transaction of 3 actions: done',
        '  asked again: the bitmaps are as planned',
        'done',
        '',
      ],
    ]);
    expect(await names('mirror')).toEqual(["o'clock"]);
    const deleted = await plan('delete', '--chain', 'mirror', '--bitmap', "o'clock", '--apply', '-o', 'qmp');
    expect([deleted.code, JSON.parse(deleted.stdout)]).toMatchObject([0, [{ type: 'block-dirty-bitmap-remove' }]]);
    expect(await names('mirror')).toEqual([]);
  });

  it('reports what QEMU refuses, and leaves all as it was', async () => {
    // It has a backing file already.
    const { code, stdout, stderr } = await plan('snapshot', '--node', 'mirror', '--overlay', 'top', '--apply');
    expect([code, stdout]).toEqual([1, expect.stringContaining('refused: no bitmap was changed')]);
    expect(stderr).toMatch(/^dirtybitmap: qmp-refused: QEMU refused transaction: /);
    expect(await names('mirror')).toEqual([]);
  });

  it.each([
    ['top,base', '--chain is top,base, but QEMU has top,mid,base; give that, or --node top'],
    ['top,mid,bsae', 'QEMU tells of no node "bsae"'],
    ['top', '--chain is top, but QEMU has top,mid,base'],
    ['top,base,mid', '--chain is top,base,mid, but QEMU has top,mid,base'],
  ])('sends nothing for a chain %s, which would leave dirty bits out', async (chain, problem) => {
    const backup = ['backup', '--chain', chain, '--bitmap', "o'clock", '--into', 'b'];
    const { code, stdout } = await plan(...backup, '--apply');
    expect([code, stdout]).toEqual([2, expect.stringContaining(problem)]);
    expect(await names('top')).toEqual(["o'clock"]);
  });

  it('puts no read-only overlay on top, which would lose its bitmaps', async () => {
    const { code, stdout } = await plan('snapshot', '--node', 'top', '--overlay', 'mid', '--apply');
    expect([code, stdout]).toEqual([1, expect.stringContaining('the overlay mid is read-only')]);
    expect(await names('mid')).toEqual([]);
  });

  it('prints a script that does the same', async () => {
    await plan('snapshot', '--node', 'top', '--overlay', 'mirror', '--apply');
    const { code, stdout } = await plan('delete', '--node', 'mirror', '--bitmap', "o'clock", '-o', 'sh');
    expect([code, stdout.startsWith('#!/bin/sh\n')]).toEqual([0, true]);
    writeFileSync(join(folder, 'plan.sh'), stdout);
    // The offline way: the same from what QEMU returned.
    const answer = async (name: string, command: string, args?: object): Promise<string> => {
      writeFileSync(join(folder, name), JSON.stringify({ return: await qemu.execute(command, args), id: 'libvirt-9' }));
      return join(folder, name);
    };
    const files = [
      ...['--nodes', await answer('nodes.json', 'query-named-block-nodes', { flat: true })],
      ...['--graph', await answer('graph.json', 'x-debug-query-block-graph')],
    ];
    const offline = ['plan', 'delete', '--node', 'mirror', '--bitmap', "o'clock", '-o', 'sh'];
    expect(await runCli(...offline, ...files)).toMatchObject({ code: 0, stdout });
    expect(await runCli(...offline, ...files.slice(0, 2))).toMatchObject({
      ...{ code: 1, stdout: '', stderr: expect.stringContaining('ask with the block graph') },
    });
    // Takes a command as virsh does, and prints the answer.
    const program = join(folder, 'ask');
    const relay = `#!${process.execPath}
const socket = require('net').connect(${JSON.stringify(socket)});
let seen = '';
socket.write('{"execute":"qmp_capabilities"}' + process.argv[2]);
socket.on('data', (data) => {
  seen += data;
  const answers = seen.split('\\n').filter((line) => /^{"(return|error)"/.test(line));
  if (answers.length === 2) { console.log(answers[1]); socket.destroy(); }
});
`;
    writeFileSync(program, relay);
    chmodSync(program, 0o755);
    const run = (env: NodeJS.ProcessEnv): string =>
      execFileSync('sh', [join(folder, 'plan.sh')], {
        encoding: 'utf8',
        env: { PATH: process.env['PATH'], ...env },
        stdio: 'pipe',
      });
    expect(() => run({})).toThrow(/set DOMAIN/);
    expect(run({ QMP_COMMAND: program })).toBe('reopen read-write: done\ntransaction: done\nreopen read-only: done\n');
    expect([await names('top'), await names('mirror')]).toEqual([[], []]);
    expect(() => run({ QMP_COMMAND: program })).toThrow(/transaction: refused/);
    expect(() => run({ QMP_COMMAND: 'false' })).toThrow(/not known/);
    // The transaction without an answer: what was opened is closed.
    const asked = join(folder, 'asked');
    const mute = join(folder, 'mute');
    const body = `echo "$1" | cut -c1-40 >> ${asked}; case $1 in *transaction*) ;; *) echo '{"return": {}}' ;; esac`;
    writeFileSync(mute, `#!/bin/sh\n${body}\n`);
    chmodSync(mute, 0o755);
    expect(() => run({ QMP_COMMAND: mute })).toThrow(
      expect.objectContaining({ status: 3, stdout: 'reopen read-write: done\nreopen read-only: done\n' }),
    );
    expect(readFileSync(asked, 'utf8').match(/blockdev-reopen|transaction/g)).toEqual([
      ...['blockdev-reopen', 'transaction', 'blockdev-reopen'],
    ]);
  });
});

describe('a running VM that is not nice', () => {
  let server: Server;
  afterEach(() => server.close());

  it('closes in the middle of the transaction: nothing is sent twice, and it is not known what became of it', async () => {
    const sent: string[] = [];
    const nodes = [
      { 'node-name': 'a', drv: 'qcow2', children: [], 'dirty-bitmaps': [{ name: 'b', granularity: 512 }] },
    ];
    server = createServer((peer) => {
      peer.on('error', () => {});
      peer.write('{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}, "capabilities": []}}\n');
      peer.on('data', (data) => {
        const { execute, id } = JSON.parse(data.toString());
        sent.push(execute);
        if (execute !== 'transaction') {
          const answers: Record<string, unknown> = { 'query-named-block-nodes': nodes, 'query-block': [] };
          peer.write(`${JSON.stringify({ return: answers[execute] ?? {}, id })}\n`);
          return;
        }
        // Ctrl-C must not leave before it is known.
        process.emit('SIGINT');
        server.close();
        peer.destroy();
      });
    });
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    const { code, stdout, stderr } = await plan('delete', '--node', 'a', '--bitmap', 'b', '--apply');
    expect(code).toBe(3);
    expect(stdout).toContain('not known whether it was done: ask QEMU before you repeat it');
    expect(stderr).toMatch(/not left in the middle.*\ndirtybitmap: qmp-closed: .*whether it was done is not known/);
    expect(sent.filter((command) => command === 'transaction')).toHaveLength(1);
  });

  it('is not there, or is used wrongly', async () => {
    server = createServer();
    const { code, stderr } = await plan('delete', '--node', 'a', '--bitmap', 'b');
    expect([code, stderr]).toEqual([3, expect.stringContaining('there is no such socket')]);
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    server.on('connection', (peer) => peer.on('error', () => {}));
    // It does not greet: another client may hold it.
    expect((await plan('delete', '--node', 'a', '--bitmap', 'b', '--timeout', '0.05')).code).toBe(3);
    expect((await plan('delete', '--bitmap', 'b')).code).toBe(2);
    expect((await plan('delete', '--node', 'a', '--bitmap', 'b', '-o', 'sh', '--apply')).code).toBe(2);
    expect((await plan('delete', '--node', 'a', '--bitmap', 'b', '--nodes', 'x')).code).toBe(2);
    expect((await plan('delete', '--node', 'a', '--bitmap', 'b', '--timeout', '0')).code).toBe(2);
  });
});
