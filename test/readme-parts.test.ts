import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { commandLine } from '../scripts/package/command-line.js';
import { importGraph, mermaid } from '../scripts/package/import-graph.js';
import { limitsTable } from '../scripts/package/limits-table.js';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');

/** The choices of an option of a command. */
function choices(command: string, flag: string): readonly string[] | undefined {
  const options = commandLine().commands.find((one) => one.name() === command)?.options;
  return options?.find(({ long }) => long === flag)?.argChoices;
}

/** The code in a column of the table that begins with this title. */
function column(title: string, at: number): readonly (string | undefined)[] {
  const [, rows = ''] = new RegExp(`^\\| ${title} \\|.*\\n.*\\n((\\|.*\\n)+)`, 'm').exec(readme) ?? [];
  return rows
    .trim()
    .split('\n')
    .map((row) => /`(?:-O )?([^`]+)`/.exec(row.split('|')[at] ?? '')?.[1]);
}

// A part that is out of date is made anew by `npm run readme`.
describe('the README', () => {
  it('shows what imports what', { timeout: 60_000 }, async () => {
    expect(/```mermaid\n([\s\S]*?)\n```/.exec(readme)?.[1]).toBe(mermaid(await importGraph()));
  });

  it('has every limit, its default and what it caps', () => {
    expect(limitsTable()).toContain(
      '| `maxBitmapMemory` | 1 GiB | Bytes that all bitmaps of one input may occupy in memory. |',
    );
    expect(readme).toContain(`\n\n${limitsTable()}\n\n`);
  });

  it('has every kind of input and output', () => {
    expect([...column('kind', 1), 'auto']).toEqual(choices('info', '--format'));
    expect(column('kind', 4)).toEqual(choices('convert', '--output-format'));
  });

  it('has every command', () => {
    const names = new Set(column('command', 1).map((words) => words?.split(' ')[0]));
    const commands = commandLine().commands.map((command) => command.name());
    expect(commands.filter((name) => !names.has(name))).toEqual([]);
  });
});

describe('the picture of what imports what', () => {
  it('leaves out what another way leads along, and nothing else', () => {
    const graph = new Map([
      ['cli', new Set(['io', 'chunk', 'base'])],
      ['io', new Set(['chunk'])],
      ['chunk', new Set(['base'])],
      ['base', new Set<string>()],
    ]);
    expect(mermaid(graph).match(/\w+ --> \w+/g)).toEqual(['chunk --> base', 'cli --> io', 'io --> chunk']);
  });
});
