/** Bytes of a file, `end` not among them. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/**
 * What a Range header asks for: one range, as RFC 9110 section 14 has it.
 * @returns undefined for the whole file, also where the header is not understood or asks for several; `none` for a range
 * that begins behind the end.
 */
export function byteRange(header: string | undefined, size: number): Span | 'none' | undefined {
  const [, first = '', last = ''] = /^bytes=(\d{0,16})-(\d{0,16})$/.exec(header ?? '') ?? [];
  if (first === '' && last === '') return undefined;
  if (first === '') {
    const start = Math.max(0, size - Number(last));
    return start < size ? { start, end: size } : 'none';
  }
  const start = Number(first);
  const end = last === '' ? size : Math.min(size, Number(last) + 1);
  if (last !== '' && Number(last) < start) return undefined;
  return start < size ? { start, end } : 'none';
}
