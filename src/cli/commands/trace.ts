import { concat } from '../../bytes/concat.js';
import { type TraceItem, Tracer } from '../../capture/trace.js';
import { traceLine } from '../../capture/trace-json.js';
import { transcriptLine } from '../../capture/transcript.js';
import { DirtyBitmapError } from '../../errors.js';
import { withVmdesc } from '../../io/capture-file.js';
import { readUpTo } from '../../io/pump.js';
import { openSource } from '../../io/source.js';
import { detectFormat, type InputOptions } from '../load-input.js';
import { startProgress } from '../progress.js';
import { EXIT, type Terminal, writeOut } from '../terminal.js';

/** How the items are written. */
type Writer = (items: readonly TraceItem[]) => string | Uint8Array;

const PIECE = 256 * 1024;

/** `trace INPUT`: chunk by chunk, with offsets; as JSON lines or MessagePack nothing is lost. */
export async function trace(
  input: string,
  options: InputOptions & { readonly json?: boolean; readonly msgpack?: boolean },
  terminal: Terminal,
): Promise<number> {
  const write = await writerFor(options);
  const source = await openSource(input, { blocking: true });
  const progress = startProgress(terminal, input === '-' ? 'reading' : input, source.size);
  try {
    const buffer = new Uint8Array(PIECE);
    let offset = options.offset ?? 0;
    let count = await readUpTo(source, offset, buffer);
    const format = options.format ?? detectFormat(buffer.subarray(0, count));
    if (format !== 'capture' && format !== 'section') {
      throw new DirtyBitmapError('unsupported', `trace reads captures and sections, found a ${format}`, { offset: 0 });
    }
    const limits = options.limits && { limits: options.limits };
    const tracer = new Tracer({ ...(await withVmdesc(source, { offset, ...limits })), format });
    let bad = false;
    const put = async (items: readonly TraceItem[]): Promise<void> => {
      bad ||= items.some((item) => item.type === 'finding' && item.severity === 'error');
      if (items.length > 0) await writeOut(terminal, write(items));
    };
    while (count > 0) {
      await put(tracer.push(buffer.subarray(0, count)));
      offset += count;
      progress?.update(offset);
      count = await source.read(buffer, offset);
    }
    await put(tracer.finish());
    return bad ? EXIT.BAD : EXIT.OK;
  } finally {
    progress?.stop();
    await source.close();
  }
}

async function writerFor(options: { readonly json?: boolean; readonly msgpack?: boolean }): Promise<Writer> {
  if (options.msgpack === true) {
    const { encodeTraceMsgpack } = await import('../../msgpack/trace.js');
    return (items) => concat(items.map(encodeTraceMsgpack));
  }
  const line = options.json === true ? traceLine : transcriptLine;
  return (items) => `${items.map(line).join('\n')}\n`;
}
