import { spawnSync } from 'node:child_process';
import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { commandLine } from '../../scripts/package/command-line.js';
import { manPage } from '../../scripts/package/man-page.js';
import { allCommands, commandWords } from '../../src/cli/completion/command-words.js';
import { RULES } from '../../src/rules.js';

const page = manPage(commandLine());

describe('the manual page', () => {
  it('has every command, every option and every code', () => {
    const lines = new Set(page.split('\n').map((line) => line.replaceAll('\\-', '-')));
    const has = (begin: string): boolean => [...lines].some((line) => line === begin || line.startsWith(`${begin} `));
    for (const command of allCommands(commandWords(commandLine()))) {
      if (command.path.length === 1 || command.path.includes('help')) continue;
      expect(has(`.SS ${command.path.slice(1).join(' ')}`), command.path.join(' ')).toBe(true);
      for (const { flags } of command.options) expect(has(`.B ${flags.join(', ')}`), flags.join(', ')).toBe(true);
    }
    for (const code of Object.keys(RULES)) expect(has(`.B ${code}`), code).toBe(true);
  });

  it('takes no text for a request', () => {
    const tool = new Command('tool').version('1').description('.so \\(rs `cont`');
    tool.command('x').description("'ig is no request").option('--\\n', '.ex');
    const lines = manPage(tool).split('\n');
    expect(lines).toContain('\\&.so \\e(rs \\fBcont\\fR');
    expect(lines).toContain("\\&'ig is no request.");
    expect(lines).toContain('\\&.ex');
  });

  const mandoc = spawnSync('mandoc', ['-T', 'lint', '-W', 'warning'], { input: page, encoding: 'utf8' });
  if (mandoc.error) console.error('\n*** the manual page under mandoc: SKIPPED, apt-get install mandoc ***\n');
  it.skipIf(mandoc.error)('is clean for mandoc, but for its date, which would make each build another', () => {
    const found = mandoc.stdout.split('\n').filter((line) => line !== '' && !line.includes('missing date'));
    expect(found).toEqual([]);
  });
});
