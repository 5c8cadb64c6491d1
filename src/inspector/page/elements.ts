import type { Names } from '../messages.js';

/**
 * The element of an id, which the page is known to have.
 * @throws Error where it has none of that kind.
 */
export function element<T extends HTMLElement>(id: string, kind: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${kind.name} #${id}`);
  return found;
}

/** Calls a function when a button is pressed. */
export function onPress(id: string, press: () => void): HTMLButtonElement {
  const button = element(id, HTMLButtonElement);
  button.addEventListener('click', press);
  return button;
}

/** Fills a list to choose from; the values are the numbers of the names. */
export function fillSelect(select: HTMLSelectElement, { listed, more }: Names): void {
  select.replaceChildren(...listed.map((text, at) => new Option(text, String(at))));
  if (more === 0) return;
  const rest = new Option(`and ${more} more, not listed`);
  rest.disabled = true;
  select.append(rest);
}

/** A number as people type it: decimal or 0x; undefined where it is none. */
export function typedNumber(text: string): number | undefined {
  const trimmed = text.trim();
  if (!/^(\d+|0x[0-9a-f]+)$/i.test(trimmed)) return undefined;
  const value = Number(trimmed);
  return Number.isSafeInteger(value) ? value : undefined;
}
