import { defineConfig } from 'vitest/config';
import { PlainReporter } from './test/support/plain-reporter.js';

export default defineConfig({
  test: {
    reporters: ['default', new PlainReporter()],
    projects: [
      { extends: true, test: { name: 'unit', include: ['test/**/*.test.ts'], testTimeout: 30_000 } },
      // Time-boxed by the tests themselves: DIRTYBITMAP_FUZZ_SECONDS, a few seconds each when unset.
      { extends: true, test: { name: 'fuzz', include: ['fuzz/**/*.fuzz.ts'], testTimeout: 0 } },
    ],
  },
});
