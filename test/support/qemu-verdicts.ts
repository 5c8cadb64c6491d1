import { SectionParser } from '../../src/chunk/section-decoder.js';
import { resolveLimits } from '../../src/limits.js';
import type { QemuDestination, QemuNode } from '../../src/migration/qemu-destination.js';
import { QemuIncoming } from '../../src/migration/qemu-incoming.js';
import type { QemuPrediction } from '../../src/migration/qemu-prediction.js';
import { QemuSection } from '../../src/migration/qemu-section.js';
import { QEMU_VERSIONS, type QemuVersion } from '../../src/migration/qemu-version.js';
import { EOS, join, type Part } from './stream-builder.js';

/** What a QEMU makes of section bodies; the guest starts between `before` and `after`. */
export function loadChunks(destination: QemuDestination, before: Part, after: Part = []): QemuPrediction {
  const incoming = new QemuIncoming(destination, resolveLimits());
  // A limit above QEMU's own, so that its own is seen.
  const parser = new SectionParser(new QemuSection(incoming), { limits: { maxBitsBytes: 1024 * 1024 } });
  parser.push(join(before, EOS));
  incoming.start(parser.offset);
  parser.push(join(after, EOS));
  return incoming.finish();
}

/** The verdict and the codes of the reasons, in one line. */
export const inShort = ({ verdict, reasons }: QemuPrediction): string =>
  [verdict, ...reasons.map((reason) => reason.code)].join(' ');

/** What each version makes of section bodies. */
export function verdicts(
  nodes: readonly QemuNode[] | undefined,
  before: Part,
  after: Part = [],
): Record<string, string> {
  return eachVersion((version) => inShort(loadChunks({ version, nodes }, before, after)));
}

/** Something of each version. */
export function eachVersion(of: (version: QemuVersion) => string): Record<string, string> {
  return Object.fromEntries(QEMU_VERSIONS.map((version) => [version, of(version)]));
}

/** The same for all versions. */
export const all = (text: string): Record<string, string> => eachVersion(() => text);
