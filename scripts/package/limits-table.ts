import { readFileSync } from 'node:fs';
import ts from 'typescript';
import { DEFAULT_LIMITS } from '../../src/limits.js';

const SOURCE = new URL('../../src/limits.ts', import.meta.url);
const UNITS = [' GiB', ' MiB', ' KiB'] as const;

/** A Markdown table of all limits: the defaults, and what their docstrings say. */
export function limitsTable(): string {
  const docs = limitDocs();
  const rows = Object.entries(DEFAULT_LIMITS).map(([name, value]) => {
    const doc = docs.get(name) ?? '';
    return `| \`${name}\` | ${/^Bytes\b/.test(doc) ? bytes(value) : value} | ${doc} |`;
  });
  return ['| limit | default | what it caps |', '| --- | --- | --- |', ...rows].join('\n');
}

/** What is said of each property of the interface. */
function limitDocs(): ReadonlyMap<string, string> {
  const file = ts.createSourceFile('limits.ts', readFileSync(SOURCE, 'utf8'), ts.ScriptTarget.Latest, true);
  const members = file.statements.filter(ts.isInterfaceDeclaration).flatMap(({ members: own }) => [...own]);
  return new Map(
    members.map((member) => {
      const [doc] = ts.getJSDocCommentsAndTags(member);
      return [member.name?.getText() ?? '', ts.getTextOfJSDocComment(doc?.comment) ?? ''];
    }),
  );
}

function bytes(value: number): string {
  const at = UNITS.findIndex((_, index) => value % 1024 ** (UNITS.length - index) === 0);
  return at < 0 ? String(value) : `${value / 1024 ** (UNITS.length - at)}${UNITS[at]}`;
}
