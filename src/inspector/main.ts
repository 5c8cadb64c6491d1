import { startPage } from './page/page.js';
import { serveWorker, type WorkerScope } from './worker.js';

// One script serves both: the page starts the worker from the text of its own script element.
if (typeof document === 'undefined') serveWorker(globalThis as unknown as WorkerScope);
else startPage(document.currentScript?.textContent ?? '');
