import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RateLimit, STEP } from '../../src/io/rate-limit.js';

describe('RateLimit', () => {
  it('never lets more through than the rate, two pieces and a step, whatever the pieces, the pauses and the timers', () => {
    const steps = fc.array(fc.tuple(fc.nat(1000), fc.nat(300), fc.nat(80)), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000_000 }), steps, (rate, rows) => {
        const limit = new RateLimit(rate);
        const sent: [at: number, bytes: number][] = [];
        let now = 0;
        for (const [permille, pause, late] of rows) {
          const bytes = Math.max(1, Math.floor((limit.maxPiece * permille) / 1000));
          now += pause;
          const wait = limit.delay(bytes, now);
          now += wait > 0 ? wait + late : 0;
          sent.push([now, bytes]);
        }
        for (const [from, first] of sent.entries()) {
          let bytes = 0;
          for (const [at, one] of sent.slice(from)) {
            bytes += one;
            const allowed = (rate * (at - first[0])) / 1000 + 2 * limit.maxPiece + rate * STEP;
            // Sums of times round.
            expect(bytes).toBeLessThanOrEqual(allowed + 1e-6 * bytes);
          }
        }
      }),
    );
  });

  it('reaches the rate, though each timer is late', () => {
    const limit = new RateLimit(100_000);
    let now = 0;
    for (let at = 0; at < 1000; at++) {
      const wait = limit.delay(limit.maxPiece, now);
      now += wait > 0 ? wait + 3 : 0;
    }
    expect((limit.maxPiece * 1000 * 1000) / now).toBeGreaterThan(99_500);
  });

  it.each([0, -1, Number.NaN, 0.5])('refuses a rate of %d', (rate) => {
    expect(() => new RateLimit(rate)).toThrow(expect.objectContaining({ code: 'argument' }));
  });
});
