import { openChain } from '../../chain/open-chain.js';
import { chainFiles } from '../../io/chain-files.js';
import type { Limits } from '../../limits.js';
import { chainDocument } from '../../report/chain-document.js';
import { chainText } from '../../report/chain-text.js';
import { jsonText } from '../../report/text.js';
import { EXIT, errorLine, exitCodeOf, painter, type Terminal, writeOut } from '../terminal.js';

/** What `chain IMAGE` can be asked. */
export interface ChainOptions {
  /** Of the top; else it is raw. */
  readonly format?: string;
  readonly limit?: Partial<Limits>;
  readonly json?: boolean;
}

/** `chain IMAGE`: its backing chain, as far as it can be read. */
export async function chainCommand(image: string, options: ChainOptions, terminal: Terminal): Promise<number> {
  const chain = await openChain(image, chainFiles, { format: options.format, limits: options.limit });
  const { error } = chain;
  // Nothing was read: there is no chain to show.
  if (error !== undefined && chain.layers.length === 0) throw error;
  const document = chainDocument(chain);
  const undeclared = document.findings.find(({ code }) => code === 'chain-top-undeclared');
  if (options.json === true) {
    await writeOut(terminal, `${jsonText(document, 2)}\n`);
  } else {
    const findings = document.findings.filter((finding) => finding !== undeclared);
    const lines = chainText({ ...document, findings }, painter(terminal.stdout, terminal.env));
    await writeOut(terminal, `${lines.join('\n')}\n`);
  }
  // Easily missed among findings, and then the whole answer is misread.
  if (undeclared !== undefined) terminal.stderr.write(errorLine({ offset: undefined, ...undeclared }));
  if (error !== undefined) {
    terminal.stderr.write(errorLine(error));
    return exitCodeOf(error);
  }
  const bad = chain.layers.some(({ findings }) => findings.counts.error > 0);
  return bad ? EXIT.BAD : EXIT.OK;
}
