import { nameFromBytes, quoted, toHex } from '../bytes/text.js';
import { readU32 } from '../bytes/u64.js';
import { DirtyBitmapError } from '../errors.js';
import { type Configuration, ITEM } from './items.js';

/** Machine names are below 256 bytes. */
const MAX_MACHINE = 4096;
const MAX_CAPABILITIES = 256;
/** Bytes of a body whose length a vmdesc tells: no more are waited for on its word. */
const MAX_BODY = 65_536;

/** A decoded configuration section and its length in bytes, the item byte not counted. */
export interface DecodedConfiguration {
  readonly configuration: Configuration;
  readonly length: number;
}

/**
 * Decodes the body of the configuration section at `pos`. Source: container.md section 2.
 * @param offset where `pos` is in the input, in bytes, for errors.
 * @param knownLength bytes of the body, where a vmdesc tells; needed only to step over an unknown subsection.
 * @returns the configuration, or how many bytes are needed at least from `pos`. One byte more than the body is asked
 * for, because only the byte after it shows that no subsection follows.
 * @throws DirtyBitmapError `configuration-invalid`.
 */
export function decodeConfiguration(
  bytes: Uint8Array,
  pos: number,
  end: number,
  offset: number,
  knownLength: number | undefined,
  final: boolean,
): DecodedConfiguration | number {
  if (end - pos < 4) return 4;
  const nameLength = readU32(bytes, pos);
  if (nameLength > MAX_MACHINE) {
    throw invalid(`a machine name of ${nameLength} bytes, where at most ${MAX_MACHINE} make sense`, offset);
  }
  let at = pos + 4 + nameLength;
  if (end < at) return at - pos;
  const machine = nameFromBytes(bytes.subarray(pos + 4, at)).text;
  let targetPageBits: number | undefined;
  let capabilities: string[] | undefined;
  let uuid: string | undefined;
  for (;;) {
    if (at >= end) {
      if (final) break;
      return at - pos + 1;
    }
    if (bytes[at] !== ITEM.SUBSECTION) break;
    if (end - at < 2) return at - pos + 2;
    const payload = at + 2 + (bytes[at + 1] as number) + 4;
    if (end < payload) return payload - pos;
    const name = nameFromBytes(bytes.subarray(at + 2, payload - 4)).text;
    const where = offset + (at - pos);
    if (name === 'configuration/target-page-bits') {
      if (end < payload + 4) return payload + 4 - pos;
      if (targetPageBits !== undefined) throw invalid(`a second subsection ${quoted(name)}`, where);
      targetPageBits = readU32(bytes, payload);
      at = payload + 4;
    } else if (name === 'configuration/uuid') {
      if (end < payload + 16) return payload + 16 - pos;
      if (uuid !== undefined) throw invalid(`a second subsection ${quoted(name)}`, where);
      uuid = toHex(bytes.subarray(payload, payload + 16));
      at = payload + 16;
    } else if (name === 'configuration/capabilities') {
      if (capabilities !== undefined) throw invalid(`a second subsection ${quoted(name)}`, where);
      const list = decodeCapabilities(bytes, payload, end, where);
      if (typeof list === 'number') return list - pos;
      capabilities = list.names;
      at = list.end;
    } else if (knownLength !== undefined && knownLength <= MAX_BODY && pos + knownLength > at) {
      at = pos + knownLength;
      if (end < at) return at - pos;
    } else {
      throw invalid(`subsection ${quoted(name)} is not known, and nothing tells its length`, where);
    }
  }
  return { configuration: { machine, targetPageBits, capabilities, uuid }, length: at - pos };
}

/** The capabilities and the position after them, or the position up to which bytes are needed. */
function decodeCapabilities(
  bytes: Uint8Array,
  pos: number,
  end: number,
  offset: number,
): { names: string[]; end: number } | number {
  if (end < pos + 4) return pos + 4;
  const count = readU32(bytes, pos);
  if (count > MAX_CAPABILITIES) {
    throw invalid(`${count} capabilities, where at most ${MAX_CAPABILITIES} make sense`, offset);
  }
  const names: string[] = [];
  let at = pos + 4;
  while (names.length < count) {
    if (end <= at) return at + 1;
    const next = at + 1 + (bytes[at] as number);
    if (end < next) return next;
    names.push(nameFromBytes(bytes.subarray(at + 1, next)).text);
    at = next;
  }
  return { names, end: at };
}

function invalid(what: string, offset: number): DirtyBitmapError {
  return new DirtyBitmapError('configuration-invalid', `configuration: ${what}; the stream is damaged here`, {
    offset,
    path: 'configuration',
  });
}
