import { type Html, type HtmlValue, html } from './escape.js';

/** A number in SVG: two digits behind the point are enough. */
export function short(value: number): number {
  return Math.round(value * 100) / 100;
}

/** Names and what they stand for; those without a value are left out. */
export function facts(rows: readonly (readonly [name: string, value: HtmlValue])[]): Html {
  const told = rows.filter(([, value]) => value !== undefined && value !== null && value !== false);
  return html`<dl class="facts">${told.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** A column of a table. */
export interface TableColumn {
  readonly title: string;
  /** Numbers stand to the right. */
  readonly number?: boolean;
}

/** A table that scrolls sideways where the page is narrow. The first cell of a row is its heading. */
export function table(caption: string, columns: readonly TableColumn[], rows: readonly (readonly HtmlValue[])[]): Html {
  const cell = (value: HtmlValue, at: number): Html => {
    const kind = columns[at]?.number === true ? 'n' : 't';
    return at === 0 ? html`<th scope="row" class="${kind}">${value}</th>` : html`<td class="${kind}">${value}</td>`;
  };
  return html`<div class="scroll" tabindex="0" role="group" aria-label="${caption}"><table><caption>${caption}</caption>
<thead><tr>${columns.map(heading)}</tr></thead>
<tbody>${rows.map((row) => html`<tr>${row.map(cell)}</tr>\n`)}</tbody></table></div>`;
}

/** A column of bars has no heading: the numbers beside them say what they show. */
function heading({ title, number }: TableColumn): Html {
  if (title === '') return html`<td></td>`;
  return html`<th scope="col" class="${number === true ? 'n' : 't'}">${title}</th>`;
}

/** A bar as long as `part` of `whole`. Beside the number that it shows, so nobody needs to see it. */
export function bar(part: number, whole: number, kind = 'd4'): Html {
  const width = whole > 0 ? short((100 * part) / whole) : 0;
  // What is there must be seen.
  const drawn = part > 0 ? Math.max(1, width) : 0;
  return html`<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect class="d0" width="100" height="8"/><rect class="${kind}" width="${drawn}" height="8"/></svg>`;
}

/** A part of the page that is closed until it is opened; printed open. */
export function folded(summary: HtmlValue, content: HtmlValue): Html {
  return html`<details><summary>${summary}</summary>${content}</details>`;
}

/** A small word with a frame. */
export function badge(text: string, kind = 'plain'): Html {
  return html`<span class="badge ${kind}">${text}</span>`;
}

const SIGNS = { error: '✖', warning: '▲', info: 'ℹ', good: '✔' } as const;

/** How bad something is: a sign and a word, in a colour besides. */
export function severityBadge(severity: keyof typeof SIGNS, text: string = severity): Html {
  return html`<span class="badge ${severity}"><span aria-hidden="true">${SIGNS[severity]}</span> ${text}</span>`;
}
