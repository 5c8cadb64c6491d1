import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { parseBackingString } from '../../src/chain/backing-string.js';
import type { Chain, Layer } from '../../src/chain/layer.js';
import { openChain } from '../../src/chain/open-chain.js';
import { commitBackingName } from '../../src/chain/relative-name.js';
import { isDirtyBitmapError } from '../../src/errors.js';
import { chainFiles } from '../../src/io/chain-files.js';
import { buildImage } from '../qcow2/build-image.js';

/** A file of a case, or of a test. */
export interface ChainFile {
  readonly path: string;
  readonly format: 'raw' | 'qcow2';
  readonly size?: number;
  readonly version?: 2 | 3;
  readonly virtualSize?: number;
  readonly backing?: string | null;
  readonly backingFormat?: string | null;
}

interface ChainCase {
  readonly name: string;
  readonly files: readonly ChainFile[];
  readonly symlinks?: Readonly<Record<string, string>>;
  readonly start: string;
  readonly declaredFormat: string | null;
  readonly expected?: { readonly chain: readonly object[]; readonly end: string };
  readonly expectedError?: string;
}

interface ChainCases {
  readonly chains: readonly ChainCase[];
  readonly relativeBacking: {
    readonly chain: readonly { readonly path: string; readonly relPath: string | null }[];
    readonly cases: readonly { readonly top: number; readonly base: number; readonly relative: string | null }[];
  };
  readonly backingStrings: readonly { readonly input: string; readonly parsed: object | null }[];
}

/** What the cases call our errors. */
const ERRORS: Readonly<Record<string, readonly string[]>> = {
  'missing-file': ['file-access'],
  'missing-backing-file': ['backing-missing'],
  'backing-format-unspecified': ['backing-format-unset'],
  'loop-or-too-deep': ['chain-loop', 'chain-too-deep'],
};

const BACKING_FORMAT = 0xe2792aca;
/** Stands for the folder of the files. */
const DIR = ['$', '{DIR}'].join('');

/** The bytes of an image of a chain. `${DIR}` in names is `folder`. */
export function chainImage(file: ChainFile, folder: string): Uint8Array {
  if (file.format === 'raw') return new Uint8Array(file.size ?? 0);
  const { version = 3, virtualSize = 1024, backing, backingFormat } = file;
  const extensions: [number, string][] = backingFormat ? [[BACKING_FORMAT, backingFormat]] : [];
  return buildImage({ version, size: virtualSize, backing: (backing ?? '').replace(DIR, folder), extensions }).bytes;
}

/** Each case with how it differs: the whole chain, every name, every string. */
export async function* judgeChainFolder(
  folder: string,
): AsyncGenerator<readonly [name: string, problem: string | undefined]> {
  const cases = JSON.parse(readFileSync(join(folder, 'chain-cases.json'), 'utf8')) as ChainCases;
  for (const one of cases.chains) yield [`chain ${one.name}`, await judgeChain(one)];
  const chain = cases.relativeBacking.chain.map(({ relPath }) => ({ relPath: relPath ?? undefined }));
  for (const { top, base, relative } of cases.relativeBacking.cases) {
    yield [`commit from ${top} to ${base}`, differs(commitBackingName(chain, top, base) ?? null, relative)];
  }
  for (const { input, parsed } of cases.backingStrings)
    yield [`backing string ${input}`, differs(parse(input), parsed)];
}

function parse(input: string): unknown {
  try {
    return parseBackingString(input);
  } catch (error) {
    if (!isDirtyBitmapError(error) || error.code !== 'backing-string') throw error;
    return null;
  }
}

async function judgeChain(one: ChainCase): Promise<string | undefined> {
  const folder = mkdtempSync(join(tmpdir(), 'dirtybitmap-chain-'));
  try {
    for (const file of one.files) writeFileSync(join(folder, file.path), chainImage(file, folder));
    for (const [path, target] of Object.entries(one.symlinks ?? {})) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      symlinkSync(target, join(folder, path));
    }
    const chain = await openChain(`${folder}/${one.start}`, chainFiles, { format: one.declaredFormat ?? undefined });
    if (one.expected !== undefined) return differs(shown(chain, folder), one.expected);
    const codes = ERRORS[one.expectedError ?? ''] ?? [];
    return codes.includes(chain.error?.code ?? '') ? undefined : `expected ${codes.join()}, found ${chain.error?.code}`;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A chain as the cases have it. */
function shown(chain: Chain, folder: string): object {
  const inFolder = (path: string): string => (path.startsWith(`${folder}/`) ? path.slice(folder.length + 1) : path);
  const layer = ({ path, format, backingRaw, relPath, virtualSize, location }: Layer): object => ({
    ...{ path: inFolder(path), format, backingRaw: backingRaw?.replace(folder, DIR) ?? null },
    ...{ relPath: relPath ?? null, virtualSize: virtualSize ?? null },
    ...(location?.kind === 'network' && { protocol: location.protocol, host: location.host, port: location.port }),
  });
  return { chain: chain.layers.map(layer), end: chain.end };
}

function differs(found: unknown, expected: unknown): string | undefined {
  return isDeepStrictEqual(found, expected)
    ? undefined
    : `expected ${JSON.stringify(expected)}, found ${JSON.stringify(found)}`;
}
