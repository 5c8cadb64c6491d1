import type { ChunkPage, Opened, Request } from '../messages.js';
import { element, fillSelect, onPress, typedNumber } from './elements.js';

/** The chunks of a bitmap, a page at a time. */
export class ChunksView {
  readonly #section = element('chunks', HTMLElement);
  readonly #bitmap = element('chunk-bitmap', HTMLSelectElement);
  readonly #number = element('chunk-number', HTMLInputElement);
  readonly #range = element('chunk-range', HTMLElement);
  readonly #list = element('chunk-list', HTMLElement);
  readonly #back: readonly HTMLButtonElement[];
  readonly #on: readonly HTMLButtonElement[];
  readonly #ask: (request: Request) => void;
  #page: ChunkPage | undefined;

  constructor(ask: (request: Request) => void) {
    this.#ask = ask;
    this.#bitmap.addEventListener('change', () => this.#show(0));
    const first = (): number => this.#page?.first ?? 0;
    const count = (): number => this.#page?.count ?? 0;
    const listed = (): number => this.#page?.listed ?? 0;
    this.#back = [
      onPress('chunk-first', () => this.#show(0)),
      onPress('chunk-previous', () => this.#show(Math.max(0, first() - 1))),
    ];
    this.#on = [
      onPress('chunk-next', () => this.#show(first() + count())),
      onPress('chunk-last', () => this.#show(listed() - 1)),
    ];
    element('chunk-pages', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      const wanted = typedNumber(this.#number.value);
      if (wanted === undefined) this.#range.textContent = 'A chunk is a whole number, from 0.';
      else this.#show(wanted);
    });
  }

  /** An input was opened. */
  open({ chunked }: Opened): void {
    this.#section.hidden = chunked.listed.length === 0;
    fillSelect(this.#bitmap, chunked);
    this.#number.value = '';
    if (chunked.listed.length > 0) this.#show(0);
  }

  close(): void {
    this.#section.hidden = true;
    this.#list.replaceChildren();
  }

  show(page: ChunkPage): void {
    this.#page = page;
    const { first, count, listed, total } = page;
    // Of the templates that escape: see Opened.
    this.#list.innerHTML = page.html;
    this.#list.scrollTop = 0;
    const left = total > listed ? `; the last ${total - listed} are not listed, for there are too many` : '';
    this.#range.textContent = `${count > 0 ? `Chunks ${first} to ${first + count - 1}` : 'None'} of ${total}${left}`;
    for (const button of this.#back) button.disabled = first === 0;
    for (const button of this.#on) button.disabled = first + count >= listed;
  }

  /** What was asked for cannot be shown. */
  refuse(text: string): void {
    this.#range.textContent = text;
  }

  #show(number: number): void {
    this.#ask({ type: 'chunks', bitmap: Number(this.#bitmap.value), number });
  }
}
