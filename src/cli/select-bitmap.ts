import { quoted } from '../bytes/text.js';
import { DirtyBitmapError } from '../errors.js';
import type { InputReport, ReportBitmap } from '../report/input-report.js';

/**
 * The bitmap that `--bitmap` means. An exact match of the whole argument as a name wins; else it is split at the first
 * `/` into node and name; a bare name is taken where exactly one bitmap has it. Without an argument the only bitmap.
 * @throws DirtyBitmapError `bitmap-not-found`, with what there is to choose from.
 */
export function selectBitmap(report: InputReport, wanted: string | undefined): ReportBitmap {
  const { bitmaps } = report;
  if (wanted === undefined) {
    if (bitmaps.length === 1) return bitmaps[0] as ReportBitmap;
    throw notFound(
      bitmaps.length === 0 ? 'the input has no bitmap' : 'the input has several bitmaps: choose one with --bitmap',
      bitmaps,
    );
  }
  const slash = wanted.indexOf('/');
  const whole = bitmaps.filter((bitmap) => labelOf(bitmap) === wanted);
  if (whole.length === 1) return whole[0] as ReportBitmap;
  const named = bitmaps.filter((bitmap) => bitmap.name.text === wanted);
  if (named.length === 1) return named[0] as ReportBitmap;
  const split = bitmaps.filter(
    (bitmap) => bitmap.node?.text === wanted.slice(0, slash) && bitmap.name.text === wanted.slice(slash + 1),
  );
  if (slash >= 0 && split.length === 1) return split[0] as ReportBitmap;
  const several = named.length > 1 || split.length > 1;
  throw notFound(
    several ? `${quoted(wanted)} is the name of several bitmaps` : `there is no bitmap ${quoted(wanted)}`,
    bitmaps,
  );
}

function labelOf({ node, name }: ReportBitmap): string {
  return node ? `${node.text}/${name.text}` : name.text;
}

function notFound(what: string, bitmaps: readonly ReportBitmap[]): DirtyBitmapError {
  const names = bitmaps.slice(0, 20).map((bitmap) => quoted(labelOf(bitmap), 80));
  const more = bitmaps.length > 20 ? `, and ${bitmaps.length - 20} more` : '';
  const choice = names.length > 0 ? ` (there are ${names.join(', ')}${more})` : '';
  return new DirtyBitmapError('bitmap-not-found', `${what}${choice}`);
}
