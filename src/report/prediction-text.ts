import { printable, quoted } from '../bytes/text.js';
import type { QemuBitmap, QemuPrediction, QemuVerdict } from '../migration/qemu-prediction.js';
import type { Paint } from './info-text.js';
import { formatBytesExact } from './text.js';

/** What each verdict means, for people. */
const MEANING: Readonly<Record<QemuVerdict, string>> = {
  load: 'loads it',
  cancel: 'loses bitmaps silently: the migration completes, and only stderr says so',
  fail: 'fails the migration',
  abort: 'dies (assertion or crash)',
  'setup-refused': 'cannot be set up like that',
};

/** What a prediction says, line by line. */
export function predictionText(
  prediction: Omit<QemuPrediction, 'bitmaps'> & { readonly bitmaps: readonly Omit<QemuBitmap, 'bits' | 'wordBits'>[] },
  paint: Paint,
): string[] {
  const { version, verdict, reasons, bitmaps, assumptions } = prediction;
  const lines = [`QEMU ${version} ${paint(MEANING[verdict], verdict === 'load' ? 'good' : 'error')}`];
  for (const reason of reasons) {
    const place = reason.offset === undefined ? '' : ` at ${reason.offset} (0x${reason.offset.toString(16)})`;
    lines.push(`  ${reason.effect} ${reason.code}${place}: ${printable(reason.message)}`);
    if (reason.says !== undefined) lines.push(`    its stderr: ${printable(reason.says)}`);
  }
  for (const bitmap of bitmaps) {
    const flags = [
      bitmap.recording ? 'recording' : 'not recording',
      ...(bitmap.persistent ? ['persistent'] : []),
      ...(bitmap.busy ? ['busy'] : []),
    ];
    const label = quoted(`${bitmap.node}/${bitmap.name}`, 96);
    lines.push(`  leaves ${label}: ${flags.join(', ')}, count ${formatBytesExact(bitmap.count)}`);
  }
  for (const assumption of assumptions) lines.push(`  assumed: ${printable(assumption)}`);
  return lines;
}
