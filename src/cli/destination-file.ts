import { readFileSync } from 'node:fs';
import { DirtyBitmapError } from '../errors.js';
import { accessError } from '../io/source.js';
import type { QemuDestination } from '../migration/qemu-destination.js';

type Check = (value: unknown) => boolean;

const isText: Check = (value) => typeof value === 'string';
const isFlag: Check = (value) => typeof value === 'boolean';
// 8 PiB is 2^53, which is exact.
const isBytes: Check = (value) => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 2 ** 53;
const listOf =
  (fields: Fields): Check =>
  (value) =>
    Array.isArray(value) && value.every((item) => problem(item, fields) === undefined);

/** What an object may have; a field whose name ends with `!` must be there. */
type Fields = Readonly<Record<string, Check>>;

const OLD_BITMAP: Fields = { 'name!': isText, 'granularity!': isBytes, recording: isFlag, persistent: isFlag };
const MAPPED: Fields = {
  'name!': isText,
  'alias!': isText,
  transform: (value) => problem(value, { persistent: isFlag }) === undefined,
};
const DESTINATION: Fields = {
  machine: isText,
  footers: isFlag,
  configuration: isFlag,
  returnPath: isFlag,
  nodes: listOf({
    'node!': isText,
    device: isText,
    'size!': isBytes,
    readOnly: isFlag,
    canStore: isFlag,
    bitmaps: listOf(OLD_BITMAP),
    stored: listOf(OLD_BITMAP),
  }),
  mapping: listOf({ 'node-name!': isText, 'alias!': isText, 'bitmaps!': listOf(MAPPED) }),
};

/** Bytes of a description: nobody writes a longer one. */
const MAX_BYTES = 16 * 1024 * 1024;

/**
 * Reads what `check --destination FILE` says about the QEMU that is given a stream: the fields of `QemuDestination`,
 * without its version, as JSON.
 * @throws DirtyBitmapError `file-access`, or `argument` where it has not that form.
 */
export function readDestination(path: string): Omit<QemuDestination, 'version'> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw accessError(path, cause);
  }
  let json: unknown;
  try {
    if (text.length > MAX_BYTES) throw new SyntaxError('it is too long');
    json = JSON.parse(text);
  } catch (cause) {
    throw new DirtyBitmapError('argument', `--destination ${path}: expected JSON, found ${(cause as Error).message}`, {
      cause,
    });
  }
  const wrong = problem(json, DESTINATION);
  if (wrong !== undefined) {
    throw new DirtyBitmapError(
      'argument',
      `--destination ${path}: ${wrong}; expected {"machine", "nodes": [{"node", "size", "bitmaps", ...}], "mapping"}, sizes in bytes`,
    );
  }
  return json as Omit<QemuDestination, 'version'>;
}

/** What is wrong with a value, or undefined. */
function problem(value: unknown, fields: Fields): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'an object was expected';
  const found = value as Record<string, unknown>;
  for (const [field, check] of Object.entries(fields)) {
    const name = field.replace('!', '');
    if (found[name] === undefined ? field.endsWith('!') : !check(found[name])) return `${name} is missing or wrong`;
  }
  const unknown = Object.keys(found).find((name) => !(name in fields) && !(`${name}!` in fields));
  return unknown === undefined ? undefined : `${JSON.stringify(unknown)} is not known`;
}
