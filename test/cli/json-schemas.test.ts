import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { Ajv } from 'ajv';
import { afterAll, describe, expect, it } from 'vitest';
import { commandLine } from '../../scripts/package/command-line.js';
import { allCommands, commandWords } from '../../src/cli/completion/command-words.js';
import { assertDocumented, publishedSchema, SCHEMAS } from '../support/json-schemas.js';
import { runCli } from '../support/run-cli.js';

const VECTORS = fileURLToPath(new URL('../../vectors/', import.meta.url));
const CAPTURE = `${VECTORS}captures/small-qcow2-persistent.bin`;
const files = (folder: string, end: string): string[] =>
  readdirSync(VECTORS + folder)
    .filter((name) => name.endsWith(end))
    .map((name) => join(VECTORS + folder, name));

const folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-schemas-'));
afterAll(() => rmSync(folder, { recursive: true }));
const images = files('qcow2/images', '.gz').map((packed) => {
  const path = join(folder, basename(packed, '.gz'));
  writeFileSync(path, gunzipSync(readFileSync(packed)));
  return path;
});

// What is printed by all other tests of the command line is checked in the same way, by runCli.
describe('the JSON schemas', () => {
  it('are there for every command with --json', () => {
    const commands = allCommands(commandWords(commandLine())).filter(({ options }) =>
      options.some(({ flags }) => flags.includes('--json')),
    );
    const without = commands.filter(({ path }) => publishedSchema(path[1] ?? '') === undefined);
    // A new command: add what it prints to JsonDocuments in src/cli/json-documents.ts, then `npm run build`.
    expect(without.map(({ path }) => path.join(' '))).toEqual([]);
    expect(commands.length).toBeGreaterThan(15);
  });

  it('are sound, and say something of every field', () => {
    expect(SCHEMAS.length).toBeGreaterThan(11);
    for (const name of SCHEMAS) {
      const schema = publishedSchema(name);
      new Ajv({ strict: true, allowUnionTypes: true, strictRequired: false }).compile(schema ?? false);
      // What the generator does not understand it leaves open.
      expect(JSON.stringify(schema?.['definitions']).match(/"(?!additionalProperties)\w+":\{\}/g), name).toBeNull();
    }
  });

  it('take a field and a code that a later version adds, but none that is missing or of another type', async () => {
    const check = new Ajv({ strict: false }).compile(publishedSchema('info') ?? false);
    const { stdout } = await runCli('info', '--json', `${VECTORS}captures/cut-in-bits.bin`);
    const document = JSON.parse(stdout);
    const [finding] = document.findings;
    expect(check(document)).toBe(true);
    expect(check({ ...document, later: 1, findings: [{ ...finding, code: 'later', more: [] }] })).toBe(true);
    expect(check({ ...document, bytes: '1' })).toBe(false);
    const { findings: _findings, ...without } = document;
    expect(check(without)).toBe(false);
    expect(check({ ...document, findings: [{ ...finding, severity: 'fatal' }] })).toBe(false);
  });

  it('are held against the output more strictly than that in tests', () => {
    const args = ['map', '--json', 'x'];
    const extent = { offset: 0, length: 1, type: 1, description: 'dirty' };
    expect(() => assertDocumented(args, JSON.stringify([extent]))).not.toThrow();
    expect(() => assertDocumented(args, JSON.stringify([{ ...extent, more: 1 }]))).toThrow('additional properties');
    expect(() => assertDocumented(args, '{ "error": { "code": "no-such", "message": "" } }')).toThrow(
      'not as in dist/schemas',
    );
  });

  it.each([
    ['info', files('captures', '.bin')],
    ['info', files('inject', '.bin')],
    ['info', images],
    ['check', files('captures-5.2', '.bin')],
    ['check', images],
  ])('describe what %s --json says of all vectors of a kind', async (command, inputs) => {
    expect(inputs.length).toBeGreaterThan(5);
    const { stdout } = await runCli(command, '--json', ...inputs);
    const documents = JSON.parse(stdout);
    expect(command === 'check' ? documents.inputs : documents).toHaveLength(inputs.length);
  });

  it('describe what a QEMU would do, with a trace of every stream', async () => {
    const inputs = files('inject', '.bin');
    const { stdout } = await runCli(
      'check',
      '--json',
      '--as',
      'qemu',
      '--destination',
      `${VECTORS}destination.json`,
      ...inputs,
    );
    const verdicts = JSON.parse(stdout).inputs.map(
      ({ prediction }: { prediction: { verdict: string } }) => prediction.verdict,
    );
    expect(new Set(verdicts).size).toBeGreaterThan(3);
    for (const input of inputs) expect((await runCli('trace', '--json', input)).stdout).not.toBe('');
  });

  it('describe differences, maps, plans, dry runs and errors', async () => {
    const image = `${VECTORS}qcow2/images/in-use.qcow2`;
    const nodes = ['--nodes', `${VECTORS}chain/nodes.json`, '--chain', 'active,mid,base', '--target', 'mirror'];
    const runs = [
      ['compare', '--json', CAPTURE, `${VECTORS}captures/disabled-bitmap.bin`],
      ['map', '--json', CAPTURE],
      ['chain', '--json', '--format', 'qcow2', image],
      ['bitmap', 'reset', image, 'live', '--dry-run', '--json'],
      ['plan', 'merge', '-o', 'qmp', ...nodes],
      ['info', '--json', '/nowhere'],
      ['info', '--json', '/nowhere', CAPTURE],
      ['convert', '--json', CAPTURE],
    ];
    for (const args of runs) expect((await runCli(...args)).stdout, args.join(' ')).toMatch(/^[[{]/);
  });
});
