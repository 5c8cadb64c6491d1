import { AnswerFields, isObject, type Json, returned } from '../chain/answer-fields.js';
import { BlockBitmapMapping, type MappedBitmap, type MappedNode } from '../migration/block-bitmap-mapping.js';

/** How far a migration has come, from `query-migrate`. */
export interface MigrationProgress {
  /** `none`, `setup`, `active`, `postcopy-active`, `completed`, `failed`, `cancelled`, ... */
  readonly status: string;
  /** Why it failed, where QEMU says so. */
  readonly error: string | undefined;
  /** RAM, once there is something to tell of. */
  readonly ram: RamProgress | undefined;
}

/** RAM of a migration. Sizes are in bytes. */
export interface RamProgress {
  /** Of the guest. */
  readonly total: number;
  /** Still to be sent. */
  readonly remaining: number;
  /** Sent so far, repeated pages among them. */
  readonly transferred: number;
  /** Bytes per second, as QEMU measured them last; 0 where it has not yet. */
  readonly bandwidth: number;
  /** Passes over the RAM so far (`dirty-sync-count`). */
  readonly passes: number;
}

/** What a migration depends on, from `query-migrate-parameters`. */
export interface MigrationParameters {
  /** Bytes per second; 0 is without a limit. */
  readonly maxBandwidth: number;
  /** Milliseconds that the guest may stand still. */
  readonly downtimeLimit: number;
  /**
   * Bytes per second that QEMU counts with for the end, instead of what it measures; 0 for what it measures. Undefined where
   * it has no such parameter (before 8.2).
   */
  readonly switchoverBandwidth: number | undefined;
  /** `block-bitmap-mapping`, where one was set. */
  readonly mapping: BlockBitmapMapping | undefined;
}

/** Statuses in which no migration is under way. QEMU: `MigrationStatus`. */
const OVER: readonly string[] = ['none', 'completed', 'failed', 'cancelled'];

/** Whether a migration is under way; a status that is not known is taken for one. */
export function inProgress(status: string): boolean {
  return !OVER.includes(status);
}

/** Whether the guest runs at the destination already: bitmaps are sent now, and nothing can stall. */
export function inPostcopy(status: string): boolean {
  return status.startsWith('postcopy');
}

/** What `query-migrate` returned. @throws DirtyBitmapError `set-invalid`. */
export function parseMigrationProgress(answer: unknown): MigrationProgress {
  const of = new AnswerFields('query-migrate');
  const migration = objectOf(answer, of);
  const ram = of.object(migration, 'ram', '');
  return {
    status: of.text(migration, 'status', '') ?? 'none',
    error: of.text(migration, 'error-desc', ''),
    ram: ram && {
      total: of.size(ram, 'total', 'ram') ?? 0,
      remaining: of.size(ram, 'remaining', 'ram') ?? 0,
      transferred: of.size(ram, 'transferred', 'ram') ?? 0,
      bandwidth: ((of.number(ram, 'mbps', 'ram') ?? 0) * 1e6) / 8,
      passes: of.size(ram, 'dirty-sync-count', 'ram') ?? 0,
    },
  };
}

/** QEMU's defaults, for one that does not tell. */
const DEFAULT_BANDWIDTH = 128 * 2 ** 20;
const DEFAULT_DOWNTIME = 300;

/** What `query-migrate-parameters` returned. @throws DirtyBitmapError `set-invalid`, `mapping-invalid`. */
export function parseMigrationParameters(answer: unknown): MigrationParameters {
  const of = new AnswerFields('query-migrate-parameters');
  const parameters = objectOf(answer, of);
  const mapping = of.objects(parameters, 'block-bitmap-mapping', '');
  return {
    maxBandwidth: of.size(parameters, 'max-bandwidth', '') ?? DEFAULT_BANDWIDTH,
    downtimeLimit: of.size(parameters, 'downtime-limit', '') ?? DEFAULT_DOWNTIME,
    switchoverBandwidth: of.size(parameters, 'avail-switchover-bandwidth', ''),
    mapping: mapping && new BlockBitmapMapping(mapping.map((node, at) => mappedNode(node, at, of))),
  };
}

function mappedNode(node: Json, at: number, of: AnswerFields): MappedNode {
  const path = `block-bitmap-mapping[${at}]`;
  const bitmaps = of.needed(of.objects(node, 'bitmaps', path), 'bitmaps', path, 'an array of objects');
  return {
    'node-name': neededText(node, 'node-name', path, of),
    alias: neededText(node, 'alias', path, of),
    bitmaps: bitmaps.map((bitmap, i) => mappedBitmap(bitmap, `${path}.bitmaps[${i}]`, of)),
  };
}

function mappedBitmap(bitmap: Json, path: string, of: AnswerFields): MappedBitmap {
  const transform = of.object(bitmap, 'transform', path);
  const persistent = transform && of.flag(transform, 'persistent', `${path}.transform`);
  return {
    name: neededText(bitmap, 'name', path, of),
    alias: neededText(bitmap, 'alias', path, of),
    transform: transform && { persistent },
  };
}

function neededText(from: Json, key: string, path: string, of: AnswerFields): string {
  return of.needed(of.text(from, key, path), key, path, 'a text');
}

/** The capabilities that are on, from `query-migrate-capabilities`. @throws DirtyBitmapError `set-invalid`. */
export function parseMigrationCapabilities(answer: unknown): ReadonlySet<string> {
  const of = new AnswerFields('query-migrate-capabilities');
  const list = of.needed(of.objects({ list: returned(answer) }, 'list', ''), 'list', '', 'an array of objects');
  const on = list.filter((one, at) => of.flag(one, 'state', `[${at}]`) === true);
  return new Set(on.map((one, at) => of.text(one, 'capability', `[${at}]`) ?? ''));
}

/** The state of the machine, from `query-status`: `running`, `inmigrate`, ... @throws DirtyBitmapError `set-invalid`. */
export function parseRunState(answer: unknown): string {
  const of = new AnswerFields('query-status');
  return neededText(objectOf(answer, of), 'status', '', of);
}

/** Whether SWITCHOVER_START is sent, from the text of `info migrate`; undefined where that does not tell. */
export function parseSwitchoverStart(text: unknown): boolean | undefined {
  const told = typeof text === 'string' ? /^ *send-switchover-start: (on|off)\b/m.exec(text)?.[1] : undefined;
  return told === undefined ? undefined : told === 'on';
}

/** `[7, 2, 22]`, from `query-version`. @throws DirtyBitmapError `set-invalid`. */
export function parseVersion(answer: unknown): QemuRelease {
  const of = new AnswerFields('query-version');
  const qemu = of.object(objectOf(answer, of), 'qemu', '');
  const part = (name: string): number => of.needed(qemu && of.size(qemu, name, 'qemu'), name, 'qemu', 'a whole number');
  return { major: part('major'), minor: part('minor'), micro: part('micro') };
}

/** Which QEMU it is. */
export interface QemuRelease {
  readonly major: number;
  readonly minor: number;
  readonly micro: number;
}

/** Whether a QEMU is of `major.minor` or later. */
export function isSince(release: QemuRelease, major: number, minor: number): boolean {
  return release.major > major || (release.major === major && release.minor >= minor);
}

function objectOf(answer: unknown, of: AnswerFields): Json {
  const value = returned(answer);
  if (isObject(value)) return value;
  throw of.wrong('', 'an object', value);
}
