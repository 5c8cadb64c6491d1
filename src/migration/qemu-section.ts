import { isGranularity, MAX_QEMU_GRANULES } from '../bitmap/granularity.js';
import type { ChunkCursor } from '../chunk/chunk-cursor.js';
import type { ChunkHandler } from '../chunk/chunk-parser.js';
import { FLAG } from '../chunk/flags.js';
import type { Target } from '../chunk/name-memory.js';
import type { HostBitmap, HostNode } from './qemu-host.js';
import type { QemuIncoming } from './qemu-incoming.js';
import type { MappedNode } from './qemu-mapping.js';
import { keyOfText, type QemuName, qemuName } from './qemu-name.js';
import { judgeRange, type QemuRange } from './qemu-range.js';

/** Bytes of bits that QEMU reads in one chunk at most (5.1 and later). */
const MAX_DATA = 10_240;
/** Bits of START's byte. */
const ENABLED = 0x01;
const PERSISTENT = 0x02;
const RESERVED = 0xf8;

/**
 * Does with the chunks of a stream what a QEMU does, faults included. It has a memory for names of its own, because
 * QEMU's goes other ways than the format where a stream is odd.
 * Source: dirty-bitmap-states.md sections 3 and 7, versions.md; measured on the streams of inject/.
 */
export class QemuSection implements ChunkHandler {
  readonly #incoming: QemuIncoming;
  /** What the next chunk without names means. */
  #node: HostNode | undefined;
  #mapped: MappedNode | undefined;
  #alias = '';
  #bitmapAlias = '';
  #bitmap: HostBitmap | undefined;
  #name: QemuName = { key: '', text: '' };
  /** Persistence that the mapping gives to the bitmap of that name. */
  #persistent: boolean | undefined;

  /** The BITS chunk whose data are coming. */
  #range: QemuRange | undefined;
  #size = 0;
  #offset = 0;
  #buffer: Uint8Array | undefined;

  constructor(incoming: QemuIncoming) {
    this.#incoming = incoming;
  }

  chunk(cursor: ChunkCursor, _target: Target | undefined, offset: number): void {
    const incoming = this.#incoming;
    this.#range = undefined;
    if (incoming.over || !this.#namesReadable(cursor, offset)) return;
    if (!incoming.cancelled) this.#resolve(cursor, offset);
    if (cursor.size > MAX_DATA) incoming.fail('bits-too-large', offset);
    if (incoming.over || incoming.cancelled) return;
    if (cursor.kind === 'start') this.#start(cursor, offset);
    else if (cursor.kind === 'complete') this.#complete(offset);
    else if (cursor.kind !== 'bare') this.#bits(cursor, offset);
  }

  data(bytes: Uint8Array, start: number, end: number, at: number): void {
    if (this.#range === undefined || this.#incoming.over) return;
    const length = end - start;
    if (length === this.#size) {
      this.#store(this.#range, bytes, start);
      return;
    }
    // QEMU looks at the bits when it has them all.
    this.#buffer ??= new Uint8Array(MAX_DATA);
    this.#buffer.set(bytes.subarray(start, end), at);
    if (at + length === this.#size) this.#store(this.#range, this.#buffer, 0);
  }

  /** A name of no bytes cannot be told from a read error; that is so also while bitmaps are dropped. */
  #namesReadable(cursor: ChunkCursor, offset: number): boolean {
    const node = cursor.nodeStart >= 0 && cursor.nodeStart === cursor.nodeEnd;
    const bitmap = cursor.bitmapStart >= 0 && cursor.bitmapStart === cursor.bitmapEnd;
    if (!node && !bitmap) return true;
    this.#incoming.fail('name-empty', offset, { found: node ? 'node' : 'bitmap' });
    return false;
  }

  /** Which node and bitmap the chunk means. A name without the other one leaves the other as it was. */
  #resolve(cursor: ChunkCursor, offset: number): void {
    const incoming = this.#incoming;
    // QEMU keeps eight bits of the flags. EOS alone, or nothing at all, needs no bitmap.
    const idle = (cursor.flags & 0xff & ~FLAG.EOS) === 0;
    if (cursor.nodeStart >= 0) this.#resolveNode(cursor, offset);
    else if (this.#node === undefined && !idle) incoming.cancel('node-missing', offset, {});
    if (incoming.over || incoming.cancelled) return;
    if (cursor.bitmapStart >= 0) this.#resolveBitmap(cursor, offset);
    else if (this.#bitmap === undefined && !idle) incoming.cancel('bitmap-missing', offset, {});
  }

  #resolveNode(cursor: ChunkCursor, offset: number): void {
    const incoming = this.#incoming;
    const { host, aliases, traits } = incoming;
    const alias = qemuName(cursor.bytes, cursor.nodeStart, cursor.nodeEnd);
    let name = alias;
    this.#mapped = aliases?.get(alias.key);
    if (aliases !== undefined) {
      if (this.#mapped === undefined) {
        incoming.cancel('node-alias-unknown', offset, { node: alias.text });
        return;
      }
      name = { key: keyOfText(this.#mapped.node), text: this.#mapped.node };
    }
    if (host.started && traits.abortsOnNodeAfterRun) {
      incoming.abort('node-after-run', offset, { node: alias.text });
      return;
    }
    const node = host.find(name, aliases !== undefined);
    if (node === undefined) {
      incoming.cancel('node-unknown', offset, { node: name.text });
      return;
    }
    this.#node = node;
    this.#alias = alias.text;
  }

  #resolveBitmap(cursor: ChunkCursor, offset: number): void {
    const incoming = this.#incoming;
    const node = this.#node as HostNode;
    const alias = qemuName(cursor.bytes, cursor.bitmapStart, cursor.bitmapEnd);
    this.#name = alias;
    this.#persistent = undefined;
    this.#bitmapAlias = alias.text;
    if (incoming.aliases !== undefined) {
      const mapped = this.#mapped?.bitmaps.get(alias.key);
      if (mapped === undefined) {
        const details = { node: this.#alias, bitmap: alias.text, found: node.name.text };
        incoming.cancel('bitmap-alias-unknown', offset, details);
        return;
      }
      this.#name = { key: keyOfText(mapped.name), text: mapped.name };
      this.#persistent = mapped.persistent;
    }
    const found = node.bitmaps.get(this.#name.key);
    if (cursor.kind === 'start') {
      this.#bitmap = found;
      return;
    }
    this.#bitmap = found?.arrived || incoming.traits.reachesOldBitmaps ? found : undefined;
    if (this.#bitmap !== undefined) return;
    const none = !incoming.traits.reachesOldBitmaps && ![...node.bitmaps.values()].some((bitmap) => bitmap.arrived);
    const details = { node: this.#alias, bitmap: this.#bitmapAlias };
    incoming.cancel(none ? 'bitmap-not-migrated' : 'bitmap-unknown', offset, details);
  }

  #start(cursor: ChunkCursor, offset: number): void {
    const incoming = this.#incoming;
    const { host, traits } = incoming;
    const node = this.#node as HostNode;
    const bitmap = this.#name.text;
    if (this.#bitmap !== undefined) {
      incoming.fail('bitmap-exists', offset, { node: node.name.text, bitmap: this.#bitmap.name.text });
      return;
    }
    if (host.started && traits.crashesOnStartAfterRun) {
      incoming.abort('start-after-run', offset, { bitmap });
      return;
    }
    if (host.started && incoming.destination.version === '5.2') {
      incoming.assume('QEMU 5.2 takes a START after the switch-over as 7.2 does (not measured).');
    }
    const flags = cursor.startFlags;
    const reserved = (flags & RESERVED) !== 0;
    if (reserved && traits.flagsBeforeGranularity) {
      incoming.fail('start-flags', offset, { bitmap, found: flags.toString(16) });
      return;
    }
    if (!isGranularity(cursor.granularity)) {
      incoming.abort('granularity', offset, { bitmap, found: cursor.granularity });
      return;
    }
    if (node.knownBytes / cursor.granularity > MAX_QEMU_GRANULES) {
      incoming.abort('disk-too-large', offset, { bitmap, found: Math.ceil(node.knownBytes / cursor.granularity) });
      return;
    }
    if (reserved) {
      incoming.fail('start-flags', offset, { bitmap, found: flags.toString(16) });
      return;
    }
    const persistent = this.#persistent ?? (flags & PERSISTENT) !== 0;
    if (persistent && node.readOnly && traits.refusesReadOnly) {
      incoming.fail('persistent-read-only', offset, { bitmap, node: node.name.text });
      return;
    }
    const created = host.create(node, this.#name, cursor.granularity, offset);
    created.recordingWanted = (flags & ENABLED) !== 0;
    created.persistent = persistent;
    this.#bitmap = created;
  }

  #complete(offset: number): void {
    const bitmap = this.#bitmap as HostBitmap;
    if (bitmap.node.size === 0) {
      this.#incoming.abort('disk-empty', offset, { bitmap: bitmap.name.text });
      return;
    }
    this.#incoming.host.complete(bitmap, offset);
  }

  #bits(cursor: ChunkCursor, offset: number): void {
    const range = judgeRange(this.#bitmap as HostBitmap, cursor, offset);
    this.#range = range;
    this.#size = cursor.size;
    this.#offset = offset;
    if (cursor.size === 0) this.#store(range, undefined, 0);
  }

  /** A range with its bits, or undefined where they are all clear. */
  #store(range: QemuRange, bits: Uint8Array | undefined, start: number): void {
    this.#range = undefined;
    const incoming = this.#incoming;
    const bitmap = this.#bitmap as HostBitmap;
    if (range.problem !== undefined) {
      const { code, details } = range.problem;
      if (range.problem.effect === 'abort') incoming.abort(code, this.#offset, details);
      else incoming.cancel(code, this.#offset, details);
      return;
    }
    if (range.bytes === 0) return;
    if (!bitmap.arrived) this.#overwritten(bitmap);
    if (bits === undefined) bitmap.bits.zeroBytes(range.at, range.bytes);
    else bitmap.bits.writeBytes(range.at, bits, start, start + range.bytes);
  }

  #overwritten(bitmap: HostBitmap): void {
    if (bitmap.overwritten) return;
    bitmap.overwritten = true;
    this.#incoming.note('overwritten', this.#offset, { bitmap: bitmap.name.text });
  }
}
