import type { Opened, Request, BytesView as View } from '../messages.js';
import { element, onPress, typedNumber } from './elements.js';

/** The bytes of the input at an offset, explained where a chunk begins. */
export class BytesView {
  readonly #section = element('bytes', HTMLElement);
  readonly #offset = element('byte-offset', HTMLInputElement);
  readonly #view = element('byte-view', HTMLElement);
  readonly #previous: HTMLButtonElement;
  readonly #next: HTMLButtonElement;
  readonly #ask: (request: Request) => void;
  #shown: View | undefined;
  /** Whether the user went here from another part of the page: then the page goes along. */
  #go = false;

  constructor(ask: (request: Request) => void) {
    this.#ask = ask;
    this.#previous = onPress('byte-previous', () => this.#show(Math.max(0, (this.#shown?.offset ?? 0) - PAGE)));
    this.#next = onPress('byte-next', () => this.#show((this.#shown?.offset ?? 0) + (this.#shown?.length ?? 0)));
    element('byte-pages', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      const wanted = typedNumber(this.#offset.value);
      if (wanted === undefined) this.#view.textContent = 'An offset is a whole number: 4096, or 0x1000.';
      else this.#show(wanted);
    });
    // Chunks and findings are buttons with the offset of their bytes.
    document.addEventListener('click', ({ target }) => {
      const button = target instanceof Element ? target.closest('button[data-offset]') : null;
      if (!(button instanceof HTMLButtonElement)) return;
      this.#go = true;
      this.#show(Number(button.dataset['offset']), button.dataset['chunk'] !== undefined);
    });
  }

  /** An input was opened. */
  open({ binary }: Opened): void {
    this.#section.hidden = !binary;
    this.#go = false;
    if (binary) this.#show(0);
  }

  close(): void {
    this.#section.hidden = true;
    this.#view.replaceChildren();
  }

  show(view: View): void {
    this.#shown = view;
    const { html, offset, length, size } = view;
    // Of the templates that escape: see Opened.
    this.#view.innerHTML = html;
    this.#offset.value = String(offset);
    this.#previous.disabled = offset === 0;
    this.#next.disabled = offset + length >= size;
    this.#follow();
  }

  #follow(): void {
    if (!this.#go) return;
    this.#go = false;
    this.#section.scrollIntoView();
    this.#view.focus({ preventScroll: true });
  }

  /** What was asked for cannot be shown. */
  refuse(text: string): void {
    this.#view.textContent = text;
    this.#follow();
  }

  #show(offset: number, chunk = false): void {
    this.#ask({ type: 'bytes', offset, chunk });
  }
}

/** Bytes that Previous goes back. */
const PAGE = 512;
