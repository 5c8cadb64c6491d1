/**
 * The events of a push decoder, a batch for each piece, and its error, which stays: whoever iterates gets every event
 * that came before the fault, and then the fault.
 */
export class EventBatches<E> {
  #events: E[] = [];
  #error: unknown;

  /** Adds an event to the batch. */
  readonly emit = (event: E): void => {
    this.#events.push(event);
  };

  /**
   * Does a piece of work that emits events.
   * @returns the events; where the work threw, the iteration ends with its error.
   * @throws the error of an earlier call, and that of this one where there are no events.
   */
  during(work: () => void): Iterable<E> {
    if (this.#error !== undefined) throw this.#error;
    try {
      work();
    } catch (error) {
      this.#error = error;
    }
    const events = this.#events;
    this.#events = [];
    if (this.#error === undefined) return events;
    // With nothing to hand out first it is thrown at once, so that not even a caller who never iterates misses it.
    if (events.length === 0) throw this.#error;
    return thenThrow(events, this.#error);
  }
}

function* thenThrow<E>(events: readonly E[], error: unknown): Generator<E, void, void> {
  yield* events;
  throw error;
}
