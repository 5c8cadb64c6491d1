import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** This package as a user gets it: packed, and installed by npm into an empty project. */
export interface InstalledPackage {
  /** The project; its node_modules has the package and what it depends on. */
  readonly folder: string;
  remove(): void;
}

/**
 * Packs what was built and installs it. Dependencies come from a registry on the loopback, which has those that are
 * installed here: no network is asked. It has no koffi, as if that were not to be had: it is optional.
 */
export async function installPackage(): Promise<InstalledPackage> {
  const folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-install-'));
  const packed = execFileSync('npm', ['pack', '--json', '--pack-destination', folder], { cwd: ROOT, stdio: 'pipe' });
  const [{ filename }] = JSON.parse(packed.toString());
  writeFileSync(join(folder, 'package.json'), '{ "name": "empty", "private": true }\n');
  const registry = await serveInstalled();
  try {
    const { port } = registry.address() as AddressInfo;
    const args = [
      'install',
      `./${filename}`,
      '--registry',
      `http://127.0.0.1:${port}/`,
      '--cache',
      join(folder, 'cache'),
    ];
    await promisify(execFile)('npm', [...args, '--no-audit', '--no-fund', '--no-update-notifier'], { cwd: folder });
  } finally {
    registry.close();
    registry.closeAllConnections();
  }
  return { folder, remove: () => rmSync(folder, { recursive: true }) };
}

/** A registry of the packages in this project's node_modules, one version of each. */
async function serveInstalled(): Promise<Server> {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean; optional?: boolean; devOptional?: boolean }>;
  };
  const wanted = Object.entries(lock.packages).filter(([, one]) => !one.dev && !one.optional && !one.devOptional);
  const folders = new Map(wanted.map(([path]) => [path.split('node_modules/').at(-1) ?? '', join(ROOT, path)]));
  const server = createServer((request, response) => {
    const [path = '', tarball] = decodeURIComponent(request.url ?? '')
      .slice(1)
      .split('/-/');
    const folder = folders.get(path);
    if (folder === undefined || path === '') return response.writeHead(404).end('{}');
    if (tarball !== undefined)
      return response.end(execFileSync('tar', ['czf', '-', '--transform', 's,^\\.,package,', '-C', folder, '.']));
    const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const dist = { tarball: `http://${request.headers.host}/${path}/-/it.tgz` };
    const { version } = manifest;
    return response.end(
      JSON.stringify({ name: path, 'dist-tags': { latest: version }, versions: { [version]: { ...manifest, dist } } }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}
