import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { PAGES, readPage, writePage } from './support/pages.js';
import { ReadmeMigration } from './support/readme-migration.js';
import { runCli } from './support/run-cli.js';
import { describeWithQemu } from './support/with-qemu.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const readme = readPage('README.md');

/** The command and the output of each console block. `npx vitest run test/readme.test.ts` with UPDATE_README=1 writes them anew. */
const SESSION = /```console\n\$ dirtybitmap ([^\n]*)\n([\s\S]*?)```/g;

/** The QEMUs that the sessions with `src.qmp` and `dst.qmp` are about. */
const migration = new ReadmeMigration();
const sessions = PAGES.flatMap((page) => [...readPage(page).matchAll(SESSION)]);
afterAll(async () => await migration.quit());

describe('the pages', () => {
  it('shows sessions', () => {
    expect(sessions.length).toBeGreaterThan(12);
    // Every console block is of the form that is run here; those with a name are run by readme-wire.test.ts and cli/inspect.test.ts.
    expect(PAGES.flatMap((page) => readPage(page).match(/```console\n/g) ?? [])).toHaveLength(sessions.length);
  });

  it.each(PAGES)('of %s leads where something is', (page) => {
    const links = [...readPage(page).matchAll(/\]\(([^)#:]+)(#[^)]*)?\)/g)].map(([, link = '']) => link);
    expect(links.filter((link) => !existsSync(join(ROOT, dirname(page), link)))).toEqual([]);
  });

  if (process.env['UPDATE_README'] === '1') {
    it('is written anew', async () => {
      for (const page of PAGES) {
        let text = readPage(page);
        for (const [block, command = ''] of text.matchAll(SESSION)) {
          const output = await outputOf(command);
          text = text.replace(block, () => `\`\`\`console\n$ dirtybitmap ${command}\n${output}\`\`\``);
        }
        writePage(page, text);
      }
    });
    return;
  }

  runs(sessions.filter(([, command = '']) => !ReadmeMigration.means(command)));

  it('has library examples that run', () => {
    const example = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code).join('\n');
    const file = fileURLToPath(new URL('../dist/readme-example.mjs', import.meta.url));
    const capture = 'vectors/captures/small-qcow2-persistent.bin';
    // The example has a response of its own; the package imports itself by its name.
    const prelude = `import { readFileSync } from 'node:fs';\nconst response = new Response(readFileSync('${capture}'));\n`;
    writeFileSync(file, prelude + example);
    try {
      const output = execFileSync(process.execPath, [file], { cwd: ROOT, encoding: 'utf8' });
      expect(output).toContain('disk0 b0 [');
      expect(output).toMatch(/^3342336$/m);
      expect(output).toMatch(/^\d+ bytes$/m);
    } finally {
      rmSync(file);
    }
  });
});

if (process.env['UPDATE_README'] !== '1') {
  describeWithQemu('the pages, with two QEMUs', () => {
    runs(sessions.filter(([, command = '']) => ReadmeMigration.means(command)));
  });
}

function runs(these: readonly RegExpExecArray[]): void {
  for (const [, command = '', expected] of these) {
    it(`gives the output of: dirtybitmap ${command}`, async () => {
      expect(await outputOf(command)).toBe(expected);
    });
  }
}

/** What a command of the README prints, standard output and then standard error, and its exit code where it is not 0. */
async function outputOf(command: string): Promise<string> {
  const words = ReadmeMigration.means(command) ? await migration.prepare(command) : command.split(' ');
  const written = mkdtempSync(join(tmpdir(), 'dirtybitmap-readme-'));
  const inPlace = (word: string): string =>
    word.replace(/^vectors\//, `${ROOT}vectors/`).replace(/^\w+\.html$/, `${written}/$&`);
  const { stdout, stderr, code } = await runCli(...words.map(inPlace));
  rmSync(written, { recursive: true });
  const text = `${stdout}${stderr}`.replaceAll(`${ROOT}vectors/`, 'vectors/').replaceAll(`${written}/`, '');
  return code === 0 ? text : `${text}exit code ${code}\n`;
}
