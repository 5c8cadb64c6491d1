/** What came of a case: both agree, or they do not for a reason that has a name, or they differ. */
export type Outcome =
  | { readonly kind: 'agree'; readonly verdict: string }
  | { readonly kind: 'exception'; readonly name: string }
  | { readonly kind: 'differ'; readonly problems: readonly string[] };

/** Counts what came of the cases of one kind. */
export class Tally {
  readonly title: string;
  readonly problems: string[] = [];
  readonly #verdicts = new Map<string, number>();
  readonly #exceptions = new Map<string, number>();
  #differ = 0;

  constructor(title: string) {
    this.title = title;
  }

  get differ(): number {
    return this.#differ;
  }

  add(index: number, outcome: Outcome): void {
    if (outcome.kind === 'agree') count(this.#verdicts, outcome.verdict);
    else if (outcome.kind === 'exception') count(this.#exceptions, outcome.name);
    else {
      this.#differ++;
      for (const problem of outcome.problems) this.problems.push(`case ${index}: ${problem}`);
    }
  }

  /** `N of N`, then each verdict and each exception with its count. */
  lines(): string[] {
    const agree = total(this.#verdicts);
    const excepted = total(this.#exceptions);
    const all = agree + excepted + this.#differ;
    const fine = `${agree} agree (${listed(this.#verdicts) || 'none'})`;
    return [
      `${this.title}: ${agree + excepted} of ${all}; ${fine}, ${excepted} listed exceptions`,
      ...[...this.#exceptions].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, times]) => `  ${times} x ${name}`),
    ];
  }
}

function count(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

function total(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((sum, times) => sum + times, 0);
}

function listed(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([name, times]) => `${times} ${name}`).join(', ');
}
