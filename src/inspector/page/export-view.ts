import { formatBytes } from '../../report/text.js';
import type { Opened, Request } from '../messages.js';
import { element, fillSelect, onPress } from './elements.js';

/** Saves what was read in another form. */
export class ExportView {
  readonly #section = element('export', HTMLElement);
  readonly #bitmap = element('export-bitmap', HTMLSelectElement);
  readonly #maps = element('export-maps', HTMLElement);
  readonly #status = element('exported', HTMLElement);
  #url = '';

  constructor(ask: (request: Request) => void) {
    onPress('export-set', () => ask({ type: 'export', map: undefined }));
    onPress('export-map', () => ask({ type: 'export', map: Number(this.#bitmap.value) }));
  }

  /** An input was opened. */
  open({ maps }: Opened): void {
    this.#section.hidden = false;
    this.#maps.hidden = maps.listed.length === 0;
    fillSelect(this.#bitmap, maps);
  }

  close(): void {
    this.#section.hidden = true;
    this.#release();
  }

  /** What was asked for is not saved. */
  refuse(text: string): void {
    this.#release();
    this.#status.className = 'refused';
    this.#status.textContent = text;
  }

  /** Hands a document to the browser, which saves it or asks where to; the link stays for a second time. */
  save(name: string, blob: Blob, notes: readonly string[]): void {
    this.#release();
    this.#url = URL.createObjectURL(blob);
    const link = document.createElement('a');
    link.href = this.#url;
    link.download = name;
    link.textContent = name;
    this.#status.replaceChildren(link, `, ${formatBytes(blob.size)}${notes.map((note) => `; ${note}`).join('')}`);
    link.click();
  }

  #release(): void {
    if (this.#url !== '') URL.revokeObjectURL(this.#url);
    this.#url = '';
    this.#status.replaceChildren();
    this.#status.className = '';
  }
}
