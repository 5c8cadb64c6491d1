// The layers, bottom to top: each imports only from those before it.
const ORDER = (
  'rules errors limits findings bytes chunk bitmap set migration capture ' +
  'qcow2 chain qmp msgpack report inspector io cli'
).split(' ');
// npm packages, each with the one layer that may import it.
const PACKAGES = {
  '@noble/hashes': 'bitmap',
  '@msgpack/msgpack': 'msgpack',
  koffi: 'io',
  commander: 'cli',
  'cli-progress': 'cli',
};

const error = (name, from, to) => ({ name, severity: 'error', from, to });
const inside = (names) => `^src/(${names.join('|')})(/|\\.ts$)`;
const installed = (names) => `node_modules/(@types/)?(${names.join('|')})/`;

export default {
  forbidden: [
    ...ORDER.slice(0, -1).map((name, i) =>
      error(`layer-${name}`, { path: inside([name]) }, { path: inside(ORDER.slice(i + 1)) }),
    ),
    ...Object.entries(PACKAGES).map(([name, layer]) =>
      error(`only-${layer}-imports-${name}`, { path: '^src/', pathNot: inside([layer]) }, { path: installed([name]) }),
    ),
    error('no-other-packages', { path: '^src/' }, { path: 'node_modules/', pathNot: installed(Object.keys(PACKAGES)) }),
    error(
      'core-entry',
      { path: '^src/index\\.ts$' },
      { path: inside(['msgpack', 'qcow2', 'chain', 'qmp', 'report', 'io', 'cli']) },
    ),
    // It runs in a browser alone: the command line serves what was built of it.
    error('inspector-is-built', { path: '^src/', pathNot: inside(['inspector']) }, { path: inside(['inspector']) }),
    error('no-circular', {}, { circular: true }),
    error('sans-io', { path: '^src/', pathNot: inside(['io', 'cli']) }, { dependencyTypes: ['core'] }),
    error('src-not-to-test', { path: '^src/' }, { path: '^(test|fuzz|scripts|bench)/' }),
    error('barrels-are-for-users', { path: '^src/', pathNot: '^src/(cli/|index\\.ts$)' }, { path: '/index\\.ts$' }),
    error(
      'barrel-place',
      {},
      { path: '/index\\.ts$', pathNot: '^src/((msgpack|qcow2|chain|qmp|report|io)/)?index\\.ts$' },
    ),
    error('no-orphans', { orphan: true, path: '^src/' }, {}),
    error('unknown-folder', {}, { path: '^src/', pathNot: inside(['index', ...ORDER]) }),
    error('unknown-importer', { path: '^src/', pathNot: inside(['index', ...ORDER]) }, {}),
    error('unresolvable', {}, { couldNotResolve: true }),
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'types'] },
  },
};
