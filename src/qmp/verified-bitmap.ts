import type { Code } from '../rules.js';

/** A bitmap that was sent, and what became of it. */
export interface VerifiedBitmap {
  readonly node: string;
  readonly name: string;
  /** Where it should be; undefined where its names mean nothing there. */
  readonly destination: { readonly node: string; readonly name: string } | undefined;
  readonly verdict: 'arrived' | 'lost' | 'differs';
  readonly code: Code | undefined;
  /** What is not as it was sent, or why it is gone. */
  readonly differences: readonly string[];
  /** What may be right, and should be known. */
  readonly notes: readonly string[];
  /** Dirty bytes at both ends, as far as they are told. */
  readonly count: { readonly source: number | undefined; readonly destination: number | undefined };
  /** Whether it is sure to have been sent: it was not there before, or its bits are the same and not all clean. */
  readonly proven: boolean;
}
