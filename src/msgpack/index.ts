/**
 * MessagePack forms: `import { encodeTraceMsgpack } from 'dirtybitmap/msgpack'`. The one entry point with a runtime
 * dependency (`@msgpack/msgpack`).
 * @module
 */

export { decodeSetMsgpack, encodeSetMsgpack } from './set.js';
export { decodeTraceMsgpack, encodeTraceMsgpack } from './trace.js';
