import type { ByteWriter } from '../bytes/byte-writer.js';
import { ITEM, MAGIC, type Section, type SectionType } from './items.js';

const ITEM_OF: Readonly<Record<SectionType, number>> = {
  start: ITEM.START,
  part: ITEM.PART,
  end: ITEM.END,
  full: ITEM.FULL,
};

/** Writes the magic and the version. */
export function writeHeader(out: ByteWriter, version: number): void {
  out.u32(MAGIC);
  out.u32(version);
}

/** Writes the header of a section: with its name for START and FULL, with its id alone for PART and END. */
export function writeSectionHeader(out: ByteWriter, type: SectionType, section: Section): void {
  out.u8(ITEM_OF[type]);
  out.u32(section.id);
  if (type === 'part' || type === 'end') return;
  // One character a byte, as it was read.
  out.str8(Uint8Array.from(section.name, (character) => character.charCodeAt(0)));
  out.u32(section.instance);
  out.u32(section.version);
}

/** Writes the footer of a section. */
export function writeFooter(out: ByteWriter, id: number): void {
  out.u8(ITEM.FOOTER);
  out.u32(id);
}

/** Writes a command with its whole payload. */
export function writeCommand(out: ByteWriter, id: number, payload: Uint8Array): void {
  out.u8(ITEM.COMMAND);
  out.u16(id);
  out.u16(payload.length);
  out.bytes(payload);
}
