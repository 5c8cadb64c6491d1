import { fileURLToPath } from 'node:url';
import { createGenerator, type Schema } from 'ts-json-schema-generator';
import type { JsonDocuments } from '../../src/cli/json-documents.js';

type Definitions = NonNullable<Schema['definitions']>;

const TYPE = 'JsonDocuments';
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** A JSON Schema (draft 7) of what each command prints for programs, made from the type {@link JsonDocuments}. */
export function makeSchemas(): ReadonlyMap<keyof JsonDocuments, Schema> {
  const generator = createGenerator({
    path: `${ROOT}src/cli/json-documents.ts`,
    tsconfig: `${ROOT}tsconfig.json`,
    // Types are checked elsewhere; the generator has an older compiler of its own.
    skipTypeCheck: true,
    // Fields may be added.
    additionalProperties: true,
    topRef: false,
    // Codes are keys of tables that have functions in them.
    functions: 'hide',
  });
  const { definitions = {}, properties = {} } = withoutLinks(generator.createSchema(TYPE));
  openCodes(definitions);
  return new Map(
    Object.entries(properties).map(([key, schema]) => {
      const name = key as keyof JsonDocuments;
      const own = schema as Schema;
      const title = name === 'error' ? 'dirtybitmap: an error' : `dirtybitmap ${name}`;
      const used = Object.fromEntries(reached(own, definitions).map((one) => [one, definitions[one] as Schema]));
      return [name, { $schema: 'http://json-schema.org/draft-07/schema#', title, ...own, definitions: used }];
    }),
  );
}

/** Links of docstrings lead nowhere in a schema. */
function withoutLinks(schema: Schema): Schema {
  const text = JSON.stringify(schema).replace(/\s*\{\s*@link\s+([\w.]+)\s*\}\s*/g, ' $1 ');
  return JSON.parse(text.replace(/ +([.,"])/g, '$1')) as Schema;
}

/** A later version may have more codes. */
function openCodes(definitions: Definitions): void {
  for (const [name, schema] of Object.entries(definitions)) {
    if (!name.endsWith('Code')) continue;
    const { description = '' } = schema as Schema;
    definitions[name] = { type: 'string', description: `${description} Later versions may have more.`.trim() };
  }
}

/** The definitions that a schema refers to, and those that these refer to, by name. */
function reached(schema: Schema, definitions: Definitions, seen = new Set<string>()): string[] {
  for (const [, encoded = ''] of JSON.stringify(schema).matchAll(/"\$ref":"#\/definitions\/([^"]+)"/g)) {
    const name = decodeURIComponent(encoded);
    if (seen.has(name)) continue;
    seen.add(name);
    reached(definitions[name] as Schema, definitions, seen);
  }
  return [...seen].sort();
}
