import fc from 'fast-check';

/** Seconds that each property may take: a few in `npm test`, as long as one likes by DIRTYBITMAP_FUZZ_SECONDS. */
const SECONDS = Number(process.env['DIRTYBITMAP_FUZZ_SECONDS'] ?? 2);
/** DIRTYBITMAP_FUZZ_SEED replays a run. */
const SEED = process.env['DIRTYBITMAP_FUZZ_SEED'];

/** Tries a property until the time is up, and says how often. A failure is shrunk and told with its seed. */
export function timeBox<T>(name: string, arbitrary: fc.Arbitrary<T>, holds: (value: T) => void): void {
  const seed = SEED === undefined ? Date.now() | 0 : Number(SEED);
  let runs = 0;
  fc.assert(
    fc.property(arbitrary, (value) => {
      runs++;
      holds(value);
    }),
    {
      seed,
      numRuns: Number.MAX_SAFE_INTEGER,
      interruptAfterTimeLimit: SECONDS * 1000,
      markInterruptAsFailure: false,
      // What fails is shrunk even when the time is up.
      skipAllAfterTimeLimit: SECONDS * 1000 + 60_000,
    },
  );
  console.log(`fuzz: ${name}: ${runs} runs, seed ${seed}`);
  if (runs === 0) throw new Error(`${name}: the time was too short for a single run`);
}
