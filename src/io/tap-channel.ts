import type { Duplex } from 'node:stream';
import { type ChannelKind, channelKind, KIND_BYTES } from '../capture/channel-kind.js';
import { PassingMigration } from '../capture/passing-migration.js';
import { changeText, type StreamChange, StreamEditor } from '../capture/stream-editor.js';
import { DirtyBitmapError } from '../errors.js';
import { peerError } from './connection.js';
import { type Pass, Relay } from './relay.js';
import type { TapNotice, TapOptions } from './tap-options.js';
import { MetaRecorder, Recorder, type RecorderHooks } from './tap-recorder.js';

/** Which connection of a migration is looked at, and what is changed in it. */
export class MainChannel {
  readonly editor: StreamEditor | undefined;
  #channel: TapChannel | undefined;

  /** @throws DirtyBitmapError as `StreamEditor`. */
  constructor({ changes, limits }: TapOptions) {
    if (changes !== undefined) this.editor = new StreamEditor(changes, { ...(limits && { limits }) });
  }

  /** The channel that is looked at; undefined until one is. */
  get channel(): TapChannel | undefined {
    return this.#channel;
  }

  /** Says that a channel is the one. @returns false where another is. */
  claim(channel: TapChannel): boolean {
    this.#channel ??= channel;
    return this.#channel === channel;
  }
}

const NOTHING = new Uint8Array(0);
/** What a change that failed in the middle does to the bitmaps. */
const HARM: Readonly<Record<'none' | 'averted' | 'open', string>> = {
  none: '',
  averted: '; as a bitmap was half changed, the destination is made to drop all of them (see its stderr)',
  open: '; a bitmap was half changed: in a precopy the connection is broken, in a postcopy do not trust the bitmaps',
};

/** One connection of a migration, passed on; where it is the main channel, looked at. */
export class TapChannel {
  /** Undefined until enough of it came. */
  kind: ChannelKind | undefined;
  /** Whether this is the migration itself, in the clear. */
  isMain = false;
  readonly passing: PassingMigration;
  record: Recorder | undefined;
  meta: MetaRecorder | undefined;
  /** Both sides are closed and all that is to be recorded is. */
  readonly done: Promise<void>;
  readonly #relay: Relay;
  readonly #first: boolean;
  readonly #main: MainChannel;
  readonly #options: TapOptions;
  readonly #abort = (): void => this.#relay.destroy();
  #editor: StreamEditor | undefined;
  #changesTold = 0;
  #changeFault: Error | undefined;
  #head: Uint8Array = NOTHING;
  #faultTold = false;

  /** @param first whether no other connection came before it. */
  constructor(source: Duplex, destination: Duplex, first: boolean, main: MainChannel, options: TapOptions) {
    this.#first = first;
    this.#main = main;
    this.#editor = main.editor;
    this.#options = options;
    this.passing = new PassingMigration({ ...(options.limits && { limits: options.limits }) }, options.onProgress);
    this.#relay = new Relay(source, destination, {
      forward: (piece, pass) => this.#forward(piece, pass),
      forwardEnd: (pass) => this.#forwardEnd(pass),
      back: (piece) => this.#back(piece),
    });
    options.signal?.addEventListener('abort', this.#abort, { once: true });
    if (options.signal?.aborted === true) this.#abort();
    this.done = this.#finish();
  }

  /** Bytes that went to the destination. */
  get forwardBytes(): number {
    return this.#relay.forwardBytes;
  }

  /** Bytes that went back to the source. */
  get backBytes(): number {
    return this.#relay.backBytes;
  }

  /** Why it broke before all had passed. */
  get error(): Error | undefined {
    const { signal } = this.#options;
    const complete = this.passing.incoming.reader.summary.complete;
    if (signal?.aborted === true && !complete) return endedHere(signal);
    const { sourceError, destinationError } = this.#relay;
    if (destinationError !== undefined) return told('destination', destinationError);
    // A source that is done may close as it likes.
    return sourceError === undefined || complete ? undefined : told('source', sourceError);
  }

  #forward(piece: Uint8Array, pass: Pass): void {
    if (this.kind !== undefined) this.#pass(piece, pass);
    else {
      this.#head = this.#head.length === 0 ? piece : Buffer.concat([this.#head, piece]);
      this.#decide(pass, false);
    }
    this.#quietly(() => this.#options.onRead?.(piece.length));
  }

  #forwardEnd(pass: Pass): void {
    this.#decide(pass, true);
    if (this.isMain && this.#editor !== undefined) this.#passMain(this.#editor.finish(), pass);
  }

  /** Finds out what the channel is. Until then its first bytes, fewer than 4, wait. */
  #decide(pass: Pass, final: boolean): void {
    if (this.kind !== undefined) return;
    const head = this.#head;
    this.kind = channelKind(head.subarray(0, KIND_BYTES));
    if (this.kind === undefined && !final) return;
    this.kind ??= 'other';
    this.#head = NOTHING;
    const possible = this.kind === 'migration' || (this.kind === 'other' && this.#first);
    this.isMain = possible && this.#main.claim(this);
    if (this.isMain) this.#beginRecords();
    this.#tellKind(this.kind);
    this.#pass(head, pass);
  }

  #tellKind(kind: ChannelKind): void {
    if (kind === 'tls') {
      const message =
        'the connection is encrypted (TLS): it is passed on, and nothing of it can be seen, recorded or changed; ' +
        'to see it, migrate in the clear (tls-creds off)';
      this.#notice({ kind: 'blind', message });
    } else if (kind === 'multifd') {
      const message =
        'multifd is on: RAM pages pass in channels of their own, which are not looked at; bitmaps are in the main one';
      this.#notice({ kind: 'channel', message });
    } else if (!this.isMain) {
      const message = 'a further channel (postcopy-preempt has one) is passed on and not looked at';
      this.#notice({ kind: 'channel', message });
    }
  }

  #pass(piece: Uint8Array, pass: Pass): void {
    if (!this.isMain) pass(piece);
    else if (this.#editor === undefined) this.#passMain([piece], pass);
    else this.#passEdited(this.#editor, piece, pass);
  }

  /** What comes of one read: first it goes on, then it is looked at. */
  #passMain(pieces: readonly Uint8Array[], pass: Pass): void {
    const passed = pieces.filter((piece) => pass(piece));
    for (const piece of passed) this.record?.write(piece);
    for (const piece of passed) this.meta?.write(piece);
    this.passing.push(passed);
    this.#tellFault();
  }

  /** Whatever goes wrong with a change: all that waits goes on, and nothing more is changed. */
  #passEdited(editor: StreamEditor, piece: Uint8Array, pass: Pass): void {
    let { fault }: { fault: Error | undefined } = editor;
    try {
      this.#passMain(editor.push(piece), pass);
      fault = editor.fault;
    } catch (error) {
      fault = error as Error;
      this.#editor = undefined;
      this.#passMain(editor.finish(), pass);
    }
    this.#tellChanges(editor, fault);
  }

  #tellChanges({ done }: StreamEditor, fault: Error | undefined): void {
    for (; this.#changesTold < done.length; this.#changesTold++) {
      this.#notice({ kind: 'changed', message: changeText(done[this.#changesTold] as StreamChange) });
    }
    if (fault === undefined || this.#changeFault !== undefined) return;
    this.#changeFault = fault;
    const { harm } = this.#main.editor ?? {};
    const message = `nothing more is changed, the rest goes on as it is: ${fault.message}${HARM[harm ?? 'none']}`;
    this.#notice({ kind: 'change-failed', message });
    // The source fails, and its guest goes on; in a postcopy it would be lost.
    if (harm === 'open' && this.passing.incoming.phase !== 'postcopy') this.#relay.destroy();
  }

  #back(piece: Uint8Array): void {
    if (!this.isMain) return;
    const { answer } = this.passing;
    this.passing.reply(piece);
    this.#tellFault();
    if (this.passing.answer === answer || !this.passing.answer) return;
    const message = `the destination says that loading failed (${this.passing.answer}): see its stderr`;
    this.#notice({ kind: 'answer', message });
  }

  #tellFault(): void {
    const { fault } = this.passing;
    if (fault === undefined || this.#faultTold) return;
    this.#faultTold = true;
    this.#notice({ kind: 'decoding-failed', message: `decoding failed, the bytes go on: ${fault.message}` });
  }

  #beginRecords(): void {
    const { record, recordMeta, limits } = this.#options;
    const hooks = (what: string): RecorderHooks => ({
      hold: () => this.#relay.hold(),
      release: () => this.#relay.release(),
      failed: ({ message }) => {
        this.#notice({
          kind: 'record-failed',
          message: `recording of ${what} has stopped, the bytes go on: ${message}`,
        });
      },
    });
    if (record !== undefined) this.record = new Recorder(record, hooks('the stream'));
    if (recordMeta !== undefined) this.meta = new MetaRecorder(recordMeta, hooks('the bitmaps'), limits);
  }

  #finishMain(): void {
    this.passing.finish();
    const { incoming, answer } = this.passing;
    if (answer !== undefined || !incoming.returnPath || !incoming.reader.summary.complete) return;
    const message = 'the destination was asked whether it has loaded the stream, and gave no answer: see its stderr';
    this.#notice({ kind: 'answer', message });
  }

  #notice(notice: TapNotice): void {
    this.#quietly(() => this.#options.onNotice?.(notice));
  }

  /** What passes does not depend on who is told. */
  #quietly(step: () => void): void {
    try {
      step();
    } catch {
      // Whoever looks on may fail for himself.
    }
  }

  async #finish(): Promise<void> {
    await this.#relay.done;
    this.#options.signal?.removeEventListener('abort', this.#abort);
    if (this.isMain) this.#finishMain();
    await Promise.all([this.record?.end(), this.meta?.end()]);
  }
}

function endedHere({ reason }: AbortSignal): Error {
  return reason instanceof Error ? reason : new DirtyBitmapError('peer-closed', 'it was ended here');
}

function told(side: string, cause: Error): Error {
  const { code, message } = peerError(cause);
  return new DirtyBitmapError(code, `the ${side}: ${message}`, { cause });
}
