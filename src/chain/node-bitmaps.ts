/** A bitmap of a node, as `query-named-block-nodes` tells it. What is not told is false or undefined. */
export interface NodeBitmap {
  readonly name: string;
  /** In bytes. */
  readonly granularity: number | undefined;
  /** Writes of the guest are recorded in it. */
  readonly recording: boolean;
  /** It is stored in the image when QEMU ends. */
  readonly persistent: boolean;
  /** A job, an export or a migration uses it. */
  readonly busy: boolean;
  /** It was not saved, and its bits are lost. */
  readonly inconsistent: boolean;
}

/** A node of a running QEMU, as far as plans go. */
export interface NodeFacts {
  readonly node: string;
  /** In QEMU's order, without those that have no name. */
  readonly bitmaps: readonly NodeBitmap[];
  /** Bytes of its disk; undefined where nobody told, and then nothing is checked against it. */
  readonly virtualSize?: number | undefined;
  /** `qcow2`, `raw`, ...: its driver. */
  readonly format?: string | undefined;
  /** `0.10` cannot hold bitmaps. */
  readonly qcow2Compat?: string | undefined;
  readonly readOnly?: boolean | undefined;
}

/** Nodes by their names. */
export type Nodes = ReadonlyMap<string, NodeFacts>;

/** The bitmap of a name that a node has; a node that is not known has none. */
export function bitmapOn(nodes: Nodes, node: string, name: string): NodeBitmap | undefined {
  return nodes.get(node)?.bitmaps.find((bitmap) => bitmap.name === name);
}
