import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** `dirtybitmap inspect` as it was built, in a process of its own. */
export class InspectCommand {
  /** Of the page. */
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #text: { stdout: string; stderr: string };

  private constructor(child: ChildProcess, text: { stdout: string; stderr: string }) {
    this.#child = child;
    this.#text = text;
    this.url = text.stdout.trim();
  }

  /** Runs it until it has said where it serves. */
  static async start(...args: string[]): Promise<InspectCommand> {
    const child = spawn(process.execPath, [MAIN, 'inspect', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    // A test that fails does not come to its end.
    process.once('exit', () => child.kill());
    const text = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (piece: string) => {
      text.stdout += piece;
    });
    child.stderr.setEncoding('utf8').on('data', (piece: string) => {
      text.stderr += piece;
    });
    const ended = once(child, 'close');
    while (!text.stdout.includes('\n')) {
      const [what] = await Promise.race([once(child.stdout, 'data').then(() => ['data']), ended]);
      if (what !== 'data') throw new Error(`it ended with ${what}: ${text.stderr}`);
    }
    return new InspectCommand(child, text);
  }

  /** Ends it as Ctrl-C does. */
  async interrupt(): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
    const ended = once(this.#child, 'close');
    this.#child.kill('SIGINT');
    const [code] = (await ended) as [number | null];
    return { code, ...this.#text };
  }
}
