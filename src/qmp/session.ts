import { quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import { type Limits, resolveLimits } from '../limits.js';
import { JsonFramer } from './json-framer.js';

/** What QEMU says of itself when a client comes. */
export interface QmpGreeting {
  readonly kind: 'greeting';
  /** `7.2.22`. */
  readonly version: string;
}

/** A command was answered. */
export interface QmpReply {
  readonly kind: 'reply';
  /** The id that the command was sent with. */
  readonly id: number;
  readonly command: string;
  /** What it returned, or why it was refused. */
  readonly result: { readonly value: unknown } | { readonly error: DirtyBitmapError };
}

/** Something happened in QEMU. */
export interface QmpEvent {
  readonly kind: 'event';
  /** Such as `BLOCK_JOB_COMPLETED`. */
  readonly name: string;
  readonly data: Readonly<Record<string, unknown>>;
  /** Seconds since 1970; undefined where QEMU could not tell. */
  readonly seconds: number | undefined;
}

/** What comes out of a session. */
export type QmpOutput = QmpGreeting | QmpReply | QmpEvent;

/** Where a session stands: QEMU is to greet, the capabilities are to be agreed on, commands may go, it is over. */
export type QmpState = 'greeting' | 'negotiating' | 'ready' | 'closed';

type Json = Readonly<Record<string, unknown>>;

/**
 * A conversation with QEMU over QMP, without sockets and clocks: bytes in, what happened out. A fault of the peer ends
 * it, and every later call throws the same error; so does what a caller does after the end.
 * @example
 * const session = new QmpSession();
 * socket.write(session.start());
 * for await (const piece of socket) for (const output of session.push(piece)) console.log(output);
 */
export class QmpSession {
  readonly #framer: JsonFramer;
  readonly #waiting = new Map<number, string>();
  readonly #maxWaiting: number;
  #state: QmpState = 'greeting';
  #nextId = 1;
  #error: DirtyBitmapError | undefined;

  /** @throws DirtyBitmapError `argument` for a limit that is no whole number. */
  constructor(limits: Partial<Limits> = {}) {
    const { maxQmpBytes, maxQmpCommands } = resolveLimits(limits);
    this.#framer = new JsonFramer(maxQmpBytes);
    this.#maxWaiting = maxQmpCommands;
  }

  /** Where the conversation stands: see {@link QmpState}. */
  get state(): QmpState {
    return this.#state;
  }

  /** Commands without an answer. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** The bytes of a command, and the id that its answer will have. @throws DirtyBitmapError `state-invalid`; `limit`. */
  command(name: string, args?: object): { readonly id: number; readonly bytes: Uint8Array } {
    if (this.#error !== undefined) throw this.#error;
    if (this.#state !== 'ready') {
      throw new DirtyBitmapError(
        'state-invalid',
        `${name}: commands go after QEMU has greeted; the session is ${this.#state}`,
      );
    }
    return this.#send(name, args);
  }

  /**
   * Takes the next piece, and gives what came with it, in order. The answer to the greeting is given by `reply`.
   * @param reply is given bytes that must be sent.
   * @throws DirtyBitmapError `qmp-protocol`, `limit`; the session is over then.
   */
  *push(piece: Uint8Array, reply: (bytes: Uint8Array) => void): Generator<QmpOutput, void, void> {
    if (this.#error !== undefined) throw this.#error;
    try {
      for (const message of this.#framer.push(piece)) {
        const output = this.#take(message, reply);
        if (output !== undefined) yield output;
      }
    } catch (error) {
      this.#fail(error as DirtyBitmapError);
      throw error;
    }
  }

  /**
   * The connection ended. Commands without an answer may have been done or not.
   * @returns the commands that were not answered.
   */
  end(): readonly { readonly id: number; readonly command: string; readonly error: DirtyBitmapError }[] {
    const lost = [...this.#waiting].map(([id, command]) => {
      const message = `the connection to QEMU ended before ${command} was answered: whether it was done is not known; ask again`;
      return { id, command, error: this.#error ?? new DirtyBitmapError('qmp-closed', message) };
    });
    this.#fail(new DirtyBitmapError('qmp-closed', 'the connection to QEMU has ended'));
    return lost;
  }

  #take(message: Json, reply: (bytes: Uint8Array) => void): QmpOutput | undefined {
    if (this.#state === 'greeting') {
      const output = greetingOf(message);
      this.#state = 'negotiating';
      reply(this.#send('qmp_capabilities').bytes);
      return output;
    }
    if (typeof message['event'] === 'string') return eventOf(message['event'], message);
    const answer = this.#answerOf(message);
    if (this.#state !== 'negotiating') return answer;
    if ('error' in answer.result) throw answer.result.error;
    this.#state = 'ready';
    return undefined;
  }

  #answerOf(message: Json): QmpReply {
    const { id } = message;
    const command = typeof id === 'number' ? this.#waiting.get(id) : undefined;
    if (command === undefined) {
      const found = quoted(JSON.stringify(message), 120);
      throw protocolError(`expected an event, or an answer with the id of a command; found ${found}`);
    }
    this.#waiting.delete(id as number);
    const reply = { kind: 'reply', id: id as number, command } as const;
    if ('return' in message) return { ...reply, result: { value: message['return'] } };
    return { ...reply, result: { error: refusalOf(command, message['error']) } };
  }

  #send(name: string, args?: object): { readonly id: number; readonly bytes: Uint8Array } {
    if (this.#waiting.size >= this.#maxWaiting) {
      throw new DirtyBitmapError(
        'limit',
        `more than ${this.#maxWaiting} commands without an answer; raise maxQmpCommands`,
      );
    }
    const id = this.#nextId++;
    this.#waiting.set(id, name);
    const text = JSON.stringify({ execute: name, ...(args && { arguments: args }), id });
    return { id, bytes: new TextEncoder().encode(`${text}\n`) };
  }

  #fail(error: DirtyBitmapError): void {
    this.#error ??= error;
    this.#state = 'closed';
  }
}

function greetingOf(message: Json): QmpGreeting {
  const greeting = message['QMP'] as { readonly version?: { readonly qemu?: Json } } | undefined;
  const { major, minor, micro } = greeting?.version?.qemu ?? {};
  if ([major, minor, micro].every((part) => Number.isInteger(part))) {
    return { kind: 'greeting', version: `${major}.${minor}.${micro}` };
  }
  throw protocolError(`expected the greeting of a QEMU, found ${quoted(JSON.stringify(message), 120)}`);
}

function eventOf(name: string, message: Json): QmpEvent {
  const { data, timestamp } = message as {
    readonly data?: unknown;
    readonly timestamp?: { readonly seconds?: unknown };
  };
  const seconds = timestamp?.seconds;
  return {
    ...{ kind: 'event', name },
    data: typeof data === 'object' && data !== null ? (data as Json) : {},
    seconds: typeof seconds === 'number' && seconds >= 0 ? seconds : undefined,
  };
}

/** Why QEMU refused a command. */
function refusalOf(command: string, error: unknown): DirtyBitmapError {
  const { class: kind, desc } = (error ?? {}) as { readonly class?: unknown; readonly desc?: unknown };
  if (typeof kind !== 'string' || typeof desc !== 'string') {
    throw protocolError(`expected "return" or "error" in the answer to ${command}`);
  }
  return new DirtyBitmapError('qmp-refused', `QEMU refused ${command}: ${quoted(desc, 1000)} (${quoted(kind, 40)})`);
}

function protocolError(text: string): DirtyBitmapError {
  return new DirtyBitmapError('qmp-protocol', `${text}; is this the QMP socket of a QEMU?`);
}
