import kaitai from 'kaitai-struct';

/**
 * What kaitai-struct-compiler 0.11 makes of the grammar below, written by hand as classes of ECMAScript: one constructor
 * and one `_read` for each type, as it does, so that V8 compiles each by itself. The flags are one byte, as in every
 * stream of a QEMU, which spares this peer a test. The compiler itself is not needed here.
 *
 * ```yaml
 * meta: { id: dirty_bitmap, endian: be }
 * seq: [{ id: sections, type: section, repeat: eos }]
 * types:
 *   section:
 *     seq: [{ id: chunks, type: chunk, repeat: until, repeat-until: (_.flags & 1) != 0 }]
 *   chunk:
 *     seq:
 *       - { id: flags, type: u1 }
 *       - { id: node, type: name, if: (flags & 8) != 0 }
 *       - { id: bitmap, type: name, if: (flags & 4) != 0 }
 *       - { id: body, type: { switch-on: flags & 0x72, cases: { 0x10: start, 0x40: bits, 0x42: zeroes } } }
 *   name:
 *     seq: [{ id: len, type: u1 }, { id: text, size: len }]
 *   start:
 *     seq: [{ id: granularity, type: u4 }, { id: start_flags, type: u1 }]
 *   zeroes:
 *     seq: [{ id: first_sector, type: u8 }, { id: sector_count, type: u4 }]
 *   bits:
 *     seq:
 *       - { id: first_sector, type: u8 }
 *       - { id: sector_count, type: u4 }
 *       - { id: size, type: u8 }
 *       - { id: data, size: size }
 * ```
 */

// Its types say that it is the default export of a module, and it is the module itself.
const KaitaiStream = kaitai.KaitaiStream as unknown as (typeof kaitai.KaitaiStream)['default'];
type Io = InstanceType<typeof KaitaiStream>;

class DirtyBitmap {
  readonly _io: Io;
  readonly _parent: undefined;
  readonly _root: DirtyBitmap;
  declare sections: Section[];

  constructor(io: Io, parent: undefined, root: DirtyBitmap | undefined) {
    this._io = io;
    this._parent = parent;
    this._root = root ?? this;
    this._read();
  }

  _read(): void {
    this.sections = [];
    while (!this._io.isEof()) this.sections.push(new Section(this._io, this, this._root));
  }
}

class Section {
  readonly _io: Io;
  readonly _parent: DirtyBitmap;
  readonly _root: DirtyBitmap;
  declare chunks: Chunk[];

  constructor(io: Io, parent: DirtyBitmap, root: DirtyBitmap) {
    this._io = io;
    this._parent = parent;
    this._root = root;
    this._read();
  }

  _read(): void {
    this.chunks = [];
    let chunk: Chunk;
    do {
      chunk = new Chunk(this._io, this, this._root);
      this.chunks.push(chunk);
    } while (!((chunk.flags & 1) !== 0));
  }
}

class Chunk {
  readonly _io: Io;
  readonly _parent: Section;
  readonly _root: DirtyBitmap;
  declare flags: number;
  declare node: Name | undefined;
  declare bitmap: Name | undefined;
  declare body: Start | Bits | Zeroes | undefined;

  constructor(io: Io, parent: Section, root: DirtyBitmap) {
    this._io = io;
    this._parent = parent;
    this._root = root;
    this._read();
  }

  _read(): void {
    this.flags = this._io.readU1();
    if ((this.flags & 8) !== 0) this.node = new Name(this._io, this, this._root);
    if ((this.flags & 4) !== 0) this.bitmap = new Name(this._io, this, this._root);
    switch (this.flags & 0x72) {
      case 0x10:
        this.body = new Start(this._io, this, this._root);
        break;
      case 0x40:
        this.body = new Bits(this._io, this, this._root);
        break;
      case 0x42:
        this.body = new Zeroes(this._io, this, this._root);
        break;
    }
  }
}

class Name {
  readonly _io: Io;
  readonly _parent: Chunk;
  readonly _root: DirtyBitmap;
  declare len: number;
  declare text: Uint8Array;

  constructor(io: Io, parent: Chunk, root: DirtyBitmap) {
    this._io = io;
    this._parent = parent;
    this._root = root;
    this._read();
  }

  _read(): void {
    this.len = this._io.readU1();
    this.text = this._io.readBytes(this.len);
  }
}

class Start {
  readonly _io: Io;
  readonly _parent: Chunk;
  readonly _root: DirtyBitmap;
  declare granularity: number;
  declare startFlags: number;

  constructor(io: Io, parent: Chunk, root: DirtyBitmap) {
    this._io = io;
    this._parent = parent;
    this._root = root;
    this._read();
  }

  _read(): void {
    this.granularity = this._io.readU4be();
    this.startFlags = this._io.readU1();
  }
}

class Zeroes {
  readonly _io: Io;
  readonly _parent: Chunk;
  readonly _root: DirtyBitmap;
  declare firstSector: number;
  declare sectorCount: number;

  constructor(io: Io, parent: Chunk, root: DirtyBitmap) {
    this._io = io;
    this._parent = parent;
    this._root = root;
    this._read();
  }

  _read(): void {
    this.firstSector = this._io.readU8be();
    this.sectorCount = this._io.readU4be();
  }
}

class Bits {
  readonly _io: Io;
  readonly _parent: Chunk;
  readonly _root: DirtyBitmap;
  declare firstSector: number;
  declare sectorCount: number;
  declare size: number;
  declare data: Uint8Array;

  constructor(io: Io, parent: Chunk, root: DirtyBitmap) {
    this._io = io;
    this._parent = parent;
    this._root = root;
    this._read();
  }

  _read(): void {
    this.firstSector = this._io.readU8be();
    this.sectorCount = this._io.readU4be();
    this.size = this._io.readU8be();
    this.data = this._io.readBytes(this.size);
  }
}

/** All chunks of the bodies of sections, one behind the other. The stream must be the whole of its buffer. */
export function parseByKaitai(stream: Uint8Array<ArrayBuffer>): DirtyBitmap {
  return new DirtyBitmap(new KaitaiStream(stream.buffer), undefined, undefined);
}

/** The ranges that were found. */
export function* kaitaiRanges(parsed: DirtyBitmap): Generator<Bits | Zeroes> {
  for (const { chunks } of parsed.sections) {
    for (const { body } of chunks) if (body instanceof Bits || body instanceof Zeroes) yield body;
  }
}
