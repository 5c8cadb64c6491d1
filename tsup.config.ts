import { defineConfig } from 'tsup';

export default defineConfig({
  entry: [
    'src/index.ts',
    'src/msgpack/index.ts',
    'src/qcow2/index.ts',
    'src/chain/index.ts',
    'src/qmp/index.ts',
    'src/report/index.ts',
    'src/io/index.ts',
    'src/cli/main.ts',
  ],
  format: 'esm',
  target: 'node20',
  splitting: true,
  dts: true,
  sourcemap: true,
  clean: true,
});
