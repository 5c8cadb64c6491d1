import { describe, expect, it } from 'vitest';
import { QEMU_VERSIONS } from '../../src/migration/qemu-version.js';
import { compareRun, type InjectDestination, injectDestination, predict, type QemuRun } from '../support/qemu-truth.js';
import { listVectors, readResult, readStream } from '../support/vectors.js';

describe.each(listVectors().filter((vector) => vector.folder === 'inject'))('what QEMU did with $id', (vector) => {
  const result = readResult(vector);
  const destination = result.destination as unknown as InjectDestination;

  it.each(QEMU_VERSIONS)('is predicted for %s', (version) => {
    const prediction = predict(readStream(vector), injectDestination(vector.name, destination, version));
    expect(compareRun(prediction, result.versions[version] as QemuRun)).toEqual([]);
  });
});
