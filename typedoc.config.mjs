import { readFileSync } from 'node:fs';

const manifest = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'));

/** `npm run docs` makes docs/; `npm run check:docs` only looks for gaps. */
export default {
  // Every entry point of the package, so that a new one is documented or fails here.
  entryPoints: Object.values(manifest.exports)
    .filter((entry) => typeof entry === 'object')
    .map((entry) => entry.types.replace(/^\.\/dist\/(.*)\.d\.ts$/, 'src/$1.ts')),
  out: 'docs',
  // Links to sources need a remote, which a clone may not have.
  disableSources: true,
  ignoredHighlightLanguages: ['mermaid'],
  projectDocuments: ['ERRORS.md', 'CONTRIBUTING.md'],
  validation: { notExported: true, invalidLink: true, rewrittenLink: true, notDocumented: true },
  // A property is documented where its name and type do not say all; every other public name is.
  requiredToBeDocumented: [
    'Module',
    'Variable',
    'Function',
    'Class',
    'Interface',
    'TypeAlias',
    'Constructor',
    'Method',
    'Accessor',
    'GetSignature',
    'SetSignature',
  ],
  // Inside a snapshot, which is kept and given back, not read.
  intentionallyNotExported: ['src/migration/check-range.ts:Range'],
  treatWarningsAsErrors: true,
};
