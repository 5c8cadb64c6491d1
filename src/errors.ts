import type { Code } from './rules.js';

/** What a {@link DirtyBitmapError} carries besides its code and message. */
export interface ErrorDetails {
  /** Where in the input it was found: bytes from the start of the stream or file. */
  readonly offset?: number;
  /** Which field, as a path: `section[3].chunk[17].size`. */
  readonly path?: string;
  /** The error underneath, where there is one. */
  readonly cause?: unknown;
}

/**
 * The one error this library throws about its input. Match on {@link DirtyBitmapError.code}, which is stable
 * (every code is a row of {@link RULES}); the message says what was expected, what was found and what to do.
 */
export class DirtyBitmapError extends Error {
  override readonly name = 'DirtyBitmapError';
  /** The rule that was broken. */
  readonly code: Code;
  /** Bytes from the start of the stream or file, where the place is known. */
  readonly offset: number | undefined;
  /** The field, where that helps: `section[3].chunk[17].size`. */
  readonly path: string | undefined;

  /**
   * An error with its code.
   * @param code a key of {@link RULES}.
   * @param message what was expected, what was found, what to do.
   */
  constructor(code: Code, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.offset = details.offset;
    this.path = details.path;
  }
}

/** True for errors of this library, also across two copies of it. */
export function isDirtyBitmapError(value: unknown): value is DirtyBitmapError {
  return value instanceof Error && value.name === 'DirtyBitmapError' && 'code' in value;
}
