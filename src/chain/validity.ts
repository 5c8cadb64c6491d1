import { bitmapOn, type Nodes } from './node-bitmaps.js';

/** Why a bitmap of the top does not tell what changed, or undefined where it does. */
export type Invalid = 'not-on-top' | 'hole' | 'not-recording' | 'not-persistent' | 'inconsistent';

/** A layer that makes a bitmap invalid. */
export interface Invalidity {
  readonly reason: Invalid;
  readonly node: string;
}

/**
 * Whether a bitmap tells all changes since it was made, looking down from the top: it is one unbroken run of layers that
 * begins at the top, each of them recording, persistent and not inconsistent. All of the chain counts, also below the base
 * of a job. Source: merge-and-chain.md section 3.
 * @param chain names of nodes, the top first.
 */
export function invalidity(chain: readonly string[], nodes: Nodes, name: string): Invalidity | undefined {
  const [top = ''] = chain;
  let ended = false;
  for (const node of chain) {
    const bitmap = bitmapOn(nodes, node, name);
    if (bitmap === undefined) {
      if (node === top) return { reason: 'not-on-top', node };
      ended = true;
      continue;
    }
    if (ended) return { reason: 'hole', node };
    if (!bitmap.recording) return { reason: 'not-recording', node };
    if (!bitmap.persistent) return { reason: 'not-persistent', node };
    if (bitmap.inconsistent) return { reason: 'inconsistent', node };
  }
  return chain.length === 0 ? { reason: 'not-on-top', node: top } : undefined;
}

/** What an operator reads of it. */
export function invalidityText({ reason, node }: Invalidity): string {
  const texts: Readonly<Record<Invalid, string>> = {
    'not-on-top': `the top, ${node}, does not have it: what changed there since is not known`,
    hole: `${node} has it below a layer that does not: what changed in between is not known`,
    'not-recording': `it does not record on ${node}`,
    'not-persistent': `it is transient on ${node}`,
    inconsistent: `it is inconsistent on ${node}: its QEMU ended without saving it`,
  };
  return texts[reason];
}
