import { concat } from '../../src/bytes/concat.js';
import { toHex } from '../../src/bytes/text.js';
import { type CaptureHandler, CaptureParser } from '../../src/capture/capture-parser.js';
import { CaptureReader } from '../../src/capture/capture-reader.js';
import { DIRTY_BITMAP, type Section, type SectionType } from '../../src/capture/items.js';
import { DirtyBitmapError } from '../../src/errors.js';
import { BlockBitmapMapping, type MappedNode } from '../../src/migration/block-bitmap-mapping.js';
import type { Profile } from '../../src/migration/cutter.js';
import { MemoryGraph, type MemoryNode } from '../../src/migration/memory-graph.js';
import { Source } from '../../src/migration/source.js';
import type { TruthBitmap } from './truth.js';

/** The body of a dirty-bitmap section. */
interface SectionBody {
  readonly type: SectionType;
  readonly body: Uint8Array;
  /** False where the stream ends inside it. */
  readonly whole: boolean;
}

/** The bodies of the dirty-bitmap sections of a stream, as far as it can be followed. */
function dirtyBitmapBodies(stream: Uint8Array): SectionBody[] {
  const bodies: SectionBody[] = [];
  let open: { type: SectionType; from: number } | undefined;
  const none = (): void => {};
  const handler: CaptureHandler = {
    header: none,
    configuration: none,
    sectionBegin(section: Section, type: SectionType, _offset: number, from: number): void {
      if (section.name === DIRTY_BITMAP) open = { type, from };
    },
    sectionEnd(section: Section, type: SectionType, bodyEnd: number): void {
      if (section.name !== DIRTY_BITMAP || open === undefined) return;
      bodies.push({ type, body: stream.slice(open.from, bodyEnd), whole: true });
      open = undefined;
    },
    command: none,
    endOfStream: none,
    vmdesc: none,
    finding: none,
    chunk: none,
    data: none,
  };
  const parser = new CaptureParser(handler, { total: stream.length });
  try {
    parser.push(stream);
    parser.finish();
  } catch (error) {
    if (!(error instanceof DirtyBitmapError)) throw error;
  }
  // A section that was cut is compared up to its last whole chunk, which the parser has stepped over.
  if (open !== undefined) bodies.push({ type: open.type, body: stream.slice(open.from, parser.offset), whole: false });
  return bodies;
}

/** Bytes of the disks, by the node's name in hexadecimal; where it is not told, the stream's last range ends the disk. */
export type DiskSizes = ReadonlyMap<string, number>;

/** The sizes of the disks that a truth tells. */
export function sizesOf(bitmaps: readonly Pick<TruthBitmap, 'node_alias_hex' | 'size'>[]): DiskSizes {
  return new Map(bitmaps.map(({ node_alias_hex, size }) => [node_alias_hex, size]));
}

/** What a capture holds, as a block graph that would send it: under the names of the stream, in its order. */
function graphOfCapture(
  stream: Uint8Array,
  sizes: DiskSizes = new Map(),
): { graph: MemoryGraph; mapping: BlockBitmapMapping | undefined; loops: boolean } {
  const reader = new CaptureReader({ total: stream.length });
  reader.push(stream);
  reader.finish();
  const graph = new MemoryGraph();
  const nodes = new Map<string, MemoryNode>();
  const mapped = new Map<string, MappedNode & { bitmaps: { name: string; alias: string }[] }>();
  // The newest bitmap of a node is sent first, so the last one is made first.
  const bitmaps = [...reader.bitmaps];
  bitmaps.forEach((bitmap, at) => {
    const key = toHex(bitmap.node.bytes);
    if (nodes.has(key)) return;
    const node = graph.addNode({
      name: `#${at}`,
      device: bitmap.node.text,
      size: sizes.get(key) ?? bitmap.coveredBytes,
    });
    nodes.set(key, node);
    mapped.set(key, { 'node-name': node.name, alias: bitmap.node.text, bitmaps: [] });
  });
  for (const bitmap of bitmaps.reverse()) {
    const key = toHex(bitmap.node.bytes);
    const { granularity, recording, persistent, bits } = bitmap;
    const name = bitmap.name.bytes.length === 0 ? 'unnamed' : bitmap.name;
    nodes.get(key)?.create({ name, granularity, recording, persistent, bits });
    mapped.get(key)?.bitmaps.push({
      name: typeof name === 'string' ? name : name.text,
      alias: bitmap.name.text,
    });
  }
  // An alias of no bytes takes a mapping; all else goes without.
  const needsMapping = bitmaps.some((bitmap) => bitmap.name.bytes.length === 0);
  const loops = reader.findings.list.some((finding) => finding.code === 'source-loops');
  return { graph, mapping: needsMapping ? new BlockBitmapMapping([...mapped.values()]) : undefined, loops };
}

/** The rest of the section that a source was told to write, in one piece. */
export function sectionBytes(source: Source, window: Uint8Array = new Uint8Array(65_536)): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const part of source.section(window)) parts.push(part.slice());
  return concat(parts);
}

/** Our sections for a capture: one for each of its own, cut where QEMU's rate limit cut them. */
function reencode(
  stream: Uint8Array,
  profile: Profile = 'qemu',
  sizes?: DiskSizes,
): { ours: Uint8Array[]; theirs: SectionBody[]; loops: boolean } {
  const theirs = dirtyBitmapBodies(stream);
  const { graph, mapping, loops } = graphOfCapture(stream, sizes);
  const source = new Source(graph, { profile, mapping });
  const ours = theirs.map(({ type, body }) => {
    if (type === 'start') source.setup();
    else if (type === 'end') source.complete();
    else {
      if (body.length > 1 && source.state === 'precopy') source.switchover();
      source.iterate(body.length - 1);
    }
    return sectionBytes(source);
  });
  return { ours, theirs, loops };
}

/** What a re-encoded capture is compared with the original. */
export type Verdict =
  | 'identical'
  | 'identical as far as it goes'
  | 'differs'
  | 'no bitmaps'
  | 'QEMU refused'
  | 'QEMU loops';

/** Whether our sections for a capture are those that QEMU wrote. */
export function compareReencoded(stream: Uint8Array, sizes?: DiskSizes): Verdict {
  const { ours, theirs, loops } = reencode(stream, 'qemu', sizes);
  if (theirs.length === 0) return 'no bitmaps';
  // A source that refuses its bitmaps leaves a section without a single byte.
  if (theirs.some(({ body, whole }) => whole && body.length === 0)) return 'QEMU refused';
  if (loops) return 'QEMU loops';
  const same = theirs.every(
    ({ body, whole }, at) =>
      (!whole || ours[at]?.length === body.length) &&
      Buffer.compare((ours[at] ?? body).subarray(0, body.length), body) === 0,
  );
  if (!same) return 'differs';
  return theirs.every(({ whole }) => whole) ? 'identical' : 'identical as far as it goes';
}
