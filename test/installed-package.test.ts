import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type InstalledPackage, installPackage } from './support/installed-package.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const CAPTURE = join(ROOT, 'vectors/captures/small-qcow2-persistent.bin');
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
/** `dirtybitmap`, `dirtybitmap/qcow2`, ...: what is imported. */
const ENTRIES = Object.keys(manifest.exports)
  .filter((key) => typeof manifest.exports[key] === 'object')
  .map((key) => key.replace('.', manifest.name));

/** A use of types from several entry points, and a mistake that they must catch. */
const CONSUMER = `
import { type Bitmap, CaptureReader, DirtyBitmapError, type Finding } from 'dirtybitmap';
import { type Qcow2Image, decodeQcow2 } from 'dirtybitmap/qcow2';
export const bits: Bitmap | undefined = new CaptureReader().bitmaps[0]?.bits;
export const image = (bytes: Uint8Array): Qcow2Image => decodeQcow2(bytes);
export const code = (error: unknown): Finding['code'] | undefined => (error instanceof DirtyBitmapError ? error.code : undefined);
// @ts-expect-error A code that no rule has.
export const wrong: Finding['code'] = 'no-such-code';
${ENTRIES.map((entry, at) => `export * as entry${at} from '${entry}';`).join('\n')}
`;

describe('the package, installed', () => {
  let installed: InstalledPackage;
  const run = (...args: string[]) => spawnSync(process.execPath, args, { cwd: installed.folder, encoding: 'utf8' });
  beforeAll(async () => {
    installed = await installPackage();
  }, 120_000);
  afterAll(() => installed?.remove());

  it('is there without what is optional', () => {
    expect(existsSync(join(installed.folder, 'node_modules/koffi'))).toBe(false);
    expect(existsSync(join(installed.folder, 'node_modules/commander'))).toBe(true);
  });

  it('is imported as an ES module, from every entry point', () => {
    expect(ENTRIES.length).toBeGreaterThan(5);
    writeFileSync(
      join(installed.folder, 'use.mjs'),
      `${ENTRIES.map((entry, at) => `import * as entry${at} from '${entry}';`).join('\n')}
      import { readCapture } from 'dirtybitmap/node';
      import schema from 'dirtybitmap/schemas/info.json' with { type: 'json' };
      const { bitmaps } = await readCapture(process.argv[2]);
      const names = [${ENTRIES.map((_, at) => `Object.keys(entry${at}).length > 0`).join(', ')}];
      console.log(names.every(Boolean), bitmaps[0].bits.count(), schema.title);`,
    );
    const { stdout, status } = run('--no-warnings', 'use.mjs', CAPTURE);
    expect([stdout, status]).toEqual(['true 3342336 dirtybitmap info\n', 0]);
  });

  it('is required from CommonJS, and is the same module there', () => {
    writeFileSync(
      join(installed.folder, 'use.cjs'),
      `for (const entry of ${JSON.stringify(ENTRIES)}) if (Object.keys(require(entry)).length === 0) throw new Error(entry);
      const { CaptureReader, DirtyBitmapError } = require('dirtybitmap');
      const reader = new CaptureReader();
      reader.push(require('node:fs').readFileSync(process.argv[2]));
      reader.finish();
      import('dirtybitmap').then((module) => {
        console.log(reader.bitmaps[0].bits.count(), module.DirtyBitmapError === DirtyBitmapError);
      });`,
    );
    const { stdout, status } = run('--no-warnings', 'use.cjs', CAPTURE);
    expect([stdout, status]).toEqual(['3342336 true\n', 0]);
  });

  it.each([
    ['node16', 'node16'],
    ['bundler', 'esnext'],
  ])(
    'has types for moduleResolution %s, checked with those of the package',
    { timeout: 60_000 },
    (moduleResolution, module) => {
      const compilerOptions = {
        ...{
          module,
          moduleResolution,
          target: 'es2022',
          lib: ['es2023'],
          strict: true,
          noEmit: true,
          skipLibCheck: false,
        },
        // dirtybitmap/node is about files and sockets of Node.
        ...{ typeRoots: [join(ROOT, 'node_modules/@types')], types: ['node'] },
      };
      expect(compile(compilerOptions, CONSUMER)).toBe('');
    },
  );

  it('has types that need no Node, but for dirtybitmap/node', { timeout: 60_000 }, () => {
    const pure = ENTRIES.filter((entry) => !entry.endsWith('/node')).map(
      (entry, at) => `export * as entry${at} from '${entry}';`,
    );
    const compilerOptions = {
      ...{ module: 'esnext', moduleResolution: 'bundler', target: 'es2022', lib: ['es2023', 'dom'] },
      ...{ types: [], strict: true, noEmit: true, skipLibCheck: false },
    };
    expect(compile(compilerOptions, pure.join('\n'))).toBe('');
  });

  it('has a command that runs', () => {
    const bin = join(installed.folder, 'node_modules/.bin/dirtybitmap');
    expect(execFileSync(bin, ['--version'], { encoding: 'utf8' })).toBe(`${manifest.version}\n`);
    const map = JSON.parse(execFileSync(bin, ['map', '--json', CAPTURE], { encoding: 'utf8' }));
    expect(map).toHaveLength(7);
    expect(spawnSync(bin, ['check', join(ROOT, 'vectors/captures/cut-in-bits.bin')]).status).toBe(1);
  });

  it('has a manual page and completions', () => {
    const own = createRequire(join(installed.folder, 'index.js')).resolve('dirtybitmap/package.json');
    const text = (path: string): string => readFileSync(join(own, '..', path), 'utf8');
    // npm 11 puts the pages of a list into the place of manual pages, and passes over a single one.
    expect(JSON.parse(text('package.json')).man.map(text)).toEqual([expect.stringMatching(/^\.TH DIRTYBITMAP 1 /)]);
    expect(text('dist/completions/_dirtybitmap')).toMatch(/^#compdef dirtybitmap\n/);
    expect(text('dist/completions/dirtybitmap.bash')).toContain('complete -F _dirtybitmap dirtybitmap\n');
    expect(text('dist/completions/dirtybitmap.fish')).toContain('complete -c dirtybitmap ');
  });

  /** What the compiler of this project says of a program in the empty one. */
  function compile(compilerOptions: object, program: string): string {
    writeFileSync(join(installed.folder, 'use.mts'), program);
    writeFileSync(join(installed.folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['use.mts'] }));
    return run(join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', '.').stdout;
  }
});
