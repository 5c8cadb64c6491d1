import { liveChain } from '../../chain/live-chain.js';
import { openChain } from '../../chain/open-chain.js';
import { DirtyBitmapError } from '../../errors.js';
import { chainFiles } from '../../io/chain-files.js';
import type { Limits } from '../../limits.js';
import { queryState } from '../../qmp/query-state.js';
import { chainDocument } from '../../report/chain-document.js';
import { chainText } from '../../report/chain-text.js';
import { liveChainDocument, liveChainText } from '../../report/live-chain.js';
import { jsonText } from '../../report/text.js';
import { withQmp } from '../qmp-connection.js';
import { EXIT, errorLine, exitCodeOf, painter, type Terminal, writeOut } from '../terminal.js';

/** What `chain` can be asked. */
export interface ChainOptions {
  /** Of the top; else it is raw. */
  readonly format?: string;
  /** A socket, instead of an image. */
  readonly qmp?: string;
  /** The top of the chain in that QEMU. */
  readonly node?: string;
  /** Seconds for each answer. */
  readonly timeout: number;
  readonly limit?: Partial<Limits>;
  readonly json?: boolean;
}

/** `chain`: the backing chain of an image, or of a disk of a running VM. */
export async function chainCommand(
  image: string | undefined,
  options: ChainOptions,
  terminal: Terminal,
): Promise<number> {
  const { qmp, node, format } = options;
  if (image !== undefined && qmp === undefined && node === undefined) return await imageChain(image, options, terminal);
  if (qmp === undefined || node === undefined || image !== undefined || format !== undefined) {
    throw new DirtyBitmapError('argument', 'give an IMAGE, or --qmp SOCKET and --node NODE');
  }
  const { timeout, limit, json } = options;
  const chain = liveChain(node, await withQmp({ qmp, timeout }, async (live) => await queryState(live.qmp)), limit);
  const text =
    json === true
      ? [jsonText(liveChainDocument(chain), 2)]
      : liveChainText(chain, painter(terminal.stdout, terminal.env));
  await writeOut(terminal, `${text.join('\n')}\n`);
  return EXIT.OK;
}

/** As far as it can be read. */
async function imageChain(image: string, options: ChainOptions, terminal: Terminal): Promise<number> {
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
