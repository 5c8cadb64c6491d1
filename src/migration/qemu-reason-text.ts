import { printable, quoted } from '../bytes/text.js';
import type { QemuVersion } from './qemu-version.js';

/** What a reason does to the migration. `note`: it goes on, but somebody should know. */
export type QemuEffect = 'setup-refused' | 'fail' | 'abort' | 'cancel' | 'note';

/** What a reason is about: names as QEMU takes them, numbers as found. */
export interface QemuDetails {
  /** Node name, drive or alias, as in the stream. */
  readonly node?: string;
  /** Bitmap name or alias, as in the stream. */
  readonly bitmap?: string;
  readonly found?: string | number;
  readonly expected?: string | number;
}

/** The words for a reason. */
export interface ReasonText {
  readonly effect: QemuEffect;
  /** What is so. */
  readonly what: (d: QemuDetails) => string;
  /** What QEMU prints, as far as it is the same in every build; undefined where that is not known. */
  readonly says?: (d: QemuDetails, version: QemuVersion) => string | undefined;
  /** What to do. */
  readonly advice: string;
}

/** A detail as it is, fit for a terminal. */
export const raw = (text: string | number | undefined): string => printable(String(text ?? ''));

/** A detail in double quotes. */
export const quote = (text: string | number | undefined): string => quoted(String(text ?? ''));

/** What glibc prints, without file and line. */
export const assertion = (text: string) => (): string => `Assertion \`${text}' failed.`;

/** For what only a broken or a hostile sender does. */
export const DAMAGED = 'no QEMU sends this: the stream is damaged or was made by something else';
