import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Ajv, type AnySchemaObject, type ValidateFunction } from 'ajv';
import { RULES } from '../../src/rules.js';

const FOLDER = fileURLToPath(new URL('../../dist/schemas/', import.meta.url));
const checks = new Map<string, ValidateFunction>();

if (!existsSync(FOLDER)) throw new Error('the schemas are not there: npm run build');

/** The words of the commands that have one, and `error`. */
export const SCHEMAS: readonly string[] = readdirSync(FOLDER).map((name) => name.replace(/\.json$/, ''));

/** The schema as it is published; undefined where there is none. */
export function publishedSchema(name: string): AnySchemaObject | undefined {
  return SCHEMAS.includes(name) ? JSON.parse(readFileSync(`${FOLDER}${name}.json`, 'utf8')) : undefined;
}

/**
 * Checks what a command printed with `--json` (`plan`: with `-o qmp`) against its schema, and more strictly than that: a
 * field that the schema does not tell of and a code without a rule are mistakes too. Other output passes.
 */
export function assertDocumented(args: readonly string[], stdout: string): void {
  const [name = ''] = args;
  if (stdout === '' || !(args.includes('--json') || (name === 'plan' && args.includes('qmp')))) return;
  const check = checks.get(name) ?? compile(name);
  if (check === undefined) return;
  for (const document of name === 'trace' ? stdout.trimEnd().split('\n') : [stdout]) {
    if (check(JSON.parse(document))) continue;
    const wrong = check.errors?.map(
      ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
    );
    throw new Error(
      `dirtybitmap ${args.join(' ')}: not as in dist/schemas/${name}.json (after a change in src: npm run build):\n` +
        `${wrong?.join('\n')}\n${document.slice(0, 2000)}`,
    );
  }
}

function compile(name: string): ValidateFunction | undefined {
  const schema = publishedSchema(name);
  if (schema === undefined) return undefined;
  const check = new Ajv({ strict: false }).compile(strict(schema));
  checks.set(name, check);
  return check;
}

/** The schema with no fields but its own, and no codes but those of {@link RULES}. */
function strict(schema: AnySchemaObject): AnySchemaObject {
  const closed = JSON.parse(JSON.stringify(schema), (_key, value) =>
    value?.type === 'object' && value.properties && !('additionalProperties' in value)
      ? { ...value, additionalProperties: false }
      : value,
  );
  if (closed.definitions.Code) closed.definitions.Code.enum = Object.keys(RULES);
  return closed;
}
