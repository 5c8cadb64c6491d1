import { printable } from '../../bytes/text.js';
import type { Format } from '../../report/input-report.js';
import { plural } from '../../report/text.js';
import type { Answer, InputSource, Opened } from '../messages.js';
import { BytesView } from './bytes-view.js';
import { ChunksView } from './chunks-view.js';
import { acceptDrops } from './drop.js';
import { element } from './elements.js';
import { ExportView } from './export-view.js';
import { Link } from './link.js';
import { countsText, ReadingView } from './reading-view.js';

/**
 * Starts the inspector's page.
 * @param script the page's own, which its worker runs as well.
 */
export function startPage(script: string): void {
  new Page(script).start();
}

class Page {
  readonly #file = element('file', HTMLInputElement);
  readonly #format = element('format', HTMLSelectElement);
  readonly #status = element('status', HTMLElement);
  readonly #error = element('error', HTMLElement);
  readonly #contents = element('contents', HTMLElement);
  readonly #result = element('result', HTMLElement);
  readonly #link: Link;
  readonly #reading: ReadingView;
  readonly #chunks: ChunksView;
  readonly #bytes: BytesView;
  readonly #export: ExportView;
  #source: InputSource | undefined;
  /** What is to be said besides of what was dropped. */
  #note = '';

  constructor(script: string) {
    this.#link = new Link(script, (answer) => this.#take(answer));
    this.#reading = new ReadingView(
      (text) => this.#say(text),
      () => this.#cancel(),
    );
    const ask: Link['ask'] = (request) => this.#link.ask(request);
    this.#chunks = new ChunksView(ask);
    this.#bytes = new BytesView(ask);
    this.#export = new ExportView(ask);
  }

  start(): void {
    this.#file.addEventListener('change', () => {
      const file = this.#file.files?.[0];
      if (file !== undefined) this.#open({ name: printable(file.name), blob: file });
      // The same file, chosen once more, is a change, too.
      this.#file.value = '';
    });
    this.#format.addEventListener('change', () => {
      if (this.#source !== undefined) this.#open(this.#source);
    });
    acceptDrops((file, count) => {
      const note = count > 1 ? `; ${plural(count - 1, 'other file')} left out: one is read at a time` : '';
      this.#open({ name: printable(file.name), blob: file }, note);
    });
    const served = document.querySelector<HTMLMetaElement>('meta[name=dirtybitmap-input]')?.content ?? '';
    if (served !== '') this.#open({ name: served, url: new URL('file', document.baseURI).href });
  }

  #open(source: InputSource, note = ''): void {
    this.#close();
    this.#source = source;
    this.#note = note;
    this.#reading.begin(source.name);
    const format = this.#format.value === 'auto' ? undefined : (this.#format.value as Format);
    this.#link.open({ type: 'open', source, format });
  }

  #close(): void {
    this.#error.textContent = '';
    this.#status.textContent = '';
    this.#contents.hidden = true;
    document.body.classList.remove('loaded');
    this.#result.replaceChildren();
    this.#reading.end();
    for (const view of [this.#chunks, this.#bytes, this.#export]) view.close();
    document.title = 'dirtybitmap inspector';
  }

  #cancel(): void {
    this.#link.stop();
    this.#close();
    this.#say(`${this.#source?.name ?? 'The file'} was not read to its end`);
    this.#file.focus();
  }

  #take(answer: Answer): void {
    switch (answer.type) {
      case 'progress':
        this.#reading.update(answer);
        break;
      case 'opened':
        this.#opened(answer.opened);
        break;
      case 'chunks':
        this.#chunks.show(answer.page);
        break;
      case 'bytes':
        this.#bytes.show(answer.view);
        break;
      case 'exported':
        this.#export.save(answer.name, answer.blob, answer.notes);
        break;
      case 'refused':
        this.#refused(answer);
        break;
    }
  }

  #opened(opened: Opened): void {
    this.#reading.end();
    // Of the templates that escape: see Opened.
    this.#result.innerHTML = opened.html;
    if (opened.binary) linkPlaces(this.#result);
    this.#contents.hidden = false;
    document.body.classList.add('loaded');
    for (const view of [this.#chunks, this.#bytes, this.#export]) view.open(opened);
    for (const link of this.#contents.querySelectorAll('a'))
      link.hidden = document.querySelector<HTMLElement>(link.hash)?.hidden !== false;
    document.title = `dirty bitmaps: ${opened.name}`;
    this.#say(
      `${opened.name} was read: ${plural(opened.bitmaps, 'bitmap')}, ${countsText(opened.counts)}${this.#note}`,
    );
    this.#result.focus({ preventScroll: true });
  }

  /** An error is told where the user is. */
  #refused({ what, text }: Answer & { readonly type: 'refused' }): void {
    const view = { chunks: this.#chunks, bytes: this.#bytes, export: this.#export, open: undefined }[what];
    if (view === undefined) {
      this.#close();
      this.#error.textContent = `${text}${this.#note}`;
    } else view.refuse(text);
  }

  #say(text: string): void {
    this.#status.textContent = text;
  }
}

/** Places of findings become buttons that show their bytes. */
function linkPlaces(within: HTMLElement): void {
  for (const place of within.querySelectorAll<HTMLElement>('span[data-offset]')) {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'link';
    button.dataset['offset'] = place.dataset['offset'];
    button.textContent = place.textContent;
    place.replaceWith(button);
  }
}
