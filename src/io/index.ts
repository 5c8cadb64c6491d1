/**
 * Files and pipes for Node: `import { readCapture } from 'dirtybitmap/node'`.
 * @module
 */
export { DirtyBitmapError, isDirtyBitmapError } from '../errors.js';
export { captureEvents, type ReadCaptureOptions, readCapture } from './capture-file.js';
export { chainFiles } from './chain-files.js';
export { hasWriter, type ImageLock, type LockKind, type LockOptions, lockImage } from './image-lock.js';
export { type CommitImageOptions, type Committed, commitImage, undoCommit } from './qcow2-commit.js';
export { QmpClient, type QmpClientOptions } from './qmp-client.js';
export { openRandomAccess, type RandomAccessFile } from './random-access-file.js';
export { readImage } from './read-image.js';
export { type WatchOptions, type WatchResult, watchMigration } from './watch-migration.js';
export { type Pieces, type WriteFileOptions, writeFile } from './write-file.js';
