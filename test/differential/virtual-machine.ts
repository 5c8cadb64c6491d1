import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { QemuVersion } from '../../src/migration/qemu-version.js';

/** Milliseconds that QEMU has for an answer, a migration, an end. */
const PATIENCE = 20_000;

/** A QEMU that can be started. */
export interface QemuProgram {
  readonly version: QemuVersion;
  readonly command: string;
  /** What comes before QEMU's own arguments. */
  readonly args: readonly string[];
}

/** How a migration came to its end: with a status, or with the end of the process. */
export type MigrationEnd = 'completed' | 'failed' | 'exited' | 'aborted' | 'hangs';

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

interface Message {
  readonly event?: string;
  readonly data?: { readonly status?: string };
  readonly error?: { readonly desc: string };
  readonly return?: unknown;
}

/**
 * A QEMU that speaks QMP on its standard streams: it is there as soon as it answers, and it is known at once when it
 * dies, which is what many of these are started for. Stopped by its handle, never by name.
 */
export class VirtualMachine {
  /** Everything on stderr. */
  stderr = '';
  /** Lines on stdout that are no QMP: what qemu-io says. */
  said: string[] = [];
  /** Settles when the process is gone and its streams are read. */
  readonly ended: Promise<'exited' | 'aborted'>;
  readonly #child: ChildProcess;
  readonly #waiting: Waiting[] = [];
  #gone = false;
  #status: (status: string) => void = () => {};

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    child.stdin?.on('error', () => {});
    if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', (line) => this.#line(line));
    this.ended = new Promise((resolve) => {
      // Whoever stops early takes along what was started.
      const kill = (): void => void child.kill('SIGKILL');
      process.once('exit', kill);
      const end = (how: 'exited' | 'aborted', why: string): void => {
        this.#gone = true;
        process.off('exit', kill);
        for (const waiting of this.#waiting.splice(0)) waiting.reject(new Error(`QEMU is gone: ${why}${this.stderr}`));
        resolve(how);
      };
      child.once('error', (error) => end('exited', error.message));
      child.once('close', (_code, signal) => end(signal === null ? 'exited' : 'aborted', ''));
    });
  }

  /** Starts a QEMU without a machine in a folder, paused. */
  static async start(program: QemuProgram, args: readonly string[], folder: string): Promise<VirtualMachine> {
    const own = ['-machine', 'none', '-nodefaults', '-display', 'none', '-S', '-qmp', 'stdio', ...args];
    // Many of them are meant to abort, which must leave no core dumps; `exec` keeps the pid.
    const all = ['-c', 'ulimit -c 0; exec "$0" "$@"', program.command, ...program.args, ...own];
    const machine = new VirtualMachine(spawn('sh', all, { cwd: folder, stdio: ['pipe', 'pipe', 'pipe'] }));
    try {
      await machine.execute('qmp_capabilities');
      return machine;
    } catch (error) {
      await machine.stop();
      throw error;
    }
  }

  /** What a QMP command returns. */
  async execute<T = unknown>(command: string, args?: object): Promise<T> {
    if (this.#gone) throw new Error(`QEMU is gone: ${this.stderr}`);
    const answer = new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
    this.#child.stdin?.write(`${JSON.stringify({ execute: command, arguments: args })}\n`);
    const answered = await within(PATIENCE, answer);
    if (answered === undefined) throw new Error(`QEMU does not answer ${command}`);
    return answered as T;
  }

  /** Turns on what every migration here needs: the bitmaps, and events that say how it goes. */
  async prepareMigration(): Promise<void> {
    const capabilities = ['dirty-bitmaps', 'events'].map((capability) => ({ capability, state: true }));
    await this.execute('migrate-set-capabilities', { capabilities });
  }

  /** Starts a migration with a command, and waits for its end. */
  async migrate(command: 'migrate' | 'migrate-incoming', uri: string): Promise<MigrationEnd> {
    const status = new Promise<MigrationEnd>((resolve) => {
      this.#status = (text) => {
        if (text === 'completed' || text === 'failed') resolve(text);
      };
    });
    // It may die before it answers.
    const refused = this.execute(command, { uri }).then(
      () => undefined,
      (error: Error) => (this.#gone ? undefined : Promise.reject(error)),
    );
    const end = within(PATIENCE, Promise.race([status, this.ended])).then((how) => how ?? 'hangs');
    const [how] = await Promise.all([end, refused]);
    // A status says nothing where the process dies of what it was doing.
    return how === 'failed' ? ((await within(1000, this.ended)) ?? how) : how;
  }

  /** Lets QEMU quit, and ends it where it does not. */
  async stop(): Promise<void> {
    if (!this.#gone) this.execute('quit').catch(() => {});
    if ((await within(5000, this.ended)) !== undefined) return;
    this.#child.kill('SIGKILL');
    await this.ended;
  }

  #line(line: string): void {
    if (!line.startsWith('{')) {
      this.said.push(line);
      return;
    }
    const message: Message = JSON.parse(line);
    if (message.error !== undefined) this.#waiting.shift()?.reject(new Error(`QMP: ${message.error.desc}`));
    else if ('return' in message) this.#waiting.shift()?.resolve(message.return);
    else if (message.event === 'MIGRATION') this.#status(message.data?.status ?? '');
  }
}

/** What a promise comes to within some milliseconds, or undefined. */
async function within<T>(milliseconds: number, promise: Promise<T>): Promise<T | undefined> {
  const timer = new AbortController();
  const late = sleep(milliseconds, undefined, { signal: timer.signal }).catch(() => undefined);
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
  }
}
