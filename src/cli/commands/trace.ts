import { concat } from '../../bytes/concat.js';
import { type TraceItem, Tracer } from '../../capture/trace.js';
import { traceLine } from '../../capture/trace-json.js';
import { transcriptLine } from '../../capture/transcript.js';
import { DirtyBitmapError } from '../../errors.js';
import { withVmdesc } from '../../io/capture-file.js';
import { type InputOptions, openOptions, withInput } from '../open-input.js';
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
  const [own = {}] = openOptions([input], options);
  return withInput(input, own, terminal, async ({ source, format, head, offset, limits, progress }) => {
    if (format !== 'capture' && format !== 'section') {
      throw new DirtyBitmapError('unsupported', `trace reads captures and sections, found a ${format}`, { offset: 0 });
    }
    const tracer = new Tracer({ ...(await withVmdesc(source, { offset, limits })), format });
    let bad = false;
    const put = async (items: readonly TraceItem[]): Promise<void> => {
      bad ||= items.some((item) => item.type === 'finding' && item.severity === 'error');
      if (items.length > 0) await writeOut(terminal, write(items));
    };
    await put(tracer.push(head));
    const buffer = new Uint8Array(PIECE);
    for (let at = offset + head.length; ; ) {
      const count = await source.read(buffer, at);
      if (count === 0) break;
      await put(tracer.push(buffer.subarray(0, count)));
      at += count;
      progress?.update(at);
    }
    await put(tracer.finish());
    return bad ? EXIT.BAD : EXIT.OK;
  });
}

async function writerFor(options: { readonly json?: boolean; readonly msgpack?: boolean }): Promise<Writer> {
  if (options.msgpack === true) {
    const { encodeTraceMsgpack } = await import('../../msgpack/trace.js');
    return (items) => concat(items.map(encodeTraceMsgpack));
  }
  const line = options.json === true ? traceLine : transcriptLine;
  return (items) => `${items.map(line).join('\n')}\n`;
}
