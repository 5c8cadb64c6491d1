import fc from 'fast-check';
import { captureBytes } from '../test/support/arbitraries.js';
import { listVectors, readStream } from '../test/support/vectors.js';
import { mutate, seededRandom } from './mutate.js';

/** Streams that real QEMUs wrote or were given; the small ones, so that many runs fit in little time. */
const realStreams: readonly Uint8Array[] = listVectors()
  .map((vector) => new Uint8Array(readStream(vector)))
  .filter((bytes) => bytes.length > 0 && bytes.length <= 8192);

const real = fc.constantFrom(...realStreams);
const start = fc.oneof({ weight: 3, arbitrary: real }, { weight: 1, arbitrary: captureBytes });

/** Streams with a few faults in them. */
const mutatedStreams: fc.Arbitrary<Uint8Array> = fc
  .tuple(start, real, fc.integer())
  .map(([bytes, other, seed]) => mutate(bytes, seededRandom(seed), other));

/** Anything at all: noise, noise that begins as a stream, generated and mutated streams. */
export const anyBytes: fc.Arbitrary<Uint8Array> = fc.oneof(
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 512 }) },
  {
    weight: 1,
    arbitrary: fc
      .uint8Array({ maxLength: 512 })
      .map((rest) => Uint8Array.of(0x51, 0x45, 0x56, 0x4d, 0, 0, 0, 3, ...rest)),
  },
  { weight: 2, arbitrary: captureBytes },
  { weight: 6, arbitrary: mutatedStreams },
);
