import { DirtyBitmapError } from '../errors.js';
import { Findings, type FindingsSnapshot } from '../findings.js';
import type { Code } from '../rules.js';
import { FAULT_EFFECTS, type FaultCode, type FaultEffect } from './destination-transitions.js';

/** What went wrong, and what became of it. */
export interface Fault {
  readonly code: Code;
  readonly message: string;
  /** Bytes from the start of the input, where it was in the input. */
  readonly offset: number | undefined;
  readonly effect: FaultEffect;
}

/** Who gives up the bitmaps, or fails. */
export interface FaultActions {
  cancel(fault: Fault): void;
  fail(error: unknown): void;
}

/** Does what the faults of a stream lead to, and keeps what is reported. */
export class Faults {
  readonly findings: Findings;
  readonly #strict: boolean;
  readonly #allFatal: boolean;
  readonly #max: number;
  readonly #actions: FaultActions;
  readonly #reported = new Set<string>();

  /** @param allFatal whether a fault never gives up the bitmaps alone. */
  constructor(strict: boolean, allFatal: boolean, maxFindings: number, actions: FaultActions) {
    this.findings = new Findings(maxFindings);
    this.#strict = strict;
    this.#allFatal = allFatal || strict;
    this.#max = maxFindings;
    this.#actions = actions;
  }

  /**
   * A fault that ends what is being done: the bitmaps are given up, or it is thrown.
   * @throws DirtyBitmapError the code, where it is fatal.
   */
  raise(code: FaultCode, message: string, offset: number | undefined): void {
    const effect = FAULT_EFFECTS[code];
    if (effect === 'cancel' && !this.#allFatal) this.#actions.cancel({ code, message, offset, effect });
    else this.abort(code, message, offset);
  }

  /**
   * Something odd, said once for each bitmap.
   * @throws DirtyBitmapError the code, where the destination is strict.
   */
  report(target: number, code: FaultCode, message: string, offset: number): void {
    if (this.#strict) this.abort(code, message, offset);
    const key = `${target} ${code}`;
    if (this.#reported.has(key) || this.#reported.size > this.#max) return;
    this.#reported.add(key);
    this.findings.add(code, message, offset);
  }

  /** What was reported already, of which bitmaps. */
  reported(): readonly string[] {
    return [...this.#reported];
  }

  /** Goes on from what was found elsewhere; only before anything was found here. */
  restore(findings: FindingsSnapshot, reported: readonly string[]): void {
    this.findings.restore(findings);
    for (const key of reported) this.#reported.add(key);
  }

  /** @throws DirtyBitmapError always, after the destination has failed. */
  abort(code: Code, message: string, offset: number | undefined): never {
    const error = new DirtyBitmapError(code, message, offset === undefined ? {} : { offset });
    this.#actions.fail(error);
    throw error;
  }

  /** Does something of which any error is fatal. */
  guard<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      this.#actions.fail(error);
      throw error;
    }
  }
}
