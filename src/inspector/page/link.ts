import type { Answer, Request } from '../messages.js';

/** The worker that has the input. A new one for each input: ending it is what ends all of its work. */
export class Link {
  readonly #url: string;
  readonly #onAnswer: (answer: Answer) => void;
  #worker: Worker | undefined;

  /** @param script what the worker runs. */
  constructor(script: string, onAnswer: (answer: Answer) => void) {
    this.#url = URL.createObjectURL(new Blob([script], { type: 'text/javascript' }));
    this.#onAnswer = onAnswer;
  }

  /** Forgets the input that is open, and opens another one. */
  open(request: Request & { readonly type: 'open' }): void {
    this.stop();
    const worker = new Worker(this.#url);
    this.#worker = worker;
    worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      // What was under way when it was ended.
      if (worker === this.#worker) this.#onAnswer(data);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      if (worker !== this.#worker) return;
      this.stop();
      this.#onAnswer({
        type: 'refused',
        what: 'open',
        text: `the reader came to its end: ${event.message || 'no reason is told'}`,
      });
    };
    worker.postMessage(request);
  }

  ask(request: Request): void {
    this.#worker?.postMessage(request);
  }

  stop(): void {
    this.#worker?.terminate();
    this.#worker = undefined;
  }
}
