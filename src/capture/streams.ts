import { CaptureDecoder, type CaptureEvent } from './capture-decoder.js';
import type { CaptureOptions } from './capture-parser.js';

/**
 * The events of a capture that comes in pieces: a Node stream, the body of a `fetch`, any async iterable. A batch for
 * each piece; the data of BITS chunks are views that are valid until the next batch is asked for.
 * @throws DirtyBitmapError as {@link CaptureDecoder}.
 * @example
 * for await (const events of decodeCapture(response.body)) {
 *   for (const event of events) if (event.type === 'chunk') console.log(event.chunk.kind);
 * }
 */
export async function* decodeCapture(
  pieces: AsyncIterable<Uint8Array>,
  options: CaptureOptions = {},
): AsyncGenerator<Iterable<CaptureEvent>, void, void> {
  const decoder = new CaptureDecoder(options);
  for await (const piece of pieces) yield decoder.push(piece);
  yield decoder.finish();
}

/**
 * {@link CaptureDecoder} as a WHATWG stream: pieces in, batches of events out (one array a piece, never one event).
 * @example
 * const events = response.body.pipeThrough(new CaptureDecoderStream());
 */
export class CaptureDecoderStream extends TransformStream<Uint8Array, CaptureEvent[]> {
  /** @throws DirtyBitmapError `argument` for a limit that is no whole number. */
  constructor(options: CaptureOptions = {}) {
    const decoder = new CaptureDecoder(options);
    const pass = (
      batch: Iterable<CaptureEvent>,
      controller: TransformStreamDefaultController<CaptureEvent[]>,
    ): void => {
      const events: CaptureEvent[] = [];
      try {
        for (const event of batch) events.push(event);
      } finally {
        if (events.length > 0) controller.enqueue(events);
      }
    };
    super({
      transform: (piece, controller) => pass(decoder.push(piece), controller),
      flush: (controller) => pass(decoder.finish(), controller),
    });
  }
}
