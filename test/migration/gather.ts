import { SectionParser } from '../../src/chunk/section-decoder.js';
import { DirtyBitmapError } from '../../src/errors.js';
import { type Finding, Findings } from '../../src/findings.js';
import { type Limits, resolveLimits } from '../../src/limits.js';
import { Gatherer } from '../../src/migration/gatherer.js';
import { join, type Part } from '../support/stream-builder.js';

/** What came of some chunks. */
export interface Gathered {
  readonly findings: readonly Finding[];
  readonly codes: readonly string[];
  readonly gatherer: Gatherer;
  readonly bitmap: Gatherer['bitmaps'][number];
  readonly error: DirtyBitmapError | undefined;
}

/** Gathers chunks that lie one behind the other, or come in these pieces. */
export function gather(chunks: readonly Part[], limits: Partial<Limits> = {}, pieces = [join(...chunks)]): Gathered {
  const all = resolveLimits(limits);
  const findings = new Findings(all.maxFindings);
  const gatherer = new Gatherer(findings, all);
  const parser = new SectionParser(gatherer, { limits });
  let error: DirtyBitmapError | undefined;
  try {
    for (const piece of pieces) parser.push(piece);
  } catch (thrown) {
    if (!(thrown instanceof DirtyBitmapError)) throw thrown;
    error = thrown;
  }
  gatherer.finish();
  const [bitmap] = gatherer.bitmaps;
  return {
    findings: findings.list,
    codes: findings.list.map(({ code }) => code),
    gatherer,
    bitmap: bitmap as never,
    error,
  };
}

/** The one finding of these chunks. */
export function onlyFinding(...chunks: readonly Part[]): Finding {
  const { findings } = gather(chunks);
  if (findings.length !== 1) throw new Error(`one finding was expected: ${JSON.stringify(findings)}`);
  return findings[0] as Finding;
}

/** Dirty extents in granules of 64 KiB: where, how many. */
export const dirty = ({ bitmap }: Gathered): [number, number][] =>
  [...bitmap.bits.extents()].map(([at, length]) => [at / 65_536, length / 65_536]);
