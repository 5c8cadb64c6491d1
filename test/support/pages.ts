import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The pages whose examples are run: the README first, then the guide. Paths from the root. */
export const PAGES: readonly string[] = [
  'README.md',
  ...readdirSync(`${ROOT}guide`)
    .sort()
    .map((name) => `guide/${name}`),
];

/** The text of a page. */
export function readPage(page: string): string {
  return readFileSync(`${ROOT}${page}`, 'utf8');
}

/** Writes a page anew. */
export function writePage(page: string, text: string): void {
  writeFileSync(`${ROOT}${page}`, text);
}
