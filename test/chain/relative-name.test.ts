import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { commitBackingName, joinBackingName } from '../../src/chain/relative-name.js';

describe('relative names', () => {
  it('keep dots, and count from the directory of the overlay', () => {
    expect(joinBackingName('top', 'base')).toBe('base');
    expect(joinBackingName('sub/link2', '../sub/link1')).toBe('sub/../sub/link1');
    expect(joinBackingName('/top', './a:b')).toBe('/./a:b');
  });

  it('of a span that is none, or leaves the chain, is no name', () => {
    const chain = [{ relPath: undefined }, { relPath: 'a' }];
    expect([commitBackingName(chain, 1, 0), commitBackingName(chain, 1, 2), commitBackingName(chain, 0, 1)]).toEqual([
      ...[undefined, undefined, undefined],
    ]);
  });

  it('lead from the overlay of the top to the very path of the base', () => {
    const name = fc
      .array(fc.constantFrom('a', 'b', '..'), { minLength: 1, maxLength: 4 })
      .map((parts) => parts.join('/'));
    fc.assert(
      fc.property(name, fc.array(name, { minLength: 1, maxLength: 6 }), (overlay, names) => {
        const walked = names.reduce(joinBackingName, overlay);
        const chain = [undefined, ...names].map((relPath) => ({ relPath }));
        expect(joinBackingName(overlay, commitBackingName(chain, 1, names.length) ?? '')).toBe(walked);
      }),
    );
  });
});
