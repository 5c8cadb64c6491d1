import { printable } from '../../bytes/text.js';

/** What may stand in a {@link html} template: text, which is escaped, or HTML, which is not; nothing for what is absent. */
export type HtmlValue = string | number | Html | readonly HtmlValue[] | false | null | undefined;

/** HTML that may stand in a page as it is. Only {@link html} makes it. */
export class Html {
  readonly #text: string;

  private constructor(text: string) {
    this.#text = text;
  }

  /** For {@link html} alone. */
  static of(strings: readonly string[], values: readonly HtmlValue[]): Html {
    let text = strings[0] as string;
    for (const [at, value] of values.entries()) text += render(value) + (strings[at + 1] as string);
    return new Html(text);
  }

  toString(): string {
    return this.#text;
  }
}

/**
 * HTML of a template. Whatever is put into it is escaped, so that a name stays a name, within an element and within a
 * QUOTED attribute (templates quote all of theirs); control and bidirectional characters show as `\xNN`.
 */
export function html(strings: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return Html.of(strings, values);
}

function render(value: HtmlValue): string {
  if (value === undefined || value === null || value === false) return '';
  if (typeof value === 'string') return escapeHtml(value);
  if (typeof value === 'number' || value instanceof Html) return String(value);
  return value.map(render).join('');
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
  '`': '&#96;',
};

function escapeHtml(text: string): string {
  return printable(text).replace(/[&<>"'`]/g, (character) => ENTITIES[character] as string);
}
