import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CorePage, findChromium, openCorePage } from './support/chromium.js';
import { readTruth, vectorOf } from './support/vectors.js';

declare global {
  /** The built core, on the page only. */
  var dirtybitmap: typeof import('../src/index.js');
}

const chromium = findChromium();
const ci = process.env['CI'] === 'true';
if (!chromium && !ci) console.warn('\n*** SKIPPED: test/browser.test.ts needs Chromium; see README ***\n');

// Under CI it runs without Chromium too, and fails: a skip there would go unseen.
describe.skipIf(!chromium && !ci)('the built core in a browser', () => {
  let core: CorePage;
  beforeAll(async () => {
    if (!chromium) throw new Error('Chromium is not installed');
    core = await openCorePage(chromium);
  }, 60_000);
  afterAll(() => core?.close());

  it('loads, and makes an error with its code', async () => {
    const code = await core.page.evaluate(() => new dirtybitmap.DirtyBitmapError('argument', 'x').code);
    expect(code).toBe('argument');
  });

  it('reads the bitmaps of a capture from the body of a fetch()', async () => {
    const read = await core.page.evaluate(async () => {
      const response = await fetch('/vectors/captures/small-qcow2-persistent.bin');
      const reader = new dirtybitmap.CaptureReader();
      const body = response.body as ReadableStream<Uint8Array>;
      for await (const piece of body as unknown as AsyncIterable<Uint8Array>) reader.push(piece);
      reader.finish();
      return reader.bitmaps.map(({ node, name, bits, complete, coveredBytes, granularity }) => ({
        name: `${node.text}/${name.text}`,
        complete,
        count: bits.count(),
        extents: [...bits.extents()],
        sha256: dirtybitmap.bitmapSha256(bits, coveredBytes / granularity),
        findings: reader.findings.list.map((finding) => finding.code),
      }));
    });
    const truth = readTruth(vectorOf('captures/small-qcow2-persistent.bin')).expect_stream.bitmaps[0];
    expect(read).toEqual([
      {
        name: 'disk0/b0',
        complete: true,
        count: truth?.count,
        extents: truth?.extents,
        sha256: truth?.sha256,
        // A pipe cannot look at its end first; the vmdesc then confirms what was found by searching.
        findings: [],
      },
    ]);
  });

  it('gives events through a TransformStream', async () => {
    const kinds = await core.page.evaluate(async () => {
      const response = await fetch('/vectors/captures/none-postcopy.bin');
      const body = response.body as ReadableStream<Uint8Array<ArrayBuffer>>;
      const found: string[] = [];
      const events = body.pipeThrough(new dirtybitmap.CaptureDecoderStream());
      for await (const batch of events as unknown as AsyncIterable<import('../src/index.js').CaptureEvent[]>) {
        for (const event of batch) if (event.type === 'chunk') found.push(event.chunk.kind);
      }
      return found;
    });
    expect(kinds).toEqual(['start', 'bare', ...kinds.slice(2, -2), 'complete', 'bare']);
    expect(kinds).toContain('bits');
  });

  it('has nothing on the console', () => {
    expect(core.problems).toEqual([]);
  });
});
