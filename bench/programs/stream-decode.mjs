// node stream-decode.mjs DIST [FILE]: decodes the bodies of sections from a file, in pieces of 64 KiB, into a bitmap;
// without a file it does nothing, and that with the same modules loaded.
import { openSync, readSync } from 'node:fs';
import { join } from 'node:path';

const [dist, file] = process.argv.slice(2);
const { DestinationStream, MemoryGraph } = await import(join(dist, 'index.js'));

if (file !== undefined) {
  const graph = new MemoryGraph();
  const disk = graph.addNode({ name: 'disk0', size: 2 ** 40 });
  const stream = new DestinationStream(graph);
  const piece = new Uint8Array(65_536);
  const fd = openSync(file, 'r');
  for (let length = readSync(fd, piece); length > 0; length = readSync(fd, piece)) {
    stream.push(piece.subarray(0, length));
  }
  stream.finish();
  if (disk.find('b0')?.bits.count() !== 2 ** 40) throw new Error('not all is dirty');
}
