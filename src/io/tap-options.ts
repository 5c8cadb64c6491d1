import type { Writable } from 'node:stream';
import type { CaptureReader } from '../capture/capture-reader.js';
import type { ChannelKind } from '../capture/channel-kind.js';
import type { MigrationPhase } from '../capture/incoming-migration.js';
import type { PassingMigration } from '../capture/passing-migration.js';
import type { StreamChange, StreamChanges } from '../capture/stream-editor.js';
import type { Limits } from '../limits.js';

/** Something that who runs a tap should know, and that no finding tells. */
export interface TapNotice {
  readonly kind:
    | 'changed'
    | 'change-failed'
    | 'blind'
    | 'channel'
    | 'channel-failed'
    | 'refused'
    | 'record-failed'
    | 'decoding-failed'
    | 'answer';
  readonly message: string;
}

/** How a migration is tapped. */
export interface TapOptions {
  /** Ends both sides when it is aborted. */
  readonly signal?: AbortSignal | undefined;
  readonly limits?: Partial<Limits> | undefined;
  /** Called after each piece, in either direction; the bitmaps and findings so far are in `passing.incoming.reader`. */
  readonly onProgress?: ((passing: PassingMigration) => void) | undefined;
  /** Called with the bytes of each piece that was read of the source, on any channel, after it has passed. */
  readonly onRead?: ((bytes: number) => void) | undefined;
  /** Told what a person should know, when it is seen. */
  readonly onNotice?: ((notice: TapNotice) => void) | undefined;
  /** Changes what goes to the destination: its bitmaps, and one command. Default: nothing is changed. */
  readonly changes?: StreamChanges | undefined;
  /** Gets what went to the destination on the main channel, and is ended after it. */
  readonly record?: Writable | undefined;
  /** Gets a capture of its bitmaps alone (see `BitmapsOnly`), and is ended after it. */
  readonly recordMeta?: Writable | undefined;
}

/** What has passed. */
export interface TappedMigration {
  /** What the main channel is; undefined where nothing came. */
  readonly channel: ChannelKind | undefined;
  /** The bitmaps as the destination got them, as far as they came, and what is wrong with the stream. */
  readonly reader: CaptureReader;
  readonly phase: MigrationPhase;
  /** Whether the stream came to its end. */
  readonly complete: boolean;
  /** What was changed. */
  readonly changes: readonly StreamChange[];
  /** Bytes of the main channel that went to the destination. */
  readonly forwardBytes: number;
  /** Bytes of the main channel that went back to the source. */
  readonly backBytes: number;
  /** Channels beside the main one. */
  readonly otherChannels: number;
  /** What the destination said at its end: 0 where it has loaded the stream; undefined where it said nothing. */
  readonly answer: number | undefined;
  /** Whether all that passed is recorded; undefined where nothing was to be. */
  readonly recorded: boolean | undefined;
  /** Whether the bitmaps alone are recorded; undefined where nothing was to be. */
  readonly metaRecorded: boolean | undefined;
  /** Why a connection broke before all had passed: `peer-closed`, or what a signal was aborted with. */
  readonly error: Error | undefined;
}
