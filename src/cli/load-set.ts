import { SectionParser } from '../chunk/section-decoder.js';
import { DirtyBitmapError } from '../errors.js';
import { Findings } from '../findings.js';
import { readCaptureSource } from '../io/capture-file.js';
import { type PumpOptions, pump } from '../io/pump.js';
import type { Source } from '../io/source.js';
import { type Limits, resolveLimits } from '../limits.js';
import { Gatherer } from '../migration/gatherer.js';
import { imageSet, nodeNameOf } from '../qcow2/image-set.js';
import { parseDocument } from '../report/document.js';
import type { Format } from '../report/input-report.js';
import type { LoadedSet } from '../report/whole-set.js';
import { readDocument } from './load-document.js';
import { openImage } from './open-image.js';
import { type OpenOptions, withInput } from './open-input.js';
import type { Terminal } from './terminal.js';

/**
 * Reads an input of any kind as a bitmap set. Unlike `loadInput` it keeps what only sets have: sizes, nodes without
 * bitmaps, what is covered.
 * @throws DirtyBitmapError `file-access`, `unsupported`, `set-invalid`, `limit`.
 */
export async function loadSet(path: string, options: OpenOptions, terminal: Terminal): Promise<LoadedSet> {
  return withInput(path, options, terminal, async ({ source, format, head, offset, limits, progress }) => {
    const reading = { head, offset, limits, onProgress: progress?.update };
    return { input: path, format, lost: [], ...(await LOADERS[format](source, reading, path)) };
  });
}

type Reading = PumpOptions & { readonly limits?: Partial<Limits> };
type Loaded = Pick<LoadedSet, 'set' | 'findings'> & Partial<Pick<LoadedSet, 'lost'>>;

const LOADERS: Readonly<Record<Format, (source: Source, reading: Reading, path: string) => Promise<Loaded>>> = {
  async capture(source, reading) {
    const { set, findings } = await readCaptureSource(source, reading);
    return { set, findings };
  },
  section: loadSection,
  set: loadDocument('set'),
  nbdinfo: loadDocument('nbdinfo'),
  qcow2: loadImage,
};

function loadDocument(format: 'set' | 'nbdinfo') {
  return async (source: Source, reading: Reading): Promise<Loaded> => {
    const limits = resolveLimits(reading.limits);
    const document = await readDocument(source, reading, limits);
    return { set: await parseDocument(document, format, limits), findings: new Findings(limits.maxFindings) };
  };
}

async function loadImage(_source: Source, { limits, offset }: Reading, path: string): Promise<Loaded> {
  const image = await openImage(path, { limits, offset });
  return { ...imageSet(image, nodeNameOf(path)), findings: image.findings };
}

async function loadSection(source: Source, reading: Reading): Promise<Loaded> {
  const limits = resolveLimits(reading.limits);
  const findings = new Findings(limits.maxFindings);
  const gatherer = new Gatherer(findings, limits);
  const parser = new SectionParser(gatherer, { offset: reading.offset ?? 0, limits });
  try {
    await pump(source, parser, reading);
    parser.finish();
  } catch (error) {
    if (!(error instanceof DirtyBitmapError) || error.code === 'file-access') throw error;
    findings.addError(error);
  }
  gatherer.finish();
  return { set: gatherer.toSet(), findings };
}
