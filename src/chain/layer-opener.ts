import type { RandomAccess } from '../qcow2/random-access.js';

/** A file that is open for reading. */
export interface OpenedLayer {
  readonly file: RandomAccess;
  /** The same text for two paths exactly where they lead to one file: device and inode. */
  readonly identity: string;
  /** Whether a program has it open for writing; undefined where nobody knows. */
  readonly writerPresent: boolean | undefined;
  /** Called once, when all is read. */
  close(): Promise<void>;
}

/** A file that cannot be read. */
export interface AbsentLayer {
  readonly absent: 'missing' | 'unreadable';
  /** Why, for a person: `permission denied`. */
  readonly reason: string;
}

/** How a chain reaches its files. */
export interface LayerOpener {
  /** Opens a file for reading only. Throws only what is not the file's fault. */
  open(path: string): Promise<OpenedLayer | AbsentLayer>;
}
