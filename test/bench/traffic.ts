import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** What work does to memory, as far as JavaScript lets one see it. No clock is involved. */
export interface Traffic {
  /** Bytes that typed arrays copied: set, slice, copyWithin, a constructor that is given values. */
  copied: number;
  /** Views that were made of buffers there are: by a constructor or by subarray. */
  views: number;
  /** Bytes of arrays that were made with a length, or as copies. */
  made: number;
}

/** Counts what `Uint8Array`s do while work is done; loops over single bytes are not seen. */
export function trafficOf(work: () => void): Traffic {
  const traffic: Traffic = { copied: 0, views: 0, made: 0 };
  const restore = [replaceConstructor(traffic), ...replaceMethods(traffic)];
  try {
    work();
  } finally {
    for (const undo of restore) undo();
  }
  return traffic;
}

function replaceConstructor(traffic: Traffic): () => void {
  const original = globalThis.Uint8Array;
  const counting = new Proxy(original, {
    construct(target, args: readonly unknown[], newTarget) {
      const made = Reflect.construct(target, args, newTarget) as Uint8Array;
      const [first] = args;
      if (first instanceof ArrayBuffer) {
        traffic.views++;
      } else {
        traffic.made += made.length;
        if (typeof first === 'object') traffic.copied += made.length;
      }
      return made;
    },
  });
  const put = (made: typeof Uint8Array): void => {
    globalThis.Uint8Array = made;
    // What asks an array for its constructor gets the one that is global; so subarray() is counted, too.
    original.prototype.constructor = made;
  };
  put(counting);
  return () => put(original);
}

/** The methods that copy; subarray() and slice() make their result by the constructor. */
function replaceMethods(traffic: Traffic): (() => void)[] {
  const shared = Object.getPrototypeOf(Uint8Array.prototype) as Uint8Array;
  const { set, copyWithin, slice } = shared;
  shared.set = function (this: Uint8Array, source, at) {
    traffic.copied += source.length;
    set.call(this, source, at);
  };
  shared.copyWithin = function (this: Uint8Array, target, start, end = this.length) {
    traffic.copied += Math.max(0, end - start);
    return copyWithin.call(this, target, start, end) as Uint8Array<ArrayBuffer>;
  } as typeof copyWithin;
  shared.slice = function (this: Uint8Array, start, end) {
    const copy = slice.call(this, start, end);
    traffic.copied += copy.length;
    return copy;
  } as typeof slice;
  return [
    () => {
      Object.assign(shared, { set, copyWithin, slice });
    },
  ];
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/**
 * Bytes of the heap that work takes, its garbage included: the least of several times, since compiled code and what the
 * engine learns are counted as well. The work must take less than a young generation has, or a collection hides some.
 */
export function heapTaken(work: () => void): number {
  for (let time = 0; time < 20; time++) work();
  let least = Number.POSITIVE_INFINITY;
  for (let time = 0; time < 10; time++) {
    collect();
    const before = process.memoryUsage().heapUsed;
    work();
    const taken = process.memoryUsage().heapUsed - before;
    if (taken >= 0) least = Math.min(least, taken);
  }
  return least;
}
