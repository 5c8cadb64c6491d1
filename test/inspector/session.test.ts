import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import fc from 'fast-check';
import { type DefaultTreeAdapterTypes, parse } from 'parse5';
import { describe, expect, it } from 'vitest';
import { readInput } from '../../src/inspector/read-input.js';
import { Session } from '../../src/inspector/session.js';
import { readVector } from '../qcow2/vectors.js';
import { mappedStream } from '../support/mapped-stream.js';
import { runCli } from '../support/run-cli.js';
import {
  bitmapStream,
  bitsChunk,
  completeChunk,
  EOS,
  fill,
  join,
  startChunk,
  UNIT,
} from '../support/stream-builder.js';
import { VECTORS } from '../support/vectors.js';
import { InMemory } from './in-memory.js';

const capture = (name: string): string => joinPath(VECTORS, `captures/${name}.bin`);
const GOOD = capture('small-qcow2-persistent');
const CUT = capture('cut-in-bits');

async function open(bytes: Uint8Array, name = 'input'): Promise<Session> {
  return await Session.open(name, new InMemory(bytes));
}

async function cli(...args: string[]): Promise<string> {
  return (await runCli(...args)).stdout;
}

/** What is shown of an input, each with what `info` says of the same bytes. */
const INPUTS: Readonly<Record<string, () => Promise<Uint8Array>>> = {
  'a capture': async () => readFileSync(GOOD),
  'a cut capture': async () => readFileSync(CUT),
  'a postcopy': async () => readFileSync(capture('pc-postcopy-running-writes')),
  'an image': async () => readVector('chain-top.qcow2'),
  'a set': async () => (await runCli('convert', GOOD, '-O', 'set', '-o', '-')).stdoutBytes,
  'a set in MessagePack': async () => (await runCli('convert', GOOD, '-O', 'set', '--msgpack', '-o', '-')).stdoutBytes,
  'a map': async () => (await runCli('convert', GOOD, '-O', 'nbdinfo', '-o', '-')).stdoutBytes,
  'nothing that is known': async () => fill(5000, 0x55),
};

describe('an input in the inspector', () => {
  it('is not shown as a stream where it is none: the finding says what it is not', async () => {
    for (const [text, found] of [
      ['notes about bitmaps', 'found 6e6f746573206162'],
      ['', 'the input is empty'],
    ] as const) {
      const { html, counts } = await (await open(Buffer.from(text), 'notes.txt')).opened();
      expect(counts.error).toBe(1);
      expect(html).toContain('<code>magic-invalid</code>');
      expect(html).toContain(found);
      expect(html).toContain('not known, read as a capture');
      expect(html).not.toMatch(/Timeline|precopy|cut short|Where the bytes went/);
    }
  });

  for (const [what, make] of Object.entries(INPUTS)) {
    it(`is what info says: ${what}`, async () => {
      const bytes = await make();
      const folder = mkdtempSync(joinPath(tmpdir(), 'dirtybitmap-session-'));
      const path = joinPath(folder, 'input');
      writeFileSync(path, bytes);
      const info = JSON.parse(await cli('info', '--json', path));
      rmSync(folder, { recursive: true });
      const { report } = await readInput('input', new InMemory(bytes));
      expect(report).toMatchObject({ format: info.format, bytes: info.bytes });
      expect(report.findings.list).toEqual(info.findings);
      expect(report.bitmaps.map(({ name, bits }) => [name.text, bits?.count() ?? null])).toEqual(
        info.bitmaps.map(({ name, count }: { name: string; count: number | null }) => [name, count]),
      );
      const opened = await (await open(bytes)).opened();
      expect(opened.bitmaps).toBe(info.bitmaps.length);
      for (const { message } of info.findings) expect(text(opened.html)).toContain(message);
    });
  }

  it('is read in slices, and RAM that nobody looks at is not read', async () => {
    const MiB = 1024 * 1024;
    const file = new InMemory(mappedStream([{ name: 'pc.ram', pages: 40 * 256 }]));
    const { report } = await readInput('input', file);
    expect(report.findings.list).toEqual([]);
    expect(report.bytes).toBeGreaterThan(40 * MiB);
    expect(file.longest).toBeLessThanOrEqual(4 * MiB);
    expect(file.total).toBeLessThan(9 * MiB);
  });

  it('is an image of which a page cannot know who has it open', async () => {
    const { report } = await readInput('input', new InMemory(readVector('in-use.qcow2')));
    expect(report.findings.list.map(({ code }) => code)).toEqual(['qcow2-in-use', 'qcow2-in-use']);
  });

  it('is a section where that is said', async () => {
    const bytes = join(startChunk({ node: 'n', bitmap: 'b' }), bitsChunk(0, UNIT, fill(16, 1)), completeChunk(), EOS);
    const session = await Session.open('input', new InMemory(bytes), { format: 'section' });
    expect(await session.opened()).toMatchObject({
      bitmaps: 1,
      binary: true,
      chunked: { listed: ['n/b (3)'], more: 0 },
    });
  });

  it('that is no document is refused with its rule', async () => {
    await expect(open(new TextEncoder().encode('{"dirtybitmap": 1, "nodes": 3}'))).rejects.toMatchObject({
      code: 'set-invalid',
    });
  });
});

describe('its bytes', () => {
  it('are explained where a chunk begins', async () => {
    const session = await open(readFileSync(CUT));
    const page = await session.chunks(0, 0);
    expect(page).toMatchObject({ first: 0, count: 4, listed: 4, total: 4 });
    const offsets = [...page.html.matchAll(/data-offset="(\d+)"/g)].map(([, offset]) => Number(offset));
    expect(offsets[0]).toBe(86);
    const view = await session.bytes(86, true);
    expect(text(view.html)).toContain('START');
    expect(text(view.html)).toContain('512 bytes');
    expect(view).toMatchObject({ offset: 86, length: 512, size: 3000 });
  });

  it('are marked where a finding is, also at the end of the input', async () => {
    const session = await open(readFileSync(CUT));
    const { html, offset } = await session.bytes(3000, false);
    expect(text(html)).toContain('error stream-cut at 3000');
    expect(offset).toBe(2976);
  });

  it('are those around any offset, and the last ones behind the end', async () => {
    const session = await open(readFileSync(CUT));
    expect(await session.bytes(1000, false)).toMatchObject({ offset: 992, length: 512 });
    expect(await session.bytes(10 ** 15, false)).toMatchObject({ offset: 2992, length: 8 });
    expect(await session.chunks(0, 10 ** 15)).toMatchObject({ first: 0, count: 4 });
  });
});

describe('its export', () => {
  it('is what convert writes', async () => {
    const session = await open(readFileSync(GOOD), 'small.bin');
    const set = session.exported(undefined);
    expect(set.name).toBe('small.set.json');
    expect(set.pieces.join('')).toBe(await cli('convert', GOOD, '-O', 'set', '-o', '-'));
    const map = session.exported(0);
    expect(map.name).toBe('small.disk0-b0.map.json');
    expect(map.pieces.join('')).toBe(await cli('convert', GOOD, '-O', 'nbdinfo', '-o', '-'));
  });

  it('is refused where the input is bad, or a bitmap of it is lost', async () => {
    const cut = await open(readFileSync(CUT));
    expect(() => cut.exported(undefined)).toThrow(/is bad, nothing was written/);
    expect(() => cut.exported(0)).toThrow(/is bad, nothing was written/);
    const inUse = await open(readVector('in-use.qcow2'));
    expect(() => inUse.exported(undefined)).toThrow(expect.objectContaining({ code: 'bitmap-inconsistent' }));
  });
});

describe('hostile inputs', () => {
  it('are shown as far as they go, wherever they are cut or changed', async () => {
    const whole = readFileSync(CUT);
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length), fc.nat(whole.length - 1), fc.nat(255), async (length, at, byte) => {
        const bytes = whole.slice(0, length);
        if (at < length) bytes[at] = byte;
        const session = await open(bytes);
        const { chunked } = await session.opened();
        for (let bitmap = 0; bitmap < chunked.listed.length; bitmap++) await session.chunks(bitmap, at);
        const view = await session.bytes(at, true);
        expect(view.offset).toBeLessThanOrEqual(Math.max(0, length - 1));
        await session.bytes(at, false);
      }),
      { numRuns: 300 },
    );
  });

  it('of very many bitmaps say how many are not listed', async () => {
    const chunks = Array.from({ length: 2100 }, (_, at) => startChunk({ node: 'n', bitmap: `b${at}` }));
    const { chunked, bitmaps } = await (await open(bitmapStream([...chunks, EOS]))).opened();
    expect([chunked.listed.length, chunked.more, bitmaps]).toEqual([2000, 100, 2100]);
  });
});

describe('hostile names', () => {
  it('stay text', async () => {
    const attack = '<script>x</script><img src=x onerror=x>"\'`';
    const names = { node: attack, bitmap: attack };
    const body = [bitsChunk(0, UNIT, fill(32, 3)), completeChunk(), EOS];
    const session = await open(bitmapStream([startChunk(names), EOS], body), attack);
    const opened = await session.opened();
    const pages = [opened.html, (await session.chunks(0, 0)).html, (await session.bytes(100, false)).html];
    for (const html of pages) expect(elements(html)).not.toEqual(expect.arrayContaining(['script']));
    for (const html of pages) expect(elements(html)).not.toContain('img');
    expect(text(opened.html)).toContain(attack);
    expect(session.exported(0).name).toMatch(/^[\w.-]+\.map\.json$/);
  });
});

type Node = DefaultTreeAdapterTypes.ChildNode;

function nodes(html: string): Node[] {
  const all: Node[] = [];
  const visit = (node: Node): void => {
    all.push(node);
    if ('childNodes' in node) node.childNodes.forEach(visit);
  };
  parse(html).childNodes.forEach(visit);
  return all;
}

function elements(html: string): string[] {
  return nodes(html).map(({ nodeName }) => nodeName);
}

function text(html: string): string {
  return nodes(html)
    .map((node) => ('value' in node ? node.value : ''))
    .join('');
}
