/**
 * Files and pipes for Node: `import { readCapture } from 'dirtybitmap/node'`.
 * @module
 */
export { DirtyBitmapError, isDirtyBitmapError } from '../errors.js';
export { captureEvents, type ReadCaptureOptions, readCapture } from './capture-file.js';
