// npm run readme: makes the parts of README.md anew that follow from the code: the picture of the layers, the limits.
import { readFileSync, writeFileSync } from 'node:fs';
import { importGraph, mermaid } from './package/import-graph.js';
import { limitsTable } from './package/limits-table.js';

const README = new URL('../README.md', import.meta.url);

const picture = mermaid(await importGraph());
writeFileSync(
  README,
  readFileSync(README, 'utf8')
    .replace(/```mermaid\n[\s\S]*?```/, () => `\`\`\`mermaid\n${picture}\n\`\`\``)
    .replace(/^\| limit \|.*\n(\|.*\n)*/m, () => `${limitsTable()}\n`),
);
