import fc from 'fast-check';
import * as build from './stream-builder.js';

/** Bytes of a flags field of this width. Source: wire-format.md, Flags field. */
function flagsField(value: number, width: 1 | 2 | 4): Uint8Array {
  if (width === 1) return Uint8Array.of(value);
  if (width === 2) return build.u16(value + 0x8000);
  // Bits 23 and 31 of the value are clear, so the markers can be added.
  return build.u32(value + 0x8080_0000);
}

/** Flags with the low seven bits given, and any unknown bits that the width holds. */
function flagsBytes(low: number): fc.Arbitrary<Uint8Array> {
  const unknown = { 2: 0x7f00, 4: 0x7f7f_ff80 } as const;
  return fc.oneof(
    { weight: 6, arbitrary: fc.constant(flagsField(low, 1)) },
    { weight: 1, arbitrary: fc.nat(0x7fff).map((more) => flagsField(low | (more & unknown[2]), 2)) },
    { weight: 1, arbitrary: fc.nat(0x7fff_ffff).map((more) => flagsField(low | (more & unknown[4]), 4)) },
    { weight: 1, arbitrary: fc.constantFrom(2 as const, 4 as const).map((width) => flagsField(low, width)) },
  );
}

const plainName = fc.constantFrom('disk0', 'disk1', 'b0', 'b1', '#block123', 'n').map((text) => build.join(text));
/** The bytes of a name: mostly one of a few, so that it comes again; now and then anything that fits. */
export const nameBytes: fc.Arbitrary<Uint8Array> = fc.oneof(
  { weight: 8, arbitrary: plainName },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 12 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(build.hex('61c08062'), build.fill(255, 0x6e), build.hex('c3a4'), build.fill(1)),
  },
);

const ranges: fc.Arbitrary<{ first: bigint; count: number }> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ first: fc.nat(40).map((unit) => BigInt(unit * 64)), count: fc.nat(10).map((n) => n * 64) }),
  },
  { weight: 2, arbitrary: fc.record({ first: fc.nat(100_000).map(BigInt), count: fc.nat(0xffff_ffff) }) },
  {
    weight: 1,
    arbitrary: fc.record({ first: fc.bigInt({ min: (1n << 44n) - 70n, max: 1n << 44n }), count: fc.nat(64) }),
  },
);
const anyRange = fc.oneof(
  { weight: 8, arbitrary: ranges },
  {
    weight: 1,
    arbitrary: fc.record({ first: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), count: fc.nat(0xffff_ffff) }),
  },
);

const granularity = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 9, max: 31 }).map((power) => 2 ** power) },
  { weight: 1, arbitrary: fc.nat(0xffff_ffff) },
);
const data = fc.oneof(
  { weight: 10, arbitrary: fc.uint8Array({ maxLength: 48 }) },
  { weight: 1, arbitrary: fc.constantFrom(0, 1024, 10_240).map((length) => build.fill(length, 0x31)) },
);

/** What {@link chunkBytes} may make. */
export interface ChunkForm {
  /** Which of the low seven flags may be set; default all. */
  readonly flags?: number;
  /** Whether ranges may end above 2^53 bytes. Default false. */
  readonly overflow?: boolean;
}

/** The bytes of a chunk: any kind, any names, any width of flags, deviations included. */
export function chunkBytes(form: ChunkForm = {}): fc.Arbitrary<Uint8Array> {
  const range = (form.overflow === true ? anyRange : ranges).filter(
    ({ first, count }) => form.overflow === true || first + BigInt(count) <= 1n << 44n,
  );
  // EOS, BITS and ZEROES come often, or nothing but START would be read: it outranks the others.
  const some = fc.constantFrom(0x40, 0x40, 0x42, 0x42, 0x10, 0x1c, 0x20, 0x4c, 0x01, 0x24);
  return fc.oneof({ weight: 5, arbitrary: some }, { weight: 1, arbitrary: fc.nat(0x7f) }).chain((any) => {
    const low = any & (form.flags ?? 0x7f);
    const parts: fc.Arbitrary<Uint8Array>[] = [flagsBytes(low)];
    if ((low & 0x08) !== 0) parts.push(nameBytes.map(build.str8));
    if ((low & 0x04) !== 0) parts.push(nameBytes.map(build.str8));
    if ((low & 0x10) !== 0) {
      parts.push(fc.tuple(granularity, fc.nat(255)).map(([bytes, flags]) => build.join(build.u32(bytes), flags)));
    } else if ((low & 0x20) === 0 && (low & 0x40) !== 0) {
      parts.push(range.map(({ first, count }) => build.join(build.u64(first), build.u32(count))));
      if ((low & 0x02) === 0) parts.push(data.map((bits) => build.join(build.u64(bits.length), bits)));
    }
    return fc.tuple(...parts).map((all) => build.join(...all));
  });
}

/** Chunks one behind the other: several sections, the last one cut where it has no EOS. */
export const sectionBytes: fc.Arbitrary<Uint8Array> = fc
  .array(chunkBytes({ overflow: true }), { maxLength: 24 })
  .map((chunks) => build.join(...chunks));

/** The body of one section: chunks of which only the last one has EOS. */
const bodyBytes: fc.Arbitrary<Uint8Array> = fc
  .array(chunkBytes({ flags: 0x7e, overflow: true }), { maxLength: 6 })
  .map((chunks) => build.join(...chunks, build.EOS));

const BLOCK = 'pc.ram';
const page = (fill: number): Uint8Array => build.join(build.u64(0x28), build.fill(4096, fill));
const ramRecords = fc
  .array(fc.oneof(fc.constant(build.join(build.u64(0x22), 0)), fc.nat(255).map(page)), { maxLength: 3 })
  .map((records) => build.join(build.u64(0x1002), build.str8(BLOCK), 0, ...records, build.RAM_EOS));

/** A whole migration stream: RAM, bitmaps, commands, devices; with and without footers, configuration and vmdesc. */
export const captureBytes: fc.Arbitrary<Uint8Array> = fc
  .record({
    footers: fc.boolean(),
    machine: fc.option(fc.constantFrom('none', 'pc-i440fx-7.2'), { nil: undefined }),
    startBody: bodyBytes,
    parts: fc.array(
      fc.oneof(
        bodyBytes.map((body) => ({ id: 3, body })),
        ramRecords.map((body) => ({ id: 2, body })),
        // A command: known, not known, or of the wrong length; some payloads are longer than what is shown of them.
        fc.record({ command: fc.nat(14), payload: fc.nat(90) }),
      ),
      { maxLength: 5 },
    ),
    endBody: bodyBytes,
    devices: fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 3 }),
    described: fc.boolean(),
    postcopy: fc.boolean(),
  })
  .map(({ footers, machine, startBody, parts, endBody, devices, described, postcopy }) => {
    const form = { footer: footers };
    const list = [build.u64(0x4000_0004), build.str8(BLOCK), build.u64(0x4000_0000), build.RAM_EOS];
    const fulls = devices.map((body, at) => build.full(10 + at, `dev${at}`, body, form));
    const after = postcopy
      ? [build.packaged(build.command(4), fulls, build.command(5)), build.end(2, build.RAM_EOS, form)]
      : [];
    return build.qevm(
      machine === undefined ? [] : build.configuration(machine),
      build.command(3),
      build.start(2, 'ram', list, form),
      build.start(3, 'dirty-bitmap', startBody, form),
      parts.map((item) =>
        'id' in item
          ? build.part(item.id, item.body, form)
          : build.command(item.command, build.fill(item.payload, 0x21)),
      ),
      build.end(2, build.RAM_EOS, form),
      after,
      build.end(3, endBody, form),
      postcopy ? [] : fulls,
      build.EOF,
      described && !postcopy
        ? build.vmdesc({ page_size: 4096, devices: devices.map((body, at) => build.device(`dev${at}`, body.length)) })
        : [],
    );
  });

/** Where to cut a run of bytes: some positions, which may be beyond its end. */
export const cuts: fc.Arbitrary<number[]> = fc.array(fc.nat(600), { maxLength: 8 });
