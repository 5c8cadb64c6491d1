/** A node and a bitmap of it, as QMP names them. */
export interface BitmapSource {
  readonly node: string;
  readonly name: string;
}

/** An action of a QMP `transaction`, keys in libvirt's order. */
export type Action =
  | {
      readonly type: 'block-dirty-bitmap-add';
      readonly data: BitmapSource & {
        readonly persistent: boolean;
        readonly disabled: boolean;
        /** In bytes. */
        readonly granularity?: number;
      };
    }
  | {
      readonly type: 'block-dirty-bitmap-merge';
      readonly data: { readonly node: string; readonly target: string; readonly bitmaps: readonly BitmapSource[] };
    }
  | { readonly type: 'block-dirty-bitmap-remove'; readonly data: BitmapSource }
  /** Puts an overlay, which is open already, on top of a node. */
  | { readonly type: 'blockdev-snapshot'; readonly data: { readonly node: string; readonly overlay: string } };

/** A bitmap that a plan leaves alone. */
export interface Skipped {
  readonly name: string;
  readonly node: string;
  readonly reason: string;
}

/** What QEMU would refuse, or what is certainly not meant. */
export interface PlanProblem {
  /** `argument`: the plan makes no sense; else what QEMU says no to. */
  readonly code:
    | 'argument'
    | 'busy'
    | 'size-differs'
    | 'read-only'
    | 'no-bitmaps'
    | 'exists'
    | 'missing'
    | 'granularity';
  readonly message: string;
}

/** What is to be done, what is left out, and what stands in the way. */
export interface BitmapPlan {
  /** For one transaction; nothing is to be sent where there are none. */
  readonly actions: readonly Action[];
  readonly skipped: readonly Skipped[];
  readonly problems: readonly PlanProblem[];
  /** Nodes that must be writable meanwhile and are not by themselves, deepest first. */
  readonly reopen: readonly string[];
}
