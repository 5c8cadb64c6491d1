/**
 * Writes migration streams byte by byte, well-formed or not, without any code of the library: what it tests must not
 * be what makes the tests' input. Sources: container.md, wire-format.md.
 */

/** What a builder takes where it wants bytes: bytes, one byte, text in Latin-1, or a row of such. */
export type Part = Uint8Array | number | string | readonly Part[];

/** Everything in order, as one run of bytes. */
export function join(...parts: readonly Part[]): Uint8Array {
  const runs = parts.map(toBytes);
  const out = new Uint8Array(runs.reduce((sum, run) => sum + run.length, 0));
  let at = 0;
  for (const run of runs) {
    out.set(run, at);
    at += run.length;
  }
  return out;
}

function toBytes(part: Part): Uint8Array {
  if (part instanceof Uint8Array) return part;
  if (typeof part === 'number') return Uint8Array.of(part);
  if (typeof part === 'string') return Uint8Array.from(part, (character) => character.charCodeAt(0));
  return join(...part);
}

/** Bytes of hexadecimal text; whatever is not a digit is left out. */
export function hex(text: string): Uint8Array {
  const digits = text.replace(/[^0-9a-f]/gi, '');
  return Uint8Array.from({ length: digits.length / 2 }, (_, at) =>
    Number.parseInt(digits.slice(2 * at, 2 * at + 2), 16),
  );
}

export const u16 = (value: number): Uint8Array => bigEndian(BigInt(value), 2);
export const u32 = (value: number): Uint8Array => bigEndian(BigInt(value), 4);
export const u64 = (value: number | bigint): Uint8Array => bigEndian(BigInt(value), 8);
/** A counted string. */
export const str8 = (text: Part): Uint8Array => join(toBytes(text).length, text);
/** `count` bytes of `value`. */
export const fill = (count: number, value = 0): Uint8Array => new Uint8Array(count).fill(value);

function bigEndian(value: bigint, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, at) => Number((value >> BigInt(8 * (size - 1 - at))) & 0xffn));
}

/** Magic, version, then what follows. */
export const qevm = (...rest: readonly Part[]): Uint8Array => join('QEVM', u32(3), ...rest);

/** A configuration section: machine type, then subsections. */
export function configuration(machine = 'none', ...subsections: readonly Part[]): Uint8Array {
  return join(0x07, u32(machine.length), machine, ...subsections);
}

/** A subsection of the configuration. */
export const subsection = (name: string, payload: Part): Uint8Array => join(0x05, str8(name), u32(1), payload);

/** The subsection that lists capabilities. */
export function capabilities(...names: readonly string[]): Uint8Array {
  return subsection('configuration/capabilities', [u32(names.length), ...names.map(str8)]);
}

export const footer = (id: number): Uint8Array => join(0x7e, u32(id));
export const EOF = 0x00;
/** A vmdesc with this text, or with this object as JSON. */
export function vmdesc(json: string | object): Uint8Array {
  const text = typeof json === 'string' ? json : JSON.stringify(json);
  return join(0x06, u32(text.length), text);
}

/** How a section is written, where not the usual way. */
export interface SectionForm {
  readonly instance?: number;
  readonly version?: number;
  /** Default true. */
  readonly footer?: boolean;
}

const VERSIONS: ReadonlyMap<string, number> = new Map([
  ['ram', 4],
  ['s390-storage_attributes', 0],
]);

function named(item: number, id: number, name: string, body: Part, form: SectionForm): Uint8Array {
  const version = form.version ?? VERSIONS.get(name) ?? 1;
  const header = [item, u32(id), str8(name), u32(form.instance ?? 0), u32(version)];
  return join(header, body, form.footer === false ? [] : footer(id));
}

function unnamed(item: number, id: number, body: Part, form: SectionForm): Uint8Array {
  return join(item, u32(id), body, form.footer === false ? [] : footer(id));
}

export const start = (id: number, name: string, body: Part, form: SectionForm = {}): Uint8Array =>
  named(0x01, id, name, body, form);
export const part = (id: number, body: Part, form: SectionForm = {}): Uint8Array => unnamed(0x02, id, body, form);
export const end = (id: number, body: Part, form: SectionForm = {}): Uint8Array => unnamed(0x03, id, body, form);
export const full = (id: number, name: string, body: Part, form: SectionForm = {}): Uint8Array =>
  named(0x04, id, name, body, form);

/** A command with its payload. */
export const command = (id: number, payload: Part = []): Uint8Array =>
  join(0x08, u16(id), u16(toBytes(payload).length), payload);
export const ADVISE = 3;
export const LISTEN = 4;
export const RUN = 5;
export const PACKAGED = 7;
/** A package: the command, then what is packed. */
export const packaged = (...items: readonly Part[]): Uint8Array =>
  join(command(PACKAGED, u32(join(...items).length)), ...items);

/** The end of a RAM section's body. */
export const RAM_EOS: Uint8Array = u64(0x10);
/** Section id of `ram` in the streams of {@link precopy}. */
export const RAM_ID = 2;
/** Section id of `dirty-bitmap` in the streams of {@link precopy}. */
export const BITMAP_ID = 3;

/** Names that a chunk carries. */
export interface Names {
  readonly node?: Part;
  readonly bitmap?: Part;
}

/** A chunk of one byte of flags: those of the kind and of the names. */
function chunk(flags: number, names: Names, ...body: readonly Part[]): Uint8Array {
  const { node, bitmap } = names;
  const all = flags | (node === undefined ? 0 : 0x08) | (bitmap === undefined ? 0 : 0x04);
  return join(all, node === undefined ? [] : str8(node), bitmap === undefined ? [] : str8(bitmap), ...body);
}

export const EOS = 0x01;
export const startChunk = (names: Names, granularity = 65_536, flags = 1): Uint8Array =>
  chunk(0x10, names, u32(granularity), flags);
export const completeChunk = (names: Names = {}): Uint8Array => chunk(0x20, names);
export const zeroesChunk = (first: number | bigint, count: number, names: Names = {}): Uint8Array =>
  chunk(0x42, names, u64(first), u32(count));
export const bitsChunk = (first: number | bigint, count: number, data: Part, names: Names = {}): Uint8Array =>
  chunk(0x40, names, u64(first), u32(count), u64(toBytes(data).length), data);

/** The names of the one bitmap in {@link precopy}. */
export const B0: Names = { node: 'disk0', bitmap: 'b0' };
/** Sectors of 64 granules of 64 KiB: what ranges are aligned to. */
export const UNIT = 8192;

/** The chunks of a whole bitmap of 64 granules, bit 0 dirty. */
export const bitmapChunks = (data: Part = [1, fill(31)]): Uint8Array => join(bitsChunk(0, UNIT, data), completeChunk());

/** A small stream as QEMU writes it in precopy: RAM without pages, one bitmap, two devices. */
export function precopy(form: { readonly footers?: boolean; readonly vmdesc?: boolean } = {}): Uint8Array {
  const section: SectionForm = { footer: form.footers !== false };
  return qevm(
    configuration('none'),
    command(ADVISE),
    start(RAM_ID, 'ram', [u64(0x04), RAM_EOS], section),
    start(BITMAP_ID, 'dirty-bitmap', [startChunk(B0), EOS], section),
    part(RAM_ID, RAM_EOS, section),
    part(BITMAP_ID, EOS, section),
    end(RAM_ID, RAM_EOS, section),
    end(BITMAP_ID, [bitmapChunks(), EOS], section),
    full(0, 'timer', fill(24, 0x5a), { ...section, version: 2 }),
    full(4, 'globalstate', fill(12, 0x61), section),
    EOF,
    form.vmdesc === false ? [] : vmdesc(DEVICES),
  );
}

/** The vmdesc of {@link precopy}. */
export const DEVICES = {
  page_size: 4096,
  devices: [device('timer', 24), device('globalstate', 12)],
};

/** A device of a vmdesc with a body of so many bytes. */
export function device(name: string, size: number, instance = 0): object {
  return { name, instance_id: instance, vmsd_name: name, version: 1, fields: [{ name: 'f', type: 'buffer', size }] };
}

/** The items that surround a bitmap section under test: RAM is left out, nothing follows but EOF. */
export function bitmapStream(startBody: Part, endBody: Part = EOS): Uint8Array {
  return qevm(configuration(), start(BITMAP_ID, 'dirty-bitmap', startBody), end(BITMAP_ID, endBody), EOF);
}
