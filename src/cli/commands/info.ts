import { createHash } from 'node:crypto';
import { resolveLimits } from '../../limits.js';
import { infoText } from '../../report/info-text.js';
import { type InfoDocument, infoDocument, type Sha256 } from '../../report/input-report.js';
import { type InputOptions, loadInput } from '../load-input.js';
import { EXIT, painter, type Terminal, writeOut } from '../terminal.js';

/** `info INPUT...`: what is in it. */
export async function info(
  inputs: readonly string[],
  options: InputOptions & { readonly json?: boolean },
  terminal: Terminal,
): Promise<number> {
  const documents: InfoDocument[] = [];
  const { maxHashBytes } = resolveLimits(options.limits);
  const paint = painter(terminal.stdout, terminal.env);
  for (const input of inputs) {
    const document = infoDocument(await loadInput(input, options, terminal), nativeSha256, maxHashBytes);
    documents.push(document);
    if (options.json !== true) {
      const gap = documents.length > 1 ? '\n' : '';
      await writeOut(terminal, `${gap}${infoText(document, paint).join('\n')}\n`);
    }
  }
  if (options.json === true) {
    const json = documents.length === 1 ? documents[0] : documents;
    await writeOut(terminal, `${JSON.stringify(json, null, 2)}\n`);
  }
  const bad = documents.some((document) => document.findings.some((finding) => finding.severity === 'error'));
  return bad ? EXIT.BAD : EXIT.OK;
}

/** OpenSSL's, which is several times as fast as one in JavaScript. */
function nativeSha256(): Sha256 {
  const hash = createHash('sha256');
  return { update: (bytes) => hash.update(bytes), hex: () => hash.digest('hex') };
}
