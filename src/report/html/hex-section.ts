import type { HexField, HexView } from '../hex-view.js';
import type { InputModel } from '../report-model.js';
import { plural } from '../text.js';
import { type Html, html } from './escape.js';
import { folded, table } from './tables.js';

const ROW = 16;
/** Classes that tell neighbouring fields apart. */
const TINTS = 6;

/** The bytes of an input that are worth a look, explained. */
export function hexSection({ hex: views, morePlaces }: Pick<InputModel, 'hex' | 'morePlaces'>): Html | false {
  if (views.length === 0) return false;
  const [findings, chunks] = [views.filter(({ mark }) => mark !== null), views.filter(({ mark }) => mark === null)];
  return html`<h4>Bytes</h4>${findings.length > 0 && folded(`Where the findings are (${plural(findings.length, 'place')})`, findings.map(hexView))}${morePlaces > 0 && html`<p class="muted">${plural(morePlaces, 'more place')} with findings, not shown.</p>`}
${chunks.length > 0 && folded(`The first chunks (${chunks.length})`, chunks.map(hexView))}`;
}

function hexView(view: HexView): Html {
  const { title, offset, mark, fields } = view;
  const place = mark ?? offset;
  const rows = fields.map(({ offset: at, length, name, value }, index) => [
    html`<span class="key f${index % TINTS}">${name}</span>`,
    at,
    length,
    value,
  ]);
  const columns = [
    { title: 'Field' },
    { title: 'Offset', number: true },
    { title: 'Bytes', number: true },
    { title: 'Value' },
  ];
  return html`<section class="hex"><h5>${title} at ${place} (0x${place.toString(16)})</h5>
<pre class="scroll" tabindex="0" role="group" aria-label="bytes at ${offset}">${hexRows(view)}</pre>
${rows.length > 0 && table(`Fields of the chunk at ${fields[0]?.offset ?? offset}`, columns, rows)}</section>`;
}

function hexRows({ offset, hex, mark, fields }: HexView): Html[] {
  const bytes = hex.match(/../g) ?? [];
  const lines: Html[] = [];
  for (let first = 0; first < bytes.length; first += ROW) {
    const row = bytes.slice(first, first + ROW);
    const at = offset + first;
    const text = row.map((byte) => ascii(Number.parseInt(byte, 16))).join('');
    const gap = ' '.repeat((ROW - row.length) * 3);
    lines.push(
      html`<span class="muted">${at.toString(16).padStart(8, '0')}</span>  ${cells(row, at, mark, fields)}${gap} <span class="muted">${text}</span>\n`,
    );
  }
  return lines;
}

/** The bytes of a row; those of one field stand together. */
function cells(row: readonly string[], at: number, mark: number | null, fields: readonly HexField[]): Html[] {
  const parts: Html[] = [];
  for (let index = 0; index < row.length; ) {
    const place = at + index;
    const number = fields.findIndex((field) => place >= field.offset && place < field.offset + field.length);
    const field = fields[number];
    let end = index + 1;
    while (end < row.length && field !== undefined && at + end < field.offset + field.length) end++;
    if (field === undefined) {
      parts.push(html`<span class="${place === mark ? 'mark' : 'byte'}">${row[index]}</span> `);
    } else {
      const text = row.slice(index, end).join(' ');
      const marked = mark !== null && mark >= place && mark < at + end;
      parts.push(
        html`<span class="f${number % TINTS}${marked && ' mark'}" title="${field.name}: ${field.value}">${text}</span> `,
      );
    }
    index = end;
  }
  return parts;
}

function ascii(byte: number): string {
  return byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.';
}
