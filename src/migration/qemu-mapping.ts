import type { QemuNodeMapping } from './qemu-destination.js';
import { keyOfText } from './qemu-name.js';
import { QEMU_TRAITS, type QemuVersion } from './qemu-version.js';

/** What a bitmap alias stands for. */
interface MappedBitmap {
  readonly name: string;
  /** Overrides the stream's flag. */
  readonly persistent: boolean | undefined;
}

/** What a node alias stands for. */
export interface MappedNode {
  /** Its node-name: a mapping does not look at drives. */
  readonly node: string;
  readonly bitmaps: ReadonlyMap<string, MappedBitmap>;
}

/** block-bitmap-mapping by alias. */
export type AliasMap = ReadonlyMap<string, MappedNode>;

/** Bytes. Source: dirty-bitmap-states.md sections 4 and 5. */
const MAX_ALIAS = 255;
const MAX_NODE_NAME = 31;
const MAX_BITMAP_NAME = 1023;
/** What QEMU takes for an identifier. */
const WELL_FORMED = /^[A-Za-z][-A-Za-z0-9._]*$/;

/** The mapping by alias, by the bytes of the names. */
export function aliasMap(mapping: readonly QemuNodeMapping[]): AliasMap {
  return new Map(
    mapping.map((node) => [
      keyOfText(node.alias),
      {
        node: node['node-name'],
        bitmaps: new Map(
          node.bitmaps.map(({ name, alias, transform }) => [
            keyOfText(alias),
            { name, persistent: transform?.persistent },
          ]),
        ),
      },
    ]),
  );
}

/** Why `migrate-set-parameters` refuses a mapping, or undefined where it takes it. */
export function mappingProblem(mapping: readonly QemuNodeMapping[], version: QemuVersion): string | undefined {
  const { transform } = QEMU_TRAITS[version];
  for (const [at, node] of mapping.entries()) {
    const where = `block-bitmap-mapping[${at}]`;
    const { 'node-name': name, alias } = node;
    if (!WELL_FORMED.test(alias)) return `the node alias '${alias}' is not well-formed`;
    if (bytesOf(alias) > MAX_ALIAS) return `the node alias '${alias}' is longer than ${MAX_ALIAS} bytes`;
    if (bytesOf(name) > MAX_NODE_NAME) return `the node name '${name}' is longer than ${MAX_NODE_NAME} bytes`;
    for (const [index, bitmap] of node.bitmaps.entries()) {
      if (bitmap.transform !== undefined && !transform) {
        return `Parameter '${where}.bitmaps[${index}].transform' is unexpected`;
      }
      if (bytesOf(bitmap.alias) > MAX_ALIAS) return `a bitmap alias is longer than ${MAX_ALIAS} bytes`;
      if (bytesOf(bitmap.name) > MAX_BITMAP_NAME) return `a bitmap name is longer than ${MAX_BITMAP_NAME} bytes`;
    }
    const twice = duplicate(node.bitmaps.map((bitmap) => bitmap.name));
    if (twice !== undefined) return `the bitmap '${twice}' is mapped twice on the node '${name}'`;
    const aliasTwice = duplicate(node.bitmaps.map((bitmap) => bitmap.alias));
    if (aliasTwice !== undefined) return `the bitmap alias '${aliasTwice}' is used twice on the node '${name}'`;
  }
  const node = duplicate(mapping.map((one) => one['node-name']));
  if (node !== undefined) return `the node '${node}' is mapped twice`;
  const alias = duplicate(mapping.map((one) => one.alias));
  return alias === undefined ? undefined : `the node alias '${alias}' is used twice`;
}

function bytesOf(text: string): number {
  return keyOfText(text).length;
}

/** The first text that comes again. */
function duplicate(texts: readonly string[]): string | undefined {
  const seen = new Set<string>();
  for (const text of texts) {
    if (seen.has(text)) return text;
    seen.add(text);
  }
  return undefined;
}
