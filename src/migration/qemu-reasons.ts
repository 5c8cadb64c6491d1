import { BITMAP_REASONS } from './qemu-bitmap-reasons.js';
import type { QemuDetails, QemuEffect, ReasonText } from './qemu-reason-text.js';
import { STREAM_REASONS } from './qemu-stream-reasons.js';
import type { QemuVersion } from './qemu-version.js';

const REASONS = { ...BITMAP_REASONS, ...STREAM_REASONS };

/** Stable code of a reason. */
export type QemuReasonCode = keyof typeof REASONS;

/** Why a QEMU does not simply load a stream. */
export interface QemuReason {
  readonly code: QemuReasonCode;
  readonly effect: QemuEffect;
  /** Bytes from the start of the input, where the place is known. */
  readonly offset: number | undefined;
  /** What is so, what becomes of the migration and its bitmaps, what to do. */
  readonly message: string;
  /** What QEMU prints on stderr (or QMP answers), without what differs from build to build; undefined where not known. */
  readonly says: string | undefined;
}

/** What a code says is so, alone. */
export function whatIsSo(code: QemuReasonCode, details: QemuDetails): string {
  const { what }: ReasonText = REASONS[code];
  return what(details);
}

/** The reason of a code; `consequence` is what becomes of the migration. */
export function qemuReason(
  code: QemuReasonCode,
  version: QemuVersion,
  offset: number | undefined,
  details: QemuDetails,
  consequence: string,
): QemuReason {
  const { effect, what, says, advice }: ReasonText = REASONS[code];
  const message = [what(details), consequence, advice].filter((part) => part !== '').join('; ');
  return { code, effect, offset, message, says: says?.(details, version) };
}
