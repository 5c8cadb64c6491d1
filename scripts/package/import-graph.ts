import { fileURLToPath } from 'node:url';
import { cruise, type ICruiseResult } from 'dependency-cruiser';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Files that every folder is built on, and that stand for one thing in a picture. */
const BASE: readonly string[] = ['rules', 'errors', 'limits', 'findings', 'bytes'];

/** What is in each folder, for the picture. */
const CONTENTS: Readonly<Record<string, string>> = {
  base: 'bytes, text, errors, limits',
  chunk: 'the wire format',
  bitmap: 'the bits',
  set: 'bitmap sets, JSON',
  migration: 'source and destination',
  capture: 'the stream around it',
  qcow2: 'bitmaps in images',
  chain: 'backing chains, plans',
  qmp: 'QMP without sockets',
  msgpack: 'MessagePack forms',
  report: 'text, HTML, documents',
  inspector: 'a page for browsers',
  io: 'files, sockets, locks',
  cli: 'the command line',
};

/** Which folder of `src` imports from which, as dependency-cruiser sees it; types count. */
export async function importGraph(): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const before = process.cwd();
  process.chdir(ROOT);
  try {
    const { output } = await cruise(['src'], { tsPreCompilationDeps: true, doNotFollow: { path: 'node_modules' } });
    const graph = new Map<string, Set<string>>();
    for (const { source, dependencies } of (output as ICruiseResult).modules) {
      const from = folderOf(source);
      // src/index.ts is the names of the core, not a layer.
      if (from === undefined || from === 'index') continue;
      const to = graph.get(from) ?? new Set();
      graph.set(from, to);
      for (const { resolved } of dependencies) {
        const folder = folderOf(resolved);
        if (folder !== undefined && folder !== from) to.add(folder);
      }
    }
    return graph;
  } finally {
    process.chdir(before);
  }
}

/** The graph as a mermaid picture. An arrow that another way leads along is left out. */
export function mermaid(graph: ReadonlyMap<string, ReadonlySet<string>>): string {
  const lines = ['flowchart TB'];
  const folders = [...graph.keys()].sort();
  for (const folder of folders) {
    const contents = CONTENTS[folder];
    lines.push(`  ${folder}["<b>${folder}</b>${contents === undefined ? '' : `<br>${contents}`}"]`);
  }
  for (const from of folders) {
    const direct = [...(graph.get(from) ?? [])].sort();
    const further = new Set(direct.flatMap((to) => [...reached(graph, to)]));
    for (const to of direct) if (!further.has(to)) lines.push(`  ${from} --> ${to}`);
  }
  return lines.join('\n');
}

function reached(graph: ReadonlyMap<string, ReadonlySet<string>>, from: string, seen = new Set<string>()): Set<string> {
  for (const to of graph.get(from) ?? []) {
    if (seen.has(to)) continue;
    seen.add(to);
    reached(graph, to, seen);
  }
  return seen;
}

function folderOf(path: string): string | undefined {
  const name = /^src\/([\w-]+)(?:\/|\.ts$)/.exec(path)?.[1];
  return name !== undefined && BASE.includes(name) ? 'base' : name;
}
