import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus, totalmem } from 'node:os';

/** What was measured on, and with what. */
export interface Machine {
  readonly date: string;
  readonly cpu: string;
  readonly cores: number;
  /** GiB. */
  readonly memory: number;
  readonly node: string;
  readonly v8: string;
  readonly qemu: string;
  readonly peers: Readonly<Record<string, string>>;
}

const require = createRequire(import.meta.url);

export function describeMachine(): Machine {
  const processors = cpus();
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memory: Math.round(totalmem() / 2 ** 30),
    node: process.versions.node,
    v8: process.versions.v8,
    qemu: /version ([\d.]+)/.exec(versionOf('qemu-system-x86_64'))?.[1] ?? 'absent',
    peers: { 'kaitai-struct': packageVersion('kaitai-struct'), 'binary-parser': packageVersion('binary-parser') },
  };
}

function versionOf(program: string): string {
  return spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout ?? '';
}

/** The version that a package has that lies beside its main file or above. */
function packageVersion(name: string): string {
  const main = require.resolve(name);
  const inside = `/node_modules/${name}/`;
  const folder = main.slice(0, main.lastIndexOf(inside) + inside.length);
  return (JSON.parse(readFileSync(`${folder}package.json`, 'utf8')) as { version: string }).version;
}
