// Loaded before a program (--import): says on file descriptor 3 how much memory it had at most, in KiB. VmHWM counts
// from exec on, while getrusage() also knows the process that forked.
import { readFileSync, writeSync } from 'node:fs';

process.on('exit', () => {
  writeSync(3, /VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
});
