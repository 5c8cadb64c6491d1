import { quoted } from '../bytes/text.js';
import { isDirtyBitmapError } from '../errors.js';
import type { Findings } from '../findings.js';
import type { DataFile } from '../qcow2/image.js';
import type { LayerDataFile } from './layer.js';
import type { LayerOpener } from './layer-opener.js';
import { type ResolvedName, resolveName } from './resolve-link.js';

/**
 * Looks whether the data file of an image is there. A relative name is looked for beside the image, where `qemu-img create`
 * in that directory puts it; QEMU itself (7.2) looks in its own working directory.
 * @param findings gets `chain-data-file` where it is not there.
 */
export async function findDataFile(
  image: string,
  { name }: DataFile,
  opener: LayerOpener,
  findings: Findings,
): Promise<LayerDataFile> {
  if (name === undefined) return { raw: undefined, path: undefined, exists: undefined };
  const raw = name.text;
  let resolved: ResolvedName;
  try {
    resolved = resolveName(image, name);
  } catch (error) {
    if (!isDirtyBitmapError(error)) throw error;
    findings.add('chain-data-file', `the data file of ${quoted(image, 256)}: ${error.message}`);
    return { raw, path: undefined, exists: undefined };
  }
  const { path, relPath, elsewhere } = resolved;
  if (elsewhere !== undefined) return { raw, path: undefined, exists: undefined };
  const opened = await opener.open(path);
  if (!('absent' in opened)) {
    await opened.close();
    return { raw, path, exists: true };
  }
  const cwd = relPath === undefined ? '' : ' (QEMU looks for it in its working directory, so it may be elsewhere)';
  const message = `the data file ${quoted(raw, 256)} of ${quoted(image, 256)}, which is ${quoted(path, 256)}: ${opened.reason}${cwd}`;
  findings.add('chain-data-file', `${message}; its bitmaps are in the image, and were read`);
  return { raw, path, exists: false };
}
