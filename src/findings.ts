import type { DirtyBitmapError } from './errors.js';
import { type Code, RULES, type Severity } from './rules.js';

/** Something an operator should know about the input. */
export interface Finding {
  /** That of its rule. */
  readonly severity: Severity;
  /** The rule, a key of {@link RULES}. */
  readonly code: Code;
  /** Bytes from the start of the input, where the place is known. */
  readonly offset?: number;
  /** What was expected, what was found, what to do. */
  readonly message: string;
}

/** Findings as plain data. */
export interface FindingsSnapshot {
  /** Those that are kept. */
  readonly list: readonly Finding[];
  /** How many were found, kept or not. */
  readonly total: number;
  /** How many of each severity, kept or not. */
  readonly counts: Readonly<Record<Severity, number>>;
}

/** A list of findings that a hostile input cannot make endless. */
export class Findings {
  readonly list: Finding[] = [];
  /** How many were found, kept or not. */
  total = 0;
  /** How many of each severity were found, kept or not. */
  readonly counts: Record<Severity, number> = { error: 0, warning: 0, info: 0 };
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  /** Adds a finding; its severity is its rule's. `offset` is in bytes from the start of the input. */
  add(code: Code, message: string, offset?: number): void {
    const severity = RULES[code].severity;
    this.total++;
    this.counts[severity]++;
    if (this.list.length > this.#max) return;
    if (this.list.length === this.#max) {
      this.list.push({
        severity: RULES['findings-capped'].severity,
        code: 'findings-capped',
        message: `only the first ${this.#max} findings are listed; raise the limit maxFindings to see more`,
      });
      return;
    }
    this.list.push(offset === undefined ? { severity, code, message } : { severity, code, offset, message });
  }

  /** What was found so far. A copy. */
  snapshot(): FindingsSnapshot {
    return { list: [...this.list], total: this.total, counts: { ...this.counts } };
  }

  /** Goes on from what was found elsewhere; only before anything was found here. */
  restore({ list, total, counts }: FindingsSnapshot): void {
    for (const { code, message, offset } of list) {
      const { severity } = RULES[code];
      // MessagePack has no undefined: it comes as null.
      this.list.push(offset == null ? { severity, code, message } : { severity, code, offset, message });
    }
    this.total = total;
    Object.assign(this.counts, counts);
  }

  /** Adds what an error says. */
  addError(error: DirtyBitmapError): void {
    this.add(error.code, error.message, error.offset);
  }
}
