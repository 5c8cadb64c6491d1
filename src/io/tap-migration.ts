import type { Writable } from 'node:stream';
import { type Connection, duplexOf } from './connection.js';
import { MainChannel, TapChannel } from './tap-channel.js';
import type { TapOptions, TappedMigration } from './tap-options.js';

/**
 * Passes a migration on between a source and a destination, and looks on: every byte goes on unchanged, in both
 * directions, before it is looked at, and whatever becomes of that. Ends of a direction, backpressure and breaks are passed
 * on. Memory is bounded by the limits, however long the stream is.
 * @returns when both connections are closed; what broke is in the result.
 * @throws DirtyBitmapError as `StreamEditor`, before a byte is read, for changes that cannot be made.
 * @example
 * const source = await listener.accept();
 * const destination = await connectTo(parseAddress('tcp:10.0.0.2:49152'), { allowHalfOpen: true });
 * const { reader, complete } = await tapMigration(source, destination);
 */
export async function tapMigration(
  source: Connection,
  destination: Connection,
  options: TapOptions = {},
): Promise<TappedMigration> {
  const main = new MainChannel(options);
  const channel = new TapChannel(duplexOf(source), duplexOf(destination), true, main, options);
  await channel.done;
  return await tapped(channel, 0, main, options);
}

/** What has passed through a main channel; one that cannot be seen is not recorded. */
export async function tapped(
  channel: TapChannel,
  otherChannels: number,
  main: MainChannel,
  options: TapOptions,
): Promise<TappedMigration> {
  const { kind, passing, forwardBytes, backBytes, record, meta, error } = channel;
  const { reader, phase } = passing.incoming;
  const { complete } = reader.summary;
  if (record === undefined) await ended(options.record);
  if (meta === undefined) await ended(options.recordMeta);
  return {
    ...{ channel: forwardBytes === 0 ? undefined : kind, reader, phase: complete ? 'complete' : phase, complete },
    ...{ forwardBytes, backBytes, otherChannels, answer: passing.answer, error },
    changes: main.editor?.done ?? [],
    recorded: options.record && record?.ok === true,
    metaRecorded: options.recordMeta && meta?.ok === true,
  };
}

/** Ends a stream that got nothing. */
async function ended(stream: Writable | undefined): Promise<void> {
  if (stream === undefined || stream.closed) return;
  await new Promise<void>((resolve) =>
    stream
      .on('error', () => {})
      .once('close', resolve)
      .end(),
  );
}
