import type { Action } from '../chain/actions.js';
import type { MappedNode } from '../migration/block-bitmap-mapping.js';

/** A node and a bitmap of it. */
export interface BitmapRef {
  readonly node: string;
  readonly name: string;
}

/** What a bitmap is made with. */
export interface BitmapAdd extends BitmapRef {
  /** In bytes, a power of two of at least 512; QEMU's default is the cluster size of the image, at least 4096. */
  readonly granularity?: number;
  /** Kept in the image when QEMU ends; default false. */
  readonly persistent?: boolean;
  /** Does not record writes; default false. */
  readonly disabled?: boolean;
}

/** Options of `blockdev-add` and `blockdev-reopen`: those of the driver, and by name its children. */
export interface BlockdevOptions {
  readonly driver: string;
  readonly 'node-name': string;
  readonly 'read-only'?: boolean;
  readonly [option: string]: unknown;
}

/** What `query-migrate` tells, as far as it is looked at here. */
export interface MigrationStatus {
  /** `none`, `setup`, `active`, `completed`, `failed`, `cancelled`, ...; absent before the first migration. */
  readonly status?: string;
  readonly 'error-desc'?: string;
  /** Sizes in bytes. */
  readonly ram?: {
    readonly total: number;
    readonly remaining: number;
    readonly transferred: number;
    /** Megabits per second, as measured. */
    readonly mbps: number;
    /** Passes over the RAM. */
    readonly 'dirty-sync-count': number;
  };
}

/** Parameters of a migration, as far as they are looked at here. */
export interface MigrationSettings {
  /** Bytes per second; 0 is without a limit. */
  readonly 'max-bandwidth'?: number;
  /** Milliseconds, at most 2000000. */
  readonly 'downtime-limit'?: number;
  /** Bytes per second to count with for the end; 0 for what is measured. Since QEMU 8.2. */
  readonly 'avail-switchover-bandwidth'?: number;
  /** Names here and names in the stream. Since QEMU 5.2. */
  readonly 'block-bitmap-mapping'?: readonly MappedNode[];
}

/** A switch of `migrate-set-capabilities`, such as `dirty-bitmaps`. */
export interface MigrationCapability {
  readonly capability: string;
  readonly state: boolean;
}

/**
 * The commands of QEMU that have to do with dirty bitmaps: what each is given and returns. Sizes are in bytes. Source: the
 * QMP reference of QEMU, and what QEMU 7.2 answers.
 */
export interface QmpCommands {
  'block-dirty-bitmap-add': { readonly arguments: BitmapAdd; readonly returns: object };
  'block-dirty-bitmap-remove': { readonly arguments: BitmapRef; readonly returns: object };
  'block-dirty-bitmap-clear': { readonly arguments: BitmapRef; readonly returns: object };
  'block-dirty-bitmap-enable': { readonly arguments: BitmapRef; readonly returns: object };
  'block-dirty-bitmap-disable': { readonly arguments: BitmapRef; readonly returns: object };
  'block-dirty-bitmap-merge': {
    /** A text among the bitmaps is one of the target's node. */
    readonly arguments: {
      readonly node: string;
      readonly target: string;
      readonly bitmaps: readonly (string | BitmapRef)[];
    };
    readonly returns: object;
  };
  transaction: {
    /** All of them are done, or none. */
    readonly arguments: { readonly actions: readonly Action[] };
    readonly returns: object;
  };
  'query-named-block-nodes': { readonly arguments: { readonly flat?: boolean }; readonly returns: readonly object[] };
  'x-debug-query-block-graph': { readonly arguments: undefined; readonly returns: object };
  'query-block': { readonly arguments: undefined; readonly returns: readonly object[] };
  'query-migrate': { readonly arguments: undefined; readonly returns: MigrationStatus };
  'query-migrate-capabilities': { readonly arguments: undefined; readonly returns: readonly MigrationCapability[] };
  'query-migrate-parameters': { readonly arguments: undefined; readonly returns: MigrationSettings };
  'migrate-set-parameters': { readonly arguments: MigrationSettings; readonly returns: object };
  /** Goes over to the destination, and sends there what is left. */
  'migrate-start-postcopy': { readonly arguments: undefined; readonly returns: object };
  migrate_cancel: { readonly arguments: undefined; readonly returns: object };
  'query-status': { readonly arguments: undefined; readonly returns: { readonly status: string } };
  'query-version': {
    readonly arguments: undefined;
    readonly returns: { readonly qemu: { readonly major: number; readonly minor: number; readonly micro: number } };
  };
  /** Lines for people, as the monitor prints them. */
  'human-monitor-command': { readonly arguments: { readonly 'command-line': string }; readonly returns: string };
  /** Of all bits, in their order. */
  'x-debug-block-dirty-bitmap-sha256': { readonly arguments: BitmapRef; readonly returns: { readonly sha256: string } };
  migrate: { readonly arguments: { readonly uri: string }; readonly returns: object };
  'migrate-set-capabilities': {
    readonly arguments: { readonly capabilities: readonly MigrationCapability[] };
    readonly returns: object;
  };
  'migrate-incoming': { readonly arguments: { readonly uri: string }; readonly returns: object };
  /** What is left out of the options goes back to its default. Since QEMU 6.1. */
  'blockdev-reopen': { readonly arguments: { readonly options: readonly BlockdevOptions[] }; readonly returns: object };
  'block-export-add': {
    readonly arguments: {
      readonly type: 'nbd';
      readonly id: string;
      readonly 'node-name': string;
      readonly name?: string;
      readonly writable?: boolean;
      /** Bitmaps that clients may read, as `qemu:dirty-bitmap:NAME`. */
      readonly bitmaps?: readonly (string | BitmapRef)[];
    };
    readonly returns: object;
  };
}

/** A command as it goes over the wire. */
export interface QmpCommand<Name extends keyof QmpCommands = keyof QmpCommands> {
  readonly execute: Name;
  readonly arguments?: QmpCommands[Name]['arguments'];
}

/**
 * A command with its arguments.
 * @example
 * qmpCommand('block-dirty-bitmap-add', { node: 'disk0', name: 'monday', persistent: true });
 */
export function qmpCommand<Name extends keyof QmpCommands>(
  execute: Name,
  ...[args]: undefined extends QmpCommands[Name]['arguments'] ? [] : [QmpCommands[Name]['arguments']]
): QmpCommand<Name> {
  return args === undefined ? { execute } : { execute, arguments: args };
}

/** Does commands, each of them once; a `QmpClient` of `dirtybitmap/node` is one. */
export interface QmpExecutor {
  /** @throws DirtyBitmapError `qmp-refused`; `qmp-closed` and `qmp-timeout` where it is not known whether it was done. */
  execute<T = unknown>(command: string, args?: object): Promise<T>;
}

/** Does a command. @throws DirtyBitmapError as {@link QmpExecutor.execute}. */
export async function runCommand<Name extends keyof QmpCommands>(
  qmp: QmpExecutor,
  { execute, arguments: args }: QmpCommand<Name>,
): Promise<QmpCommands[Name]['returns']> {
  return await qmp.execute(execute, args as object | undefined);
}
