import { ByteWriter } from './byte-writer.js';

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();
const NUL_ONLY = /\0/;
/** Nearly all names are this: a byte for a character. */
const PLAIN = /^[ -~]*$/;

/** A name as it is on the wire and as it is shown. */
export interface Name {
  /** The bytes, exactly. */
  readonly bytes: Uint8Array;
  /**
   * The bytes as UTF-8 where they are clean. `c0 80` counts as U+0000, because QEMU's JSON reader keeps U+0000 in that
   * form. Any other byte that is not clean UTF-8, and a NUL byte itself, is shown as `\xNN`.
   */
  readonly text: string;
  /** Whether `text` is exactly what the bytes say (nothing was shown as `\xNN`). */
  readonly clean: boolean;
}

/** The name that these bytes are. Copies the bytes, so that the name outlives the piece it came in. */
export function nameFromBytes(bytes: Uint8Array): Name {
  // Not slice(): that of a Node Buffer is a view.
  const copy = new Uint8Array(bytes);
  try {
    const text = strict.decode(copy);
    if (!NUL_ONLY.test(text)) return { bytes: copy, text, clean: true };
  } catch {
    // Not clean UTF-8: shown piece by piece below.
  }
  return { bytes: copy, ...escapeDirty(copy) };
}

/** The name with this text in UTF-8 (U+0000 as `c0 80`, as QEMU has it). */
export function nameFromText(text: string): Name {
  if (PLAIN.test(text)) {
    const bytes = new Uint8Array(text.length);
    for (let at = 0; at < bytes.length; at++) bytes[at] = text.charCodeAt(at);
    return { bytes, text, clean: true };
  }
  const out = new ByteWriter();
  text.split('\0').forEach((part, index) => {
    if (index > 0) out.u16(0xc080);
    out.bytes(encoder.encode(part));
  });
  return nameFromBytes(out.view());
}

function escapeDirty(bytes: Uint8Array): { text: string; clean: boolean } {
  let text = '';
  let clean = true;
  for (let at = 0; at < bytes.length; ) {
    if (bytes[at] === 0xc0 && bytes[at + 1] === 0x80) {
      text += '\0';
      at += 2;
      continue;
    }
    const length = sequenceLength(bytes, at);
    if (length === 0) {
      text += `\\x${(bytes[at] as number).toString(16).padStart(2, '0')}`;
      clean = false;
      at++;
    } else {
      text += strict.decode(bytes.subarray(at, at + length));
      at += length;
    }
  }
  return { text, clean };
}

/** Bytes of the clean UTF-8 sequence at `at`; 0 where there is none or it is NUL. */
function sequenceLength(bytes: Uint8Array, at: number): number {
  if (bytes[at] === 0) return 0;
  for (let length = 1; length <= 4 && at + length <= bytes.length; length++) {
    try {
      strict.decode(bytes.subarray(at, at + length));
      return length;
    } catch {
      // Try one byte more.
    }
  }
  return 0;
}

// What may not reach a terminal raw: C0, DEL, C1, line and paragraph separators, bidirectional controls, zero-width
// characters, surrogates that stand alone.
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\u2028\u2029]/gu;

/** The text with everything that could move a cursor or hide escaped as `\n`, `\xNN` or `\u{N}`. For terminals and messages. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => {
    if (character === '\n') return '\\n';
    if (character === '\t') return '\\t';
    const code = character.codePointAt(0) as number;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
  });
}

/** The text in double quotes, printable, cut to `max` characters. */
export function quoted(text: string, max = 64): string {
  const shown = printable(text);
  if (shown.length <= max) return `"${shown}"`;
  // Half a character at the cut is left out.
  return `"${shown.slice(0, max).replace(/[\ud800-\udbff]$/, '')}..."`;
}

/** Lower-case hexadecimal, two digits a byte, nothing between. */
export function toHex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
  return text;
}

/** The bytes of {@link toHex}; undefined where the text is not that. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/i.test(text)) return undefined;
  return Uint8Array.from({ length: text.length / 2 }, (_, at) => Number.parseInt(text.slice(at * 2, at * 2 + 2), 16));
}
