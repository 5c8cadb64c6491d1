import { quoted } from '../bytes/text.js';
import { AnswerFields, isObject, returned } from './answer-fields.js';
import type { NodeBitmap, NodeFacts, Nodes } from './node-bitmaps.js';

/** What was read of nodes, and what was not told of them. */
export interface ParsedNodes {
  readonly nodes: Nodes;
  /** Checks that cannot be made, for want of what they look at. */
  readonly notes: readonly string[];
}

const answer = new AnswerFields('query-named-block-nodes');

/**
 * The nodes in what `query-named-block-nodes` returned: the array, or an object with it under `return`. Of each node only
 * `node-name` must be there; what else is missing is not checked.
 * @throws DirtyBitmapError `set-invalid`, with the place in `path`.
 */
export function parseNodes(json: unknown): ParsedNodes {
  const list = returned(json);
  if (!Array.isArray(list)) throw answer.wrong('', 'an array of nodes, or an object with one under "return"', list);
  const nodes = new Map<string, NodeFacts>();
  for (const [at, value] of list.entries()) {
    const facts = parseNode(value, `[${at}]`);
    if (nodes.has(facts.node)) throw answer.wrong(`[${at}]["node-name"]`, 'a name that no other node has', facts.node);
    nodes.set(facts.node, facts);
  }
  const without = (of: (facts: NodeFacts) => unknown): readonly string[] =>
    [...nodes.values()].filter((facts) => of(facts) === undefined).map(({ node }) => node);
  return {
    nodes,
    notes: [
      ...note(
        'sizes of disks are not compared',
        'image.virtual-size',
        without(({ virtualSize }) => virtualSize),
      ),
      ...note(
        'whether they hold bitmaps is not checked',
        'drv',
        without(({ format }) => format),
      ),
    ],
  };
}

function note(what: string, field: string, nodes: readonly string[]): string[] {
  if (nodes.length === 0) return [];
  const names = nodes.slice(0, 5).map((node) => quoted(node, 40));
  const more = nodes.length > names.length ? ` and ${nodes.length - names.length} more` : '';
  return [`${what} for ${names.join(', ')}${more}: "${field}" is not told`];
}

function parseNode(value: unknown, path: string): NodeFacts {
  if (!isObject(value)) throw answer.wrong(path, 'an object', value);
  const node = answer.text(value, 'node-name', path);
  if (node === undefined) throw answer.wrong(`${path}["node-name"]`, 'a text', undefined);
  const image = answer.object(value, 'image', path);
  const specific = image && answer.object(image, 'format-specific', `${path}.image`);
  const data = specific && answer.object(specific, 'data', `${path}.image["format-specific"]`);
  return {
    node,
    bitmaps: parseBitmaps(value['dirty-bitmaps'], `${path}["dirty-bitmaps"]`),
    virtualSize: image && answer.size(image, 'virtual-size', `${path}.image`),
    format: answer.text(value, 'drv', path),
    qcow2Compat: data && answer.text(data, 'compat', `${path}.image["format-specific"].data`),
    readOnly: answer.flag(value, 'ro', path),
  };
}

function parseBitmaps(value: unknown, path: string): NodeBitmap[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw answer.wrong(path, 'an array', value);
  const bitmaps: NodeBitmap[] = [];
  for (const [at, bitmap] of value.entries()) {
    const own = `${path}[${at}]`;
    if (!isObject(bitmap)) throw answer.wrong(own, 'an object', bitmap);
    const name = answer.text(bitmap, 'name', own);
    // Those of jobs have none.
    if (name === undefined) continue;
    bitmaps.push({
      name,
      granularity: answer.size(bitmap, 'granularity', own),
      recording: answer.flag(bitmap, 'recording', own) ?? false,
      persistent: answer.flag(bitmap, 'persistent', own) ?? false,
      busy: answer.flag(bitmap, 'busy', own) ?? false,
      inconsistent: answer.flag(bitmap, 'inconsistent', own) ?? false,
    });
  }
  return bitmaps;
}
