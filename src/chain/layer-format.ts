import { quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import type { Findings } from '../findings.js';
import { headSteps } from '../qcow2/image-head.js';
import { type RandomAccess, runSteps } from '../qcow2/random-access.js';
import type { FormatSource, Layer } from './layer.js';
import { PROBE_BYTES, probeFormat } from './probe-format.js';

/** A layer whose format is to be known. */
export interface FormatQuestion {
  readonly path: string;
  /** What was declared of the top, or what the overlay records. */
  readonly format: string | undefined;
  /** Undefined for the top. */
  readonly overlay: Layer | undefined;
}

/**
 * What format a layer is of. Whoever writes a raw file decides what it looks like, and may be a guest: so the top is never
 * guessed, and a backing file is taken for what it looks like only where that cannot lead to another file.
 * Source: merge-and-chain.md section 11.
 * @param findings gets what was assumed.
 * @throws DirtyBitmapError `backing-format-unset`; what headSteps throws of a file that looks like qcow2.
 */
export async function formatOfLayer(
  { path, format, overlay }: FormatQuestion,
  file: RandomAccess,
  findings: Findings,
): Promise<{ readonly format: string; readonly formatSource: FormatSource }> {
  if (format !== undefined) return { format, formatSource: overlay === undefined ? 'declared' : 'recorded' };
  const looks = probeFormat(await file.read(0, Math.min(PROBE_BYTES, await file.size())));
  if (overlay === undefined) {
    if (looks !== 'raw') findings.add('chain-top-undeclared', undeclared(path, looks));
    return { format: 'raw', formatSource: 'assumed' };
  }
  if (looks !== 'raw' && (looks !== 'qcow2' || (await refersToFiles(file)))) {
    const message =
      `expected an overlay that records the format of its backing file, found none, and the file looks like ${looks} and ` +
      `may lead to other files, so that is not assumed; ${remedy(overlay)}`;
    throw new DirtyBitmapError('backing-format-unset', message);
  }
  const message =
    `${quoted(overlay.path, 256)} does not record the format of its backing file; it was assumed to be ${looks}, which ` +
    `leads to no other file; ${remedy(overlay)}`;
  findings.add('backing-format-assumed', message);
  return { format: looks, formatSource: 'assumed' };
}

async function refersToFiles(file: RandomAccess): Promise<boolean> {
  const { backing, dataFile } = await runSteps(file, headSteps(await file.size()));
  return backing !== undefined || dataFile !== undefined;
}

function undeclared(path: string, looks: string): string {
  return (
    `${quoted(path, 256)} looks like ${looks} and was taken as raw, because nobody declared its format; if you know that ` +
    `it is ${looks}, and not the raw disk of a guest that wrote it so, pass --format ${looks}`
  );
}

/** The names are an image's: nothing that a shell would run may be copied from here. */
function remedy({ path, backingRaw = '' }: Layer): string {
  const plain = /^[\w./:@%+=,-]+$/.test(backingRaw + path);
  const names = plain ? `${backingRaw} ${path}` : 'BACKING IMAGE';
  return `if you know the format, record it: qemu-img rebase -u -f qcow2 -F FORMAT -b ${names}`;
}
