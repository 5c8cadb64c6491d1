import { decodeMulti, encode } from '@msgpack/msgpack';
import type { TraceItem } from '../capture/trace.js';
import { checkTraceItem } from '../capture/trace-json.js';
import { DirtyBitmapError } from '../errors.js';

/** More than any item has: checked by the decoder before it allocates. */
const LIMITS = { maxMapLength: 32, maxArrayLength: 64, maxStrLength: 65_536, maxBinLength: 1_048_576, maxExtLength: 0 };

/** An item of a trace as MessagePack: a map; names and data are binary. A trace is such maps, one behind the other. */
export function encodeTraceMsgpack(item: TraceItem): Uint8Array {
  return encode(item, { ignoreUndefined: true });
}

/**
 * The items of a whole trace in MessagePack.
 * @throws DirtyBitmapError `set-invalid` where it is not that, or cut.
 */
export function* decodeTraceMsgpack(bytes: Uint8Array): Generator<TraceItem, void, void> {
  const values = decodeMulti(bytes, LIMITS);
  for (;;) {
    let next: IteratorResult<unknown, void>;
    try {
      next = values.next();
    } catch (cause) {
      throw new DirtyBitmapError('set-invalid', 'trace: not MessagePack, or cut; give what `trace --msgpack` wrote', {
        cause,
      });
    }
    if (next.done === true) return;
    yield checkTraceItem(next.value);
  }
}
