import { type ChildProcess, spawn } from 'node:child_process';
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
