/** A part of a file that stands for the whole: driver `raw` with an offset. In bytes. */
export interface Slice {
  readonly offset: number;
  /** Undefined: to the end of the file. */
  readonly size?: number;
}

/** A file, a block device or a directory of the host. */
export interface HostLocation {
  readonly kind: 'file' | 'block' | 'dir';
  readonly path: string;
  /**
   * Of a plain file name: whether it counts from the directory of the overlay. Undefined for names in `json:`, `file:` and
   * the like, which QEMU never joins to anything: one without a leading slash counts from its working directory.
   */
  readonly relative?: boolean;
  readonly slice?: Slice;
}

/** A place that only a protocol driver reaches. Nothing is ever fetched from there. */
export interface NetworkLocation {
  readonly kind: 'network';
  /** `nbd`, `https`, `rbd`, ...; also one that no QEMU knows. */
  readonly protocol: string;
  /** `tcp`, `unix`, ...: what a URI has behind a `+`. */
  readonly transport?: string;
  readonly host?: string;
  readonly port?: number;
  /** A unix socket. */
  readonly socket?: string;
  /** What it has there: an export, an image, a path; without the slash that ends the host. */
  readonly path: string;
  /** Passwords are left in the backing string. */
  readonly user?: string;
  readonly slice?: Slice;
}

/** Where a backing string points. Source: merge-and-chain.md section 11. */
export type BackingLocation = HostLocation | NetworkLocation;
