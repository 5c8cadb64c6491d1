import { AnswerFields, isObject, type Json, returned } from '../chain/answer-fields.js';

/** A bitmap in the directory of a node's image, which QEMU tells of even where it has not loaded it. */
export interface StoredBitmap {
  readonly name: string;
  /** Bytes. */
  readonly granularity: number | undefined;
  /** Some QEMU has the image open for writing, or had when it crashed: what is stored is not up to date. */
  readonly inUse: boolean;
  /** Whether it records once it is loaded. */
  readonly auto: boolean;
}

/**
 * What the images of nodes have stored, by the names of the nodes, from what `query-named-block-nodes` returned. Nodes
 * without bitmaps are left out.
 * @throws DirtyBitmapError `set-invalid`.
 */
export function storedBitmaps(answer: unknown): ReadonlyMap<string, readonly StoredBitmap[]> {
  const of = new AnswerFields('query-named-block-nodes');
  const stored = new Map<string, readonly StoredBitmap[]>();
  const nodes = returned(answer);
  for (const [at, node] of (Array.isArray(nodes) ? nodes : []).entries()) {
    if (!isObject(node)) continue;
    const path = `[${at}].image["format-specific"].data`;
    const image = of.object(node, 'image', `[${at}]`) ?? {};
    const specific = of.object(image, 'format-specific', `[${at}].image`) ?? {};
    const data = of.object(specific, 'data', `[${at}].image["format-specific"]`) ?? {};
    const bitmaps = of.objects(data, 'bitmaps', path) ?? [];
    if (bitmaps.length === 0) continue;
    stored.set(
      of.text(node, 'node-name', `[${at}]`) ?? '',
      bitmaps.map((bitmap, i) => storedBitmap(bitmap, `${path}.bitmaps[${i}]`, of)),
    );
  }
  return stored;
}

function storedBitmap(bitmap: Json, path: string, of: AnswerFields): StoredBitmap {
  const flags: unknown = bitmap['flags'];
  if (!Array.isArray(flags)) throw of.wrong(`${path}.flags`, 'an array', flags);
  return {
    name: of.needed(of.text(bitmap, 'name', path), 'name', path, 'a text'),
    granularity: of.size(bitmap, 'granularity', path),
    inUse: flags.includes('in-use'),
    auto: flags.includes('auto'),
  };
}
