import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds that QEMU has for a start, an answer, an end. */
const PATIENCE = 20_000;

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** How a QEMU ended. */
export interface Ended {
  readonly exit: number | string | null;
  readonly stderr: string;
}

/** A QEMU of our own, with its QMP. It is stopped through its own handle, never by name. */
export class Qemu {
  readonly #child: ChildProcess;
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  readonly #exited: Promise<readonly [number | null, string | null]>;
  #stderr = '';

  private constructor(child: ChildProcess, socket: Socket) {
    this.#child = child;
    this.#socket = socket;
    this.#exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => resolve([code, signal]));
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    const lines = createInterface({ input: socket });
    lines.on('line', (line) => this.#answer(JSON.parse(line)));
    // Errors of the socket come here too: a QEMU that quits may reset it.
    lines.on('error', (error: Error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error(`QMP is closed: ${this.#stderr}`)));
  }

  /** Starts QEMU in a folder, paused or not, and speaks QMP with it. */
  static async start(program: string, args: readonly string[], folder: string): Promise<Qemu> {
    const path = join(folder, 'qmp.sock');
    const all = ['-nodefaults', '-display', 'none', '-qmp', `unix:${path},server=on,wait=off`, ...args];
    const child = spawn(program, all, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
    const failed = once(child, 'error').then(([error]) => Promise.reject(error));
    try {
      const socket = await Promise.race([failed, connect(path, child)]);
      const qemu = new Qemu(child, socket);
      await qemu.execute('qmp_capabilities');
      return qemu;
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
  }

  /** What a QMP command returns. */
  async execute<T = unknown>(command: string, args?: object): Promise<T> {
    const answer = new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
    this.#socket.write(`${JSON.stringify({ execute: command, arguments: args })}\n`);
    return (await withPatience(answer, command)) as T;
  }

  /** Asks QEMU to quit, and ends it where it does not. */
  async quit(): Promise<Ended> {
    if (this.#child.exitCode === null) await this.execute('quit').catch(() => {});
    const [code, signal] = await withPatience(this.#exited, 'quit').catch(() => {
      this.#child.kill('SIGKILL');
      return this.#exited;
    });
    this.#socket.destroy();
    return { exit: signal ?? code, stderr: this.#stderr };
  }

  /** Ends it as a crash would. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #answer(message: Readonly<Record<string, unknown>>): void {
    const error = message['error'] as { readonly desc: string } | undefined;
    if (error !== undefined) this.#waiting.shift()?.reject(new Error(`QMP: ${error.desc}`));
    else if ('return' in message) this.#waiting.shift()?.resolve(message['return']);
  }

  #fail(error: Error): void {
    for (const waiting of this.#waiting.splice(0)) waiting.reject(error);
  }
}

async function connect(path: string, child: ChildProcess): Promise<Socket> {
  const end = Date.now() + PATIENCE;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`QEMU ended with ${child.exitCode}: ${child.stderr?.read() ?? ''}`);
    if (existsSync(path)) {
      const socket = createConnection(path);
      const connected = await once(socket, 'connect').catch(() => undefined);
      if (connected !== undefined) return socket;
    }
    if (Date.now() > end) throw new Error('QEMU does not open its QMP socket');
    await sleep(20);
  }
}

async function withPatience<T>(promise: Promise<T>, what: string): Promise<T> {
  const timer = new AbortController();
  const late = sleep(PATIENCE, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`QEMU does not answer ${what}`);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
    late.catch(() => {});
  }
}

/** A bitmap as QMP shows it, with the hash of its bits. */
export interface ShownByQemu {
  readonly node: string;
  readonly name: string;
  /** Bytes. */
  readonly granularity: number;
  /** Bytes. */
  readonly count: number;
  readonly recording: boolean;
  readonly busy: boolean;
  readonly persistent: boolean;
  readonly sha256: string;
}

/** All named bitmaps of a QEMU, in order of node and name. */
export async function bitmapsOf(qemu: Qemu): Promise<ShownByQemu[]> {
  type Shown = Omit<ShownByQemu, 'node' | 'sha256'>;
  type Node = { readonly 'node-name': string; readonly 'dirty-bitmaps'?: readonly Partial<Shown>[] };
  const found: ShownByQemu[] = [];
  for (const node of await qemu.execute<Node[]>('query-named-block-nodes', { flat: true })) {
    for (const shown of node['dirty-bitmaps'] ?? []) {
      if (shown.name === undefined) continue;
      const { name, granularity, count, recording, busy, persistent } = shown as Shown;
      const where = { node: node['node-name'], name };
      const { sha256 } = await qemu.execute<{ readonly sha256: string }>('x-debug-block-dirty-bitmap-sha256', where);
      found.push({ ...where, granularity, count, recording, busy, persistent, sha256 });
    }
  }
  return found.sort((a, b) => (`${a.node}/${a.name}` < `${b.node}/${b.name}` ? -1 : 1));
}

/** A node for a destination: an image that is there, or a disk without content. */
export type LoadNode =
  | { readonly node: string; readonly size: number }
  | { readonly node: string; readonly image: string };

/** Starts a QEMU that loads a stream from a file, and waits until it has. Give `folder` its own. */
export async function loadStream(
  folder: string,
  stream: string,
  nodes: readonly LoadNode[],
  more: readonly string[] = [],
): Promise<Qemu> {
  const blockdevs = nodes.map((one) => ({
    'node-name': one.node,
    ...('image' in one
      ? { driver: 'qcow2', file: { driver: 'file', filename: one.image } }
      : { driver: 'null-co', size: one.size, 'read-zeroes': true }),
  }));
  const args = blockdevs.flatMap((blockdev) => ['-blockdev', JSON.stringify(blockdev)]);
  const all = ['-machine', 'none', ...args, ...more, '-incoming', `exec:cat ${stream}`];
  const qemu = await Qemu.start('qemu-system-x86_64', all, folder);
  const end = Date.now() + PATIENCE;
  for (;;) {
    const { status } = await qemu.execute<{ readonly status?: string }>('query-migrate');
    if (status === 'completed') return qemu;
    if (status === 'failed' || Date.now() > end) {
      const { stderr } = await qemu.quit();
      throw new Error(`QEMU does not load ${stream} (${status}): ${stderr}`);
    }
    await sleep(20);
  }
}

/** The extents that nbdinfo maps of a bitmap in an image; the qemu-nbd for it is ours and ends here. */
export async function mapByNbdinfo(folder: string, image: string, bitmap: string): Promise<unknown> {
  const socket = join(folder, 'nbd.sock');
  const server = spawn('qemu-nbd', ['-r', '-t', '-f', 'qcow2', '-B', bitmap, '-k', socket, image], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const exited = once(server, 'exit');
  try {
    const end = Date.now() + PATIENCE;
    while (!existsSync(socket)) {
      if (server.exitCode !== null || Date.now() > end) throw new Error(`qemu-nbd: ${server.stderr?.read() ?? ''}`);
      await sleep(20);
    }
    const map = [`--map=qemu:dirty-bitmap:${bitmap}`, '--json', `nbd+unix:///?socket=${socket}`];
    return JSON.parse(execFileSync('nbdinfo', map, { encoding: 'utf8', timeout: PATIENCE }));
  } finally {
    server.kill();
    await exited;
  }
}
