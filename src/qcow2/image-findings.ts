import type { Findings } from '../findings.js';
import { bitmapPath, type DirectoryEntry } from './directory.js';
import { AUTOCLEAR, INCOMPATIBLE, type Qcow2Header } from './header.js';
import { type Trust, unsupportedReason } from './trust.js';

const INCOMPATIBLE_AT = 72;
const AUTOCLEAR_AT = 88;

/** Adds what an operator should know of the header. Source: spec/qcow2-bitmaps.md sections 2 and 6. */
export function addHeaderFindings(header: Qcow2Header, findings: Findings): void {
  if ((header.incompatible & INCOMPATIBLE.DIRTY) !== 0n) {
    const message =
      'the dirty bit is set: a writer ended without closing the image, and its refcounts cannot be trusted (they were ' +
      'not looked at); run qemu-img check -r all before anything writes to it';
    findings.add('qcow2-dirty', message, INCOMPATIBLE_AT);
  }
  if ((header.incompatible & INCOMPATIBLE.CORRUPT) !== 0n) {
    const message =
      'the corrupt bit is set: QEMU found damage, and opens the image read-only; run qemu-img check, and be wary of its bitmaps';
    findings.add('qcow2-corrupt', message, INCOMPATIBLE_AT);
  }
  const unknown = header.autoclear & ~(AUTOCLEAR.BITMAPS | AUTOCLEAR.RAW_DATA_FILE);
  if (unknown !== 0n) {
    const message = `expected autoclear bits 0 and 1 only, found 0x${unknown.toString(16)} besides; the next writer clears them`;
    findings.add('qcow2-autoclear-unknown', message, AUTOCLEAR_AT);
  }
}

/** Adds why the bits of a bitmap of that trust are not there, where it is not for a fault. Source: section 7. */
export function addTrustFinding(entry: DirectoryEntry, trust: Trust, findings: Findings): void {
  const add = (code: Parameters<Findings['add']>[0], text: string): void =>
    findings.add(code, `${bitmapPath(entry)} ${text}`, entry.offset);
  switch (trust) {
    case 'in-use-live':
      add(
        'qcow2-in-use-live',
        'is in use: its bits are in the memory of the program that has the image open; ask that',
      );
      break;
    case 'in-use-orphaned':
      add(
        'qcow2-in-use-orphaned',
        'is marked in use, and nobody has the image open: it was not saved (a crash, or a full disk), and its bits are ' +
          'lost; remove it and take a full backup, or make all of it dirty (`dirtybitmap bitmap reset`)',
      );
      break;
    case 'in-use-unknown':
      add(
        'qcow2-in-use',
        'is marked in use: either a program has the image open and the bits in its memory, or the bitmap was not saved ' +
          'and its bits are lost; see whether a program has the image open',
      );
      break;
    case 'unsupported':
      add(
        'qcow2-bitmap-unsupported',
        `is not read: ${unsupportedReason(entry)}; QEMU does not open such an image at all`,
      );
      break;
    default:
  }
}
