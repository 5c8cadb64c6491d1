/**
 * Files and pipes for Node: `import { readCapture } from 'dirtybitmap/node'`.
 * @module
 */
export { DirtyBitmapError, isDirtyBitmapError } from '../errors.js';
export { type Address, formatAddress, parseAddress } from './address.js';
export { captureEvents, type ReadCaptureOptions, readCapture } from './capture-file.js';
export { chainFiles } from './chain-files.js';
export { type ConnectOptions, connectTo } from './connect.js';
export type { Connection, PeerOptions, WebConnection } from './connection.js';
export { hasWriter, type ImageLock, type LockKind, type LockOptions, lockImage } from './image-lock.js';
export type { Wait } from './in-time.js';
export { Listener, type ListenOptions } from './listen.js';
export { type CommitImageOptions, type Committed, commitImage, undoCommit } from './qcow2-commit.js';
export { QmpClient, type QmpClientOptions } from './qmp-client.js';
export { openRandomAccess, type RandomAccessFile } from './random-access-file.js';
export { readImage } from './read-image.js';
export { type ReceivedMigration, type ReceiveOptions, receiveMigration } from './receive-migration.js';
export { Recording } from './recording.js';
export { type SendOptions, type SentMigration, sendMigration } from './send-migration.js';
export { type ConnectOn, tapConnections } from './tap-connections.js';
export { tapMigration } from './tap-migration.js';
export type { TapNotice, TapOptions, TappedMigration } from './tap-options.js';
export { type WatchOptions, type WatchResult, watchMigration } from './watch-migration.js';
export { type Pieces, type WriteFileOptions, writeFile } from './write-file.js';
