import { printable } from '../bytes/text.js';
import type { ChannelKind } from '../capture/channel-kind.js';
import { changeText, type StreamChange } from '../capture/stream-editor.js';
import { infoText, type Paint } from './info-text.js';
import type { InfoDocument } from './input-report.js';
import { formatBytesExact, plural } from './text.js';

/** What `tap` tells at its end, beside what `info` tells of the stream. */
export interface TapDocument extends Omit<InfoDocument, 'bytes'> {
  /** Bytes of the main channel. */
  readonly bytes: number;
  readonly tap: {
    /** Where it went on to. */
    readonly to: string;
    readonly channel: ChannelKind | null;
    /** Bytes that went back to the source. */
    readonly backBytes: number;
    readonly otherChannels: number;
    /** What the destination said at its end: 0 where it has loaded the stream. */
    readonly answer: number | null;
    /** What was changed. */
    readonly changes: readonly StreamChange[];
    /** Files that are whole, and what there is of those that are not. */
    readonly recorded: readonly string[];
    readonly partial: readonly string[];
    /** What was told meanwhile. */
    readonly notices: readonly { readonly kind: string; readonly message: string }[];
  };
}

/** The lines that `tap` prints for a person. */
export function tapText(document: TapDocument, paint: Paint): string[] {
  const { tap, bytes } = document;
  const seen = tap.channel === 'tls' || tap.channel === null ? [] : infoText(document, paint);
  const others = tap.otherChannels > 0 ? `, beside ${plural(tap.otherChannels, 'further channel')}` : '';
  const passed = `passed: ${formatBytesExact(bytes)} to ${printable(tap.to)}, ${formatBytesExact(tap.backBytes)} back${others}`;
  const changed = tap.changes.map((change) => `changed: ${printable(changeText(change))}`);
  const recorded = tap.recorded.map((path) => `recorded: ${printable(path)}`);
  const gap = seen.length > 0 ? [''] : [];
  if (tap.answer === 0) recorded.push('the destination says that it has loaded the stream');
  else if (document.capture?.complete && !document.capture.commands.includes('OPEN_RETURN_PATH')) {
    recorded.push('without a return path the destination does not say whether it has loaded the stream');
  }
  return [...seen, ...gap, passed, ...changed, ...recorded];
}
