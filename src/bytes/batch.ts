/**
 * The events of one piece, then the error that ended them, if any: whoever iterates gets every event that came before
 * the fault, and then the fault.
 */
export function batch<E>(events: readonly E[], error: unknown): Iterable<E> {
  if (error === undefined) return events;
  return {
    *[Symbol.iterator]() {
      yield* events;
      throw error;
    },
  };
}
