import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Writable } from 'node:stream';
import { DirtyBitmapError, isDirtyBitmapError } from '../errors.js';
import { Recording } from '../io/recording.js';

/** What `tap` records, and where. */
export interface RecordOptions {
  readonly record?: string;
  readonly recordMeta?: string;
  readonly force?: boolean;
}

/** Where a recording is now: `path` where it is whole, `partial` where it is not; neither where there is nothing of it. */
export interface RecordedFile {
  readonly what: 'stream' | 'bitmaps';
  readonly path: string | undefined;
  readonly partial: string | undefined;
  /** Why a whole one could not get its name. */
  readonly error: DirtyBitmapError | undefined;
}

/** The files that `tap` writes. */
export class TapRecords {
  readonly #files: readonly (readonly [RecordedFile['what'], string, Recording])[];

  private constructor(files: readonly (readonly [RecordedFile['what'], string, Recording])[]) {
    this.#files = files;
  }

  /** Begins them all, or none. @throws DirtyBitmapError `argument`; as `Recording.open`. */
  static async open({ record, recordMeta, force }: RecordOptions): Promise<TapRecords> {
    const files: [RecordedFile['what'], string, Recording][] = [];
    // A device such as /dev/null takes both.
    const device = record !== undefined && (await isDevice(record));
    if (record !== undefined && recordMeta !== undefined && resolve(record) === resolve(recordMeta) && !device) {
      throw new DirtyBitmapError('argument', '--record and --record-meta are one file: give each its own');
    }
    try {
      for (const [what, path] of [['stream', record] as const, ['bitmaps', recordMeta] as const]) {
        if (path !== undefined) files.push([what, path, await Recording.open(path, { force })]);
      }
    } catch (error) {
      for (const [, , recording] of files) await recording.leave();
      throw error;
    }
    return new TapRecords(files);
  }

  /** The stream of one of them; undefined where it was not asked for. */
  stream(wanted: RecordedFile['what']): Writable | undefined {
    return this.#files.find(([what]) => what === wanted)?.[2].stream;
  }

  /** Puts those that are whole into their places. */
  async finish(whole: (what: RecordedFile['what']) => boolean): Promise<RecordedFile[]> {
    const done: RecordedFile[] = [];
    for (const [what, path, recording] of this.#files) {
      const error = whole(what) ? await refusal(recording.keep()) : undefined;
      const kept = whole(what) && error === undefined;
      const partial = kept ? undefined : await recording.leave();
      done.push({ what, path: kept ? path : undefined, partial, error });
    }
    return done;
  }
}

async function isDevice(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() === false;
}

async function refusal(work: Promise<void>): Promise<DirtyBitmapError | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (isDirtyBitmapError(error)) return error;
    throw error;
  }
}
