import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, Option } from 'commander';
import { afterAll, describe, expect, it } from 'vitest';
import { commandLine } from '../../scripts/package/command-line.js';
import { allCommands, commandWords } from '../../src/cli/completion/command-words.js';
import { COMPLETIONS } from '../../src/cli/completion/scripts.js';
import { runCli } from '../support/run-cli.js';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
const ZSH_COMPLETIONS = fileURLToPath(new URL('../support/zsh-completions.zsh', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-completion-'));
afterAll(() => rmSync(folder, { recursive: true }));

const program = commandWords(commandLine());
const commands = allCommands(program);
const scripts = Object.fromEntries(
  SHELLS.map((shell) => {
    const path = join(folder, `completion.${shell}`);
    writeFileSync(path, COMPLETIONS[shell](program));
    return [shell, path];
  }),
) as Record<(typeof SHELLS)[number], string>;

/** Lines to be completed, and all that is to be offered: one for each command, its options, and each option of it. */
const CASES: readonly (readonly [line: string, offered: readonly string[]])[] = commands.flatMap((command) => {
  const at = command.path.join(' ');
  const flags = command.options.flatMap((option) => option.flags);
  const names = command.commands.map(({ path }) => path.at(-1) ?? '');
  const values = command.options.flatMap(({ flags: own, value }) =>
    typeof value === 'object' ? own.map((flag) => [`${at} ${flag} `, value.words] as const) : [],
  );
  return [[`${at} -`, flags] as const, ...(names.length > 0 ? [[`${at} `, names] as const] : []), ...values];
});

describe('completion', () => {
  it.each(SHELLS)('prints the script for %s', async (shell) => {
    const { code, stdout } = await runCli('completion', shell);
    expect(code).toBe(0);
    expect(stdout).toBe(readFileSync(scripts[shell], 'utf8'));
  });

  it('knows no other shell', async () => {
    expect((await runCli('completion', 'tcsh')).code).toBe(2);
  });

  it('speaks of every command and option that is defined', () => {
    const defined = (command: Command): string[] => [
      ...command.options.map(({ long }) => long?.slice(2) ?? ''),
      ...command.commands.flatMap((one) => [one.name(), ...defined(one)]),
    ];
    const names = defined(commandLine());
    expect(names).toEqual(expect.arrayContaining(['info', 'drop-all', 'granularity', 'no-scan', 'version']));
    for (const shell of SHELLS) {
      const words = new Set(
        readFileSync(scripts[shell], 'utf8')
          .match(/[\w-]+/g)
          ?.map((word) => word.replace(/^--/, '')),
      );
      expect(names.filter((name) => !words.has(name))).toEqual([]);
    }
  });

  it('keeps what is hidden hidden, and is sound whatever a text holds', () => {
    const tool = new Command('tool');
    tool
      .command('new <file>')
      .option('-x, --extra <file>', "it's [new]: $HOME `id`")
      .addOption(new Option('--hidden').hideHelp());
    const words = commandWords(tool);
    for (const shell of SHELLS) {
      const script = COMPLETIONS[shell](words);
      expect(script).toContain('extra');
      expect(script).not.toContain('hidden');
      const path = join(folder, `tool.${shell}`);
      writeFileSync(path, script);
      const { error, stderr } = spawnSync(shell, ['-n', path], { encoding: 'utf8' });
      if (error === undefined) expect(stderr).toBe('');
    }
  });
});

describe('completion in bash', () => {
  it('is registered', () => {
    const run = spawnSync('bash', ['--norc', '-c', `source "$0"; complete -p dirtybitmap`, scripts.bash], {
      encoding: 'utf8',
    });
    expect(run).toMatchObject({ status: 0, stdout: 'complete -F _dirtybitmap dirtybitmap\n', stderr: '' });
  });

  it('offers the commands, the options and their values', () => {
    const got = bash(CASES.map(([line]) => line));
    expect(CASES.length).toBeGreaterThan(60);
    CASES.forEach(([line, offered], at) => {
      expect(got[at]?.sort(), line).toEqual([...offered].sort());
    });
  });

  it('offers files where a file can stand, and nothing where only the user knows', () => {
    writeFileSync(join(folder, 'a capture.bin'), '');
    const lines = ['info a', 'check --destination a', 'bitmap add a', 'watch --qmp a', 'map --bitmap a', 'info x a'];
    expect(bash(lines.map((line) => `dirtybitmap ${line}`))).toEqual([
      ...Array(4).fill(['a capture.bin']),
      [],
      ['a capture.bin'],
    ]);
  });

  it('takes no value for a command', () => {
    // `map` is no command of `info`, and `--node info` is a node.
    expect(bash(['dirtybitmap info map --js', 'dirtybitmap plan copy --node info --mir'])).toEqual([
      ['--json'],
      ['--mirror'],
    ]);
  });
});

/** What bash offers for each line. Blanks are kept: names of files have them. */
function bash(lines: readonly string[]): string[][] {
  const calls = lines.map((line) => {
    const words = line.split(' ').map((word) => `'${word}'`);
    return `COMP_WORDS=(${words.join(' ')}); COMP_CWORD=${words.length - 1}; _dirtybitmap; printf '%s\\n' "\${COMPREPLY[@]}"; echo ---`;
  });
  const program = `source "$0"\n${calls.join('\n')}\n`;
  const output = execFileSync('bash', ['--norc', '-c', program, scripts.bash], { cwd: folder, encoding: 'utf8' });
  return output
    .split('---\n')
    .slice(0, -1)
    .map((part) => part.split('\n').filter((one) => one !== ''));
}

/** Skipped, and said, where the shell is not there: setup-tests installs it where that is possible. */
function describeIn(shell: 'zsh' | 'fish', tests: () => void): void {
  const there = spawnSync(shell, ['--version']).status === 0;
  if (!there) console.error(`\n*** completion in ${shell}: SKIPPED, apt-get install ${shell} ***\n`);
  describe.skipIf(!there)(`completion in ${shell}`, tests);
}

describeIn('fish', () => {
  it('offers the commands, the options and their values', () => {
    // A dash alone is completed to short flags; long ones come with two.
    const lines = CASES.map(([line]) => line.replace(/ -$/, ' --'));
    const asked = lines.map((line) => `complete -C '${line}'; echo ---`).join('\n');
    const output = execFileSync('fish', ['--no-config', '-c', `source ${scripts.fish}\n${asked}`], {
      cwd: folder,
      encoding: 'utf8',
    });
    const got = output.split('---\n').map((part) => part.split('\n').map((one) => one.split('\t')[0] ?? ''));
    CASES.forEach(([line, offered], at) => {
      const expected = line.endsWith(' -') ? offered.filter((flag) => flag.startsWith('--')) : offered;
      expect(got[at]?.filter((one) => one !== '').sort(), line).toEqual([...expected].sort());
    });
  });

  it('offers files where a file can stand', () => {
    const output = execFileSync(
      'fish',
      ['--no-config', '-c', `source ${scripts.fish}; complete -C 'dirtybitmap info /et'`],
      { encoding: 'utf8' },
    );
    expect(output).toBe('/etc/\n');
  });
});

describeIn('zsh', () => {
  it('is sound', () => {
    expect(spawnSync('zsh', ['-n', scripts.zsh], { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
  });

  it.each([
    [
      'dirtybitmap bitmap ',
      program.commands.find(({ path }) => path[1] === 'bitmap')?.commands.map(({ path }) => path[2]),
    ],
    ['dirtybitmap info --format s', ['section', 'set']],
    ['dirtybitmap bitmap add --gran', ['--granularity']],
    ['dirtybitmap plan copy --mir', ['--mirror']],
    ['dirtybitmap info -- b', ['b.bin']],
  ])('offers what follows %s', (line, offered) => {
    writeFileSync(join(folder, 'b.bin'), '');
    const out = join(folder, 'offered');
    rmSync(out, { force: true });
    execFileSync('zsh', ['-f', ZSH_COMPLETIONS, scripts.zsh, line, out], { cwd: folder, timeout: 20_000 });
    expect([...new Set(readFileSync(out, 'utf8').trim().split('\n'))].sort()).toEqual([...(offered ?? [])].sort());
  });
});
