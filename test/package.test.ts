import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { SCHEMAS } from './support/json-schemas.js';
import { PAGES } from './support/pages.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));

describe('package.json', () => {
  it('has these entry points and no others', () => {
    expect(manifest.exports).toEqual({
      '.': { types: './dist/index.d.ts', default: './dist/index.js' },
      './msgpack': { types: './dist/msgpack/index.d.ts', default: './dist/msgpack/index.js' },
      './qcow2': { types: './dist/qcow2/index.d.ts', default: './dist/qcow2/index.js' },
      './chain': { types: './dist/chain/index.d.ts', default: './dist/chain/index.js' },
      './qmp': { types: './dist/qmp/index.d.ts', default: './dist/qmp/index.js' },
      './report': { types: './dist/report/index.d.ts', default: './dist/report/index.js' },
      './node': { types: './dist/io/index.d.ts', default: './dist/io/index.js' },
      './schemas/*.json': './dist/schemas/*.json',
      './package.json': './package.json',
    });
    expect(manifest.bin).toEqual({ dirtybitmap: 'dist/cli/main.js' });
  });

  it('has types first in every entry point', () => {
    for (const entry of Object.values(manifest.exports)) {
      if (typeof entry !== 'string') expect(Object.keys(entry as object)[0]).toBe('types');
    }
  });
});

describe('the tarball', () => {
  const pack = () => {
    const json = execFileSync('npm', ['pack', '--json', '--dry-run'], { cwd: ROOT, encoding: 'utf8', stdio: 'pipe' });
    return JSON.parse(json)[0].files as { path: string; mode: number }[];
  };

  it('holds these files and no others', () => {
    const paths = pack().map((file) => file.path);
    const entries = Object.values<string | { default: string }>(manifest.exports).flatMap((entry) =>
      typeof entry === 'string' ? [] : [entry.default],
    );
    const modules = [...entries, manifest.bin.dirtybitmap].map((path) => path.replace(/^\.\/|\.js$/g, ''));
    const shared = /^dist\/[\w-]+-[\w-]{8}\.(js|js\.map|d\.ts)$/;
    expect(paths.filter((path) => !shared.test(path)).sort()).toEqual(
      [
        'CHANGELOG.md',
        'CONTRIBUTING.md',
        'ERRORS.md',
        ...PAGES.filter((page) => page !== 'README.md'),
        'LICENSE',
        'README.md',
        'package.json',
        'dist/completions/_dirtybitmap',
        'dist/completions/dirtybitmap.bash',
        'dist/completions/dirtybitmap.fish',
        'dist/inspector/index.html',
        'dist/man/dirtybitmap.1',
        ...SCHEMAS.map((name) => `dist/schemas/${name}.json`),
        ...modules.flatMap((path) => ['d.ts', 'js', 'js.map'].map((end) => `${path}.${end}`)),
      ].sort(),
    );
  });

  it('has a command that starts with its interpreter', () => {
    expect(readFileSync(join(ROOT, manifest.bin.dirtybitmap), 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/);
  });
});

describe('the built core', () => {
  const files = reachable(join(ROOT, 'dist/index.js'));

  it('imports nothing but its own files', () => {
    const imports = [...files.values()].flatMap((source) => importsOf(source.text));
    expect(imports.filter((name) => !name.startsWith('./') && !name.startsWith('../'))).toEqual([]);
  });

  it('mentions no global that only Node has', () => {
    for (const [path, source] of files) expect(freeNames(source), path).toEqual([]);
  });
});

describe('importing', () => {
  it('works from a CommonJS module', () => {
    const { DirtyBitmapError } = require('dirtybitmap');
    expect(new DirtyBitmapError('argument', 'x')).toMatchObject({ code: 'argument', message: 'x' });
  });

  it('gives one error class, whichever entry point and module system it comes from', () => {
    const program = `
      import { createRequire } from 'node:module';
      import { DirtyBitmapError } from 'dirtybitmap';
      import { DirtyBitmapError as fromNode } from 'dirtybitmap/node';
      import 'dirtybitmap/msgpack';
      const required = createRequire(import.meta.url)('dirtybitmap').DirtyBitmapError;
      console.log(typeof DirtyBitmapError, fromNode === DirtyBitmapError, required === DirtyBitmapError);`;
    const run = spawnSync(process.execPath, ['--input-type=module', '-e', program], { cwd: ROOT, encoding: 'utf8' });
    expect(run).toMatchObject({ status: 0, stdout: 'function true true\n', stderr: '' });
  });
});

function importsOf(text: string): string[] {
  return ts.preProcessFile(text, true, true).importedFiles.map((file) => file.fileName);
}

/** The module at `path` and everything it loads from its own package. */
function reachable(path: string, seen = new Map<string, ts.SourceFile>()): Map<string, ts.SourceFile> {
  if (seen.has(path)) return seen;
  const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true);
  seen.set(path, source);
  for (const name of importsOf(source.text)) if (name.startsWith('.')) reachable(join(dirname(path), name), seen);
  return seen;
}

/** Uses of Node's own globals, also as `globalThis.X`; other properties may have these names. */
function freeNames(source: ts.SourceFile): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node) && ['Buffer', 'process', 'global', 'require', 'setImmediate'].includes(node.text)) {
      const { parent } = node;
      const property = ts.isPropertyAccessExpression(parent) && parent.name === node;
      const ofGlobal = property && parent.expression.getText() === 'globalThis';
      const named = 'name' in parent && parent.name === node;
      if (ofGlobal || !named) found.push(node.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}
