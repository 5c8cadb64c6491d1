import type { CaptureEvent } from '../../src/capture/capture-decoder.js';
import { CaptureDecoder } from '../../src/capture/capture-decoder.js';
import type { CaptureOptions } from '../../src/capture/capture-parser.js';
import { CaptureReader } from '../../src/capture/capture-reader.js';
import { DirtyBitmapError } from '../../src/errors.js';
import type { Finding } from '../../src/findings.js';
import { pushAndOverwrite } from '../support/chop.js';
import { plainEvent } from '../support/naive-decoder.js';

/** What a reader makes of a capture. */
export interface Read {
  readonly reader: CaptureReader;
  readonly findings: readonly Finding[];
  /** Codes of the findings, but the one that there is no dirty-bitmap section: most streams here have none. */
  readonly codes: readonly string[];
}

export function read(input: Uint8Array | Iterable<Uint8Array>, options: CaptureOptions = {}): Read {
  const reader = new CaptureReader(options);
  pushAndOverwrite(input instanceof Uint8Array ? [input] : input, (piece) => reader.push(piece));
  reader.finish();
  const findings = reader.findings.list;
  return { reader, findings, codes: findings.map(({ code }) => code).filter((code) => code !== 'dirty-bitmap-absent') };
}

/** The finding that a stream ends with: where the reader had to stop. */
export function lastFinding(input: Uint8Array | Iterable<Uint8Array>, options: CaptureOptions = {}): Finding {
  const finding = read(input, options).findings.findLast(({ code }) => code !== 'complete-missing');
  if (finding === undefined) throw new Error('a finding was expected');
  return finding;
}

/** What a decoder makes of a capture: plain events, then the error that ended them. */
export interface Decoded {
  readonly events: readonly object[];
  readonly error: DirtyBitmapError | undefined;
}

export function decode(input: Uint8Array | Iterable<Uint8Array>, options: CaptureOptions = {}): Decoded {
  const decoder = new CaptureDecoder(options);
  const events: object[] = [];
  const take = (batch: Iterable<CaptureEvent>): void => {
    for (const event of batch) events.push(plain(event));
  };
  try {
    pushAndOverwrite(input instanceof Uint8Array ? [input] : input, (piece) => take(decoder.push(piece)));
    take(decoder.finish());
  } catch (error) {
    if (!(error instanceof DirtyBitmapError)) throw error;
    return { events, error };
  }
  return { events, error: undefined };
}

/** An event that shares nothing with the piece it came from. */
export function plain(event: CaptureEvent): object {
  if (event.type === 'chunk' || event.type === 'bad-chunk') return plainEvent(event);
  if (event.type !== 'command') return event;
  return { ...event, command: { ...event.command, payload: [...event.command.payload] } };
}

/** The sections of a capture: `full timer 0+24` is type, name, offset of the body and its length. */
export function sections(input: Uint8Array | Iterable<Uint8Array>, options: CaptureOptions = {}): string[] {
  const lines: string[] = [];
  for (const event of decode(input, options).events as CaptureEvent[]) {
    if (event.type === 'section')
      lines.push(`${event.sectionType} ${event.section.name} ${event.offset + event.length}`);
    if (event.type === 'section-end')
      lines[lines.length - 1] += `+${event.offset - Number(lines.at(-1)?.split(' ')[2])}`;
  }
  return lines;
}
