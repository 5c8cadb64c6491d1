import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

/** The folders below one that have a file of this name, sorted; none below those. */
export function foldersWith(folder: string, file: string): string[] {
  if (existsSync(join(folder, file))) return [folder];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap((entry) => foldersWith(join(folder, entry.name), file))
    .sort();
}

/** The stream of a case, `stream.bin` or `stream.bin.gz`; undefined where it has none. */
export function streamOf(folder: string): Uint8Array | undefined {
  const plain = join(folder, 'stream.bin');
  if (existsSync(plain)) return readFileSync(plain);
  return existsSync(`${plain}.gz`) ? gunzipSync(readFileSync(`${plain}.gz`)) : undefined;
}
