import type { Format } from '../report/input-report.js';
import type { Severity } from '../rules.js';

/** Where the worker gets an input from: a file that was dropped, or the one that is served beside the page. */
export type InputSource =
  | { readonly name: string; readonly blob: Blob }
  | { readonly name: string; readonly url: string };

/** What the page asks of the worker. Numbers of bitmaps and chunks from 0; offsets in bytes. */
export type Request =
  | { readonly type: 'open'; readonly source: InputSource; readonly format: Format | undefined }
  | { readonly type: 'chunks'; readonly bitmap: number; readonly number: number }
  | { readonly type: 'bytes'; readonly offset: number; readonly chunk: boolean }
  | { readonly type: 'export'; readonly map: number | undefined };

/** How many findings of each kind. */
export type Counts = Readonly<Record<Severity, number>>;

/** Names to choose from by their numbers, and how many there are that are not listed. */
export interface Names {
  readonly listed: readonly string[];
  readonly more: number;
}

/** An input that was read. HTML is of the templates that escape. */
export interface Opened {
  readonly name: string;
  readonly html: string;
  readonly counts: Counts;
  readonly bitmaps: number;
  /** Bytes. */
  readonly size: number;
  /** Whether its bytes are worth a look. */
  readonly binary: boolean;
  /** Bitmaps that have chunks, and how many. */
  readonly chunked: Names;
  /** Bitmaps that can become a map. */
  readonly maps: Names;
}

/** A page of a list of chunks. */
export interface ChunkPage {
  readonly html: string;
  readonly first: number;
  readonly count: number;
  /** Chunks that can be listed, and how many there are. */
  readonly listed: number;
  readonly total: number;
}

/** Bytes of an input. */
export interface BytesView {
  readonly html: string;
  readonly offset: number;
  /** Bytes shown; `size` those of the input. */
  readonly length: number;
  readonly size: number;
}

/** A document to be saved. */
export interface Exported {
  /** Of the file. */
  readonly name: string;
  readonly pieces: readonly string[];
  /** What is to be said of it. */
  readonly notes: readonly string[];
}

/** What the worker tells the page. `total` is undefined where nobody knows how much will be read. */
export type Answer =
  | {
      readonly type: 'progress';
      readonly done: number;
      readonly total: number | undefined;
      readonly counts: Counts | undefined;
      /** The first findings, where there are more than last time. */
      readonly html: string | undefined;
    }
  | { readonly type: 'opened'; readonly opened: Opened }
  | { readonly type: 'chunks'; readonly page: ChunkPage }
  | { readonly type: 'bytes'; readonly view: BytesView }
  | { readonly type: 'exported'; readonly name: string; readonly blob: Blob; readonly notes: readonly string[] }
  /** What was asked for could not be done; the input stays as it is. */
  | { readonly type: 'refused'; readonly what: Request['type']; readonly text: string };
