/** A layer, as far as relative names go. */
export interface NamedLayer {
  /** How the overlay names it, where that name is relative. */
  readonly relPath: string | undefined;
}

/**
 * A name joined to the directory of the overlay's path as that was given: symbolic links are not looked at, and `..` stays,
 * as the system that opens the result knows best what it means. Source: merge-and-chain.md section 11.
 */
export function joinBackingName(overlay: string, name: string): string {
  return overlay.slice(0, overlay.lastIndexOf('/') + 1) + name;
}

/**
 * The backing name that the overlay of `top` is to have after a commit of the layers from `top` to `base` into `base`, where
 * names are to stay relative: the names on the way, each counted from the directory of the one before.
 * @param chain the active layer first.
 * @param top number of the first layer that goes.
 * @param base number of the layer that stays, at or below `top`.
 * @returns undefined where a name on the way is absolute, or the span is none: such a commit cannot keep names relative.
 * @example
 * commitBackingName([{ relPath: undefined }, { relPath: 'a/mid' }, { relPath: '../base' }], 1, 2); // 'a/../base'
 */
export function commitBackingName(chain: readonly NamedLayer[], top: number, base: number): string | undefined {
  if (base < top) return undefined;
  let name = '';
  for (let at = top; at <= base; at++) {
    const relPath = chain[at]?.relPath;
    if (relPath === undefined) return undefined;
    name = joinBackingName(name, relPath);
  }
  return name;
}
