import { readU32 } from '../bytes/u64.js';
import { ITEM } from './items.js';

/** The size of one device section's body, in bytes, as the vmdesc tells it. */
export interface DeviceSize {
  /** As in the header of the section. */
  readonly name: string;
  /** Which of the devices of one name. */
  readonly instance: number;
  /** In bytes, without header and footer. */
  readonly size: number;
}

/** What the vmdesc of a precopy stream says, as far as a reader of bitmaps needs it. */
export interface Vmdesc {
  /** Target page size in bytes. */
  readonly pageSize: number | undefined;
  /** Bytes of the configuration section's body (8.2 and later). */
  readonly configurationBytes: number | undefined;
  /** Devices in the order of their FULL sections. */
  readonly devices: readonly DeviceSize[];
}

/** Devices nest below 32; deeper is not a vmdesc. */
const MAX_DEPTH = 64;

/** Where a vmdesc lies in the input, in bytes. */
export interface VmdescPlace {
  /** Offset of the item byte. */
  readonly offset: number;
  /** Offset of the JSON text. */
  readonly textOffset: number;
  /** Bytes of the JSON text. */
  readonly textLength: number;
}

/**
 * Looks for the vmdesc at the end of a file: an item byte, a length and `{`, so that the text ends where the file ends.
 * Source: container.md section 9.1.
 * @param tail the last bytes of the file.
 * @param tailOffset where `tail` begins in the file, in bytes.
 * @returns its place, or undefined where it does not lie (wholly) in `tail`.
 */
export function locateVmdesc(tail: Uint8Array, tailOffset: number): VmdescPlace | undefined {
  let end = tail.length;
  // Padding: some writers round a file up.
  while (end > 0 && tail[end - 1] === 0) end--;
  if (tail[end - 1] !== 0x7d) return undefined;
  for (
    let at = tail.lastIndexOf(ITEM.VMDESC, end - 7);
    at >= 0;
    at = at === 0 ? -1 : tail.lastIndexOf(ITEM.VMDESC, at - 1)
  ) {
    if (tail[at + 5] === 0x7b && at + 5 + readU32(tail, at + 1) === end) {
      return { offset: tailOffset + at, textOffset: tailOffset + at + 5, textLength: end - at - 5 };
    }
  }
  return undefined;
}

type Json = Record<string, unknown>;

/**
 * Reads the sizes out of a vmdesc's JSON text. Source: container.md section 9.1.
 * @returns undefined where it is not JSON of the known form.
 */
export function parseVmdesc(text: Uint8Array): Vmdesc | undefined {
  try {
    const json: unknown = JSON.parse(new TextDecoder().decode(text));
    if (!isObject(json) || !Array.isArray(json['devices'])) return undefined;
    const configuration = json['configuration'];
    return {
      pageSize: typeof json['page_size'] === 'number' ? json['page_size'] : undefined,
      configurationBytes: isObject(configuration) ? checkedSize(configuration) : undefined,
      devices: json['devices'].map(deviceSize),
    };
  } catch {
    return undefined;
  }
}

function deviceSize(device: unknown): DeviceSize {
  const { name, instance_id: instance, size } = isObject(device) ? device : ({} as Json);
  if (typeof name !== 'string' || typeof instance !== 'number')
    throw new SyntaxError('device without name or instance');
  // Devices of the old style tell their size in one piece.
  return { name, instance, size: typeof size === 'number' ? checked(size) : checkedSize(device as Json) };
}

function checkedSize(state: Json): number {
  return checked(sizeOf(state, 0));
}

/** Positions are reckoned from sizes, so they must be whole. */
function checked(bytes: number): number {
  if (!Number.isSafeInteger(bytes) || bytes < 0) throw new SyntaxError('a size that is no number of bytes');
  return bytes;
}

/** Bytes of a vmstate: its fields, then its subsections with their headers. A field's size includes what is nested in it. */
function sizeOf(state: Json, depth: number): number {
  if (depth > MAX_DEPTH) throw new SyntaxError('nested too deep');
  let bytes = 0;
  for (const field of listOf(state['fields'])) {
    bytes += numberOf(field['size'], 0) * numberOf(field['array_len'], 1);
  }
  for (const subsection of listOf(state['subsections'])) {
    const name = String(subsection['vmsd_name']);
    bytes += 1 + 1 + name.length + 4 + sizeOf(subsection, depth + 1);
  }
  return bytes;
}

function listOf(value: unknown): Json[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

function numberOf(value: unknown, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
