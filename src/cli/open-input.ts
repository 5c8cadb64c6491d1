import { DirtyBitmapError } from '../errors.js';
import type { AlsoRead } from '../io/capture-file.js';
import { readUpTo, seek } from '../io/pump.js';
import { openSource, type Source } from '../io/source.js';
import type { Limits } from '../limits.js';
import { detectFormat } from '../report/detect-format.js';
import type { Format } from '../report/input-report.js';
import { type Progress, startProgress } from './progress.js';
import type { Terminal } from './terminal.js';

/** What a user may say about the inputs of a command. */
export interface InputOptions extends Omit<OpenOptions, 'format'> {
  /** `--format`: one for all inputs, or one for each. `auto` looks at the content. */
  readonly format?: readonly (Format | 'auto')[];
}

/** How one input is opened. */
export interface OpenOptions {
  /** Its kind; else it is seen from its content. */
  readonly format?: Format;
  /** Where a capture begins in the file, in bytes. */
  readonly offset?: number;
  /** `--limit NAME=VALUE`, any number of times. */
  readonly limit?: Partial<Limits>;
  /** Something else that takes the bytes of a capture. */
  readonly also?: AlsoRead;
}

/**
 * How each of the inputs of a command is opened.
 * @throws DirtyBitmapError `argument` where several are standard input, which can be read only once, or where `--format`
 * was given neither once nor for each of them.
 */
export function openOptions(inputs: readonly string[], options: InputOptions): readonly OpenOptions[] {
  if (inputs.filter((input) => input === '-').length > 1) {
    throw new DirtyBitmapError('argument', 'standard input can be read only once: give - one time');
  }
  const { format: formats = ['auto'], ...rest } = options;
  if (formats.length > 1 && formats.length !== inputs.length) {
    const found = `${formats.length} for ${inputs.length} input(s)`;
    const message = `--format: expected one for all inputs or one for each, in their order (auto: look), found ${found}`;
    throw new DirtyBitmapError('argument', message);
  }
  return inputs.map((_, at) => {
    const format = formats[formats.length === 1 ? 0 : at];
    return format === undefined || format === 'auto' ? rest : { ...rest, format };
  });
}

/** An input that is open, with its first bytes. */
export interface OpenInput {
  readonly source: Source;
  readonly format: Format;
  readonly head: Uint8Array;
  /** Where it begins, in bytes. */
  readonly offset: number;
  readonly limits: Partial<Limits>;
  readonly progress: Progress | undefined;
}

/** Bytes that tell what an input is. */
const HEAD = 64 * 1024;

/**
 * Opens an input, sees what kind it is, and closes it when the work is done.
 * @throws DirtyBitmapError `file-access`; `argument` for an offset behind its end; `unsupported`; what the work throws.
 */
export async function withInput<T>(
  path: string,
  options: OpenOptions,
  terminal: Terminal,
  work: (input: OpenInput) => Promise<T>,
): Promise<T> {
  const source = await openSource(path, { blocking: true });
  let progress: Progress | undefined;
  try {
    progress = await startProgress(terminal, path === '-' ? 'reading' : path, source.size);
    const offset = options.offset ?? 0;
    await seek(source, offset);
    const buffer = new Uint8Array(HEAD);
    const head = buffer.subarray(0, await readUpTo(source, offset, buffer));
    const format = options.format ?? detectFormat(head);
    return await work({ source, format, head, offset, limits: options.limit ?? {}, progress });
  } finally {
    progress?.stop();
    await source.close();
  }
}
