// What the package has besides its code: run by `npm run build`, after tsup.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { commandWords } from '../src/cli/completion/command-words.js';
import { COMPLETIONS } from '../src/cli/completion/scripts.js';
import { commandLine } from './package/command-line.js';
import { inspectorPage } from './package/inspector.js';
import { manPage } from './package/man-page.js';
import { makeSchemas } from './package/schemas.js';

const DIST = fileURLToPath(new URL('../dist/', import.meta.url));
const program = commandLine();
const words = commandWords(program);

write(`man/${program.name()}.1`, manPage(program));
// Under the names that they have in the folders that shells look into.
const names = { bash: `${program.name()}.bash`, zsh: `_${program.name()}`, fish: `${program.name()}.fish` } as const;
for (const shell of ['bash', 'zsh', 'fish'] as const) write(`completions/${names[shell]}`, COMPLETIONS[shell](words));
write('inspector/index.html', await inspectorPage());
for (const [name, schema] of makeSchemas()) write(`schemas/${name}.json`, `${JSON.stringify(schema, undefined, 2)}\n`);

function write(path: string, text: string): void {
  mkdirSync(dirname(DIST + path), { recursive: true });
  writeFileSync(DIST + path, text);
}
