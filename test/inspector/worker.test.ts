import { describe, expect, it } from 'vitest';
import type { Answer, Request } from '../../src/inspector/messages.js';
import { serveWorker, type WorkerScope } from '../../src/inspector/worker.js';
import {
  B0,
  bitmapStream,
  completeChunk,
  EOS,
  join,
  type Part,
  startChunk,
  zeroesChunk,
} from '../support/stream-builder.js';

/** A worker's global that hands on what comes. */
class Scope implements WorkerScope {
  onmessage: WorkerScope['onmessage'] = null;
  readonly answers: Answer[] = [];
  #came: (() => void) | undefined;

  constructor() {
    serveWorker(this);
  }

  postMessage(answer: Answer): void {
    // As it goes to the page: what cannot be cloned fails here, too.
    this.answers.push(structuredClone(answer));
    this.#came?.();
  }

  /** All answers up to the one to this request. */
  async ask(request: Request): Promise<Answer[]> {
    const from = this.answers.length;
    this.onmessage?.({ data: request });
    while (this.answers.length === from || this.answers.at(-1)?.type === 'progress') await this.#next();
    return this.answers.slice(from);
  }

  /** Waits for an answer of a type. */
  async until(type: Answer['type']): Promise<void> {
    while (this.answers.at(-1)?.type !== type) await this.#next();
  }

  async #next(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#came = resolve;
    });
  }
}

function source(...bytes: readonly Part[]): Request & { type: 'open' } {
  const blob = new Blob([Uint8Array.from(join(...bytes))]);
  return { type: 'open', source: { name: 'input', blob }, format: undefined };
}

describe("the inspector's worker", () => {
  it('tells how far it is, and findings as they come', async () => {
    const zeroes = zeroesChunk(0, 128);
    const many = new Uint8Array(zeroes.length * 800_000);
    for (let at = 0; at < many.length; at += zeroes.length) many.set(zeroes, at);
    const scope = new Scope();
    // Start flags that no QEMU sends, long before the end.
    const stream = bitmapStream([startChunk(B0, 65_536, 0x81), EOS], [many, completeChunk(), EOS]);
    const answers = await scope.ask(source(stream));
    const progress = answers.flatMap((answer) => (answer.type === 'progress' ? [answer] : []));
    expect(progress.map(({ done }) => done)).toEqual([4, 8, stream.length / 2 ** 20].map((MiB) => MiB * 2 ** 20));
    expect(new Set(progress.map(({ total }) => total))).toEqual(new Set([stream.length]));
    expect(progress[0]?.html).toContain('start-flags-reserved');
    // The same range over and over is one finding more.
    expect(progress[0]?.counts).toEqual({ error: 1, warning: 1, info: 0 });
    expect(answers.at(-1)).toMatchObject({ type: 'opened', opened: { bitmaps: 1, size: stream.length } });
    const [page] = await scope.ask({ type: 'chunks', bitmap: 0, number: 700_000 });
    expect(page).toMatchObject({
      type: 'chunks',
      page: { first: 700_000, count: 50, total: 800_002, listed: 800_002 },
    });
  });

  it('answers in the order of the requests, and says what it refused', async () => {
    const scope = new Scope();
    expect(await scope.ask({ type: 'export', map: undefined })).toMatchObject([{ type: 'refused', what: 'export' }]);
    const stream = bitmapStream([startChunk(B0), EOS], [zeroesChunk(0, 8192), completeChunk(), EOS]);
    scope.onmessage?.({ data: source(stream) });
    scope.onmessage?.({ data: { type: 'bytes', offset: 0, chunk: false } });
    scope.onmessage?.({ data: { type: 'export', map: 0 } });
    await scope.until('exported');
    const answers = scope.answers.filter(({ type }) => type !== 'progress');
    expect(answers.map(({ type }) => type)).toEqual(['refused', 'opened', 'bytes', 'exported']);
    const exported = answers.at(-1);
    expect(exported).toMatchObject({ name: 'input.disk0-b0.map.json' });
  });

  it('says in one line why an input cannot be read', async () => {
    const scope = new Scope();
    expect(await scope.ask(source('{"dirtybitmap": 9}'))).toMatchObject([
      expect.objectContaining({ type: 'progress' }),
      { type: 'refused', what: 'open', text: expect.stringMatching(/^set-invalid.*: [^\n]+$/) },
    ]);
    const gone = { type: 'open', source: { name: 'x', url: 'http://127.0.0.1:9/file' }, format: undefined } as const;
    expect(await scope.ask(gone)).toMatchObject([
      {
        type: 'refused',
        what: 'open',
        text: expect.stringMatching(/^file-access: .*does dirtybitmap inspect still run/),
      },
    ]);
  });
});
