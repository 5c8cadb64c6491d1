/** Steps over the body of a section that delimits itself. */
export interface BodyParser {
  /** Bytes that the body is known to skip next: nobody looks at them. */
  skip: number;
  /** Bytes needed at least where {@link BodyParser.run} stopped, counted from the queue's offset. */
  readonly need: number;
  /**
   * Goes on as far as the bytes in the queue go.
   * @param final no more bytes will come.
   * @returns true at the end of the body, false where the bytes ran out before.
   * @throws DirtyBitmapError where the body is malformed and the place where it goes on is in doubt.
   */
  run(final: boolean): boolean;
}
