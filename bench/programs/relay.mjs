// A relay between two unix sockets, until its standard input ends: by pipe() alone, or by the library's tap.
// Arguments: the folder of the built package, `plain` or `tap`, where to listen, where to connect to.
import { createConnection, createServer } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [dist = '', kind, listen, connect] = process.argv.slice(2);
const { tapMigration } = await import(pathToFileURL(join(dist, 'io/index.js')).href);

const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (source) => {
  const destination = createConnection({ path: connect, allowHalfOpen: true, noDelay: true });
  if (kind === 'tap') {
    // Who does not follow the stream has less to do.
    tapMigration(source, destination).then(({ complete }) => complete || process.exit(1));
    return;
  }
  source.pipe(destination);
  destination.pipe(source);
});
server.listen(listen, () => process.send?.('ready'));
process.on('disconnect', () => process.exit());
