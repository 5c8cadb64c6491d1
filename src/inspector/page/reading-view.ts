import { formatBytes, plural } from '../../report/text.js';
import type { Answer, Counts } from '../messages.js';
import { element, onPress } from './elements.js';

/** Seconds after which a rate says something. */
const WARM = 0.5;

/** How far an input is read: a bar, bytes, rate and time left; the findings so far; a button that ends it. */
export class ReadingView {
  readonly #section = element('reading', HTMLElement);
  readonly #title = element('reading-title', HTMLElement);
  readonly #bar = element('bar', HTMLProgressElement);
  readonly #rate = element('rate', HTMLElement);
  readonly #live = element('live', HTMLElement);
  readonly #say: (text: string) => void;
  #begun = 0;
  /** Quarters that were said. */
  #quarters = 0;
  #found = 0;

  constructor(say: (text: string) => void, onCancel: () => void) {
    this.#say = say;
    onPress('cancel', onCancel);
  }

  begin(name: string): void {
    this.#begun = performance.now();
    this.#quarters = 0;
    this.#found = 0;
    this.#title.textContent = `Reading ${name}`;
    this.#bar.removeAttribute('value');
    this.#rate.textContent = '';
    this.#live.replaceChildren();
    this.#section.hidden = false;
    this.#say(`Reading ${name}`);
  }

  end(): void {
    this.#section.hidden = true;
  }

  update({ done, total, counts, html }: Answer & { readonly type: 'progress' }): void {
    const seconds = (performance.now() - this.#begun) / 1000;
    const rate = seconds > WARM ? done / seconds : 0;
    const parts = [total === undefined ? formatBytes(done) : `${formatBytes(done)} of ${formatBytes(total)}`];
    if (rate > 0) parts.push(`${formatBytes(Math.round(rate))}/s`);
    if (rate > 0 && total !== undefined) parts.push(`${Math.ceil((total - done) / rate)} s left`);
    this.#rate.textContent = parts.join(' · ');
    if (total !== undefined && total > 0) {
      this.#bar.value = done / total;
      this.#sayQuarter(Math.floor((4 * done) / total));
    }
    // Of the templates that escape: see Answer.
    if (html !== undefined) this.#live.innerHTML = html;
    if (counts !== undefined) this.#sayFound(counts);
  }

  /** A voice that reads every number aloud would never end. */
  #sayQuarter(quarter: number): void {
    if (quarter <= this.#quarters || quarter >= 4) return;
    this.#quarters = quarter;
    this.#say(`${quarter * 25} % read`);
  }

  #sayFound(counts: Counts): void {
    const found = counts.error + counts.warning + counts.info;
    if (found > 0 && this.#found === 0) this.#say(`The first of the findings: ${countsText(counts)}`);
    this.#found = found;
  }
}

/** `1 error, 2 warnings`. */
export function countsText({ error, warning, info }: Counts): string {
  const texts = [
    ...(error > 0 ? [plural(error, 'error')] : []),
    ...(warning > 0 ? [plural(warning, 'warning')] : []),
    ...(info > 0 ? [plural(info, 'note')] : []),
  ];
  return texts.length === 0 ? 'nothing was found wrong' : texts.join(', ');
}
