import { printable } from '../bytes/text.js';
import { isDirtyBitmapError } from '../errors.js';
import { openAccess } from './access.js';
import type { Answer, Request } from './messages.js';
import { Session } from './session.js';
import { liveFindings } from './views.js';

/** What is used of a worker's global. */
export interface WorkerScope {
  onmessage: ((event: { readonly data: Request }) => void) | null;
  postMessage(answer: Answer): void;
}

/** Bytes from one message of progress to the next. */
const STEP = 1024 * 1024;

/** Serves one input: it is read here, so that the page never waits. Answers come in the order of the requests. */
export function serveWorker(scope: WorkerScope): void {
  let session: Session | undefined;
  let last: Promise<void> = Promise.resolve();
  const open = async ({ source, format }: Request & { type: 'open' }): Promise<Answer> => {
    const file = await openAccess(source);
    const total = await file.size();
    let told = 0;
    let toldAt = 0;
    session = await Session.open(source.name, file, {
      format,
      onProgress(done, findings) {
        // An image is read in small pieces, too.
        if (done - toldAt < STEP && done !== total) return;
        toldAt = done;
        const counts = findings && { ...findings.counts };
        const found = findings?.list.length ?? 0;
        const html = findings !== undefined && found > told ? String(liveFindings(findings)) : undefined;
        told = found;
        // An image is read here and there: nobody knows how much of it.
        scope.postMessage({ type: 'progress', done, total: findings && total, counts, html });
      },
    });
    return { type: 'opened', opened: await session.opened() };
  };
  const answer = async (request: Request): Promise<Answer> => {
    if (request.type === 'open') return await open(request);
    if (session === undefined) throw new Error('no input is open');
    if (request.type === 'chunks')
      return { type: 'chunks', page: await session.chunks(request.bitmap, request.number) };
    if (request.type === 'bytes') return { type: 'bytes', view: await session.bytes(request.offset, request.chunk) };
    const { name, pieces, notes } = session.exported(request.map);
    return { type: 'exported', name, blob: new Blob([...pieces], { type: 'application/json' }), notes };
  };
  scope.onmessage = ({ data }) => {
    last = last.then(async () => {
      try {
        scope.postMessage(await answer(data));
      } catch (error) {
        scope.postMessage({ type: 'refused', what: data.type, text: errorText(error) });
      }
    });
  };
}

/** One line with code and offset, as the command line has it. */
function errorText(error: unknown): string {
  if (!isDirtyBitmapError(error)) return `unexpected: ${printable(String(error))}`;
  const { code, offset, message } = error;
  return `${code}${offset === undefined ? '' : ` at ${offset}`}: ${printable(message)}`;
}
