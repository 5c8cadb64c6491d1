import { execFile } from 'node:child_process';
import { dirname } from 'node:path';
import { recount } from './own-checker.js';

/** What `qemu-img check` says: its exit code, and how many clusters leak or are corrupt. */
interface QemuCheck {
  readonly exit: number;
  readonly leaks: number;
  readonly corruptions: number;
  readonly text: string;
}

function qemuCheck(path: string): Promise<QemuCheck> {
  // An external data file is looked for in the working directory.
  const options = { cwd: dirname(path), timeout: 60_000 };
  return new Promise((resolve) => {
    execFile('qemu-img', ['check', '--output=json', '-f', 'qcow2', path], options, (error, stdout, stderr) => {
      const exit = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      const json = exit === 0 || exit === 2 || exit === 3 ? JSON.parse(stdout) : {};
      const text = `${stderr}${error?.signal ?? ''}`.trim();
      resolve({ exit, leaks: json.leaks ?? 0, corruptions: json.corruptions ?? 0, text });
    });
  });
}

/**
 * Shows an image to `qemu-img check`.
 * @param file what is in the file of that path.
 * @returns what is wrong by its judgement, and where that of our own checker differs; nothing where all is well. Leaks are.
 */
export async function askQemu(path: string, file: Uint8Array): Promise<string[]> {
  const { exit, leaks, corruptions, text } = await qemuCheck(path);
  const problems: string[] = [];
  if (exit !== 0 && exit !== 3) problems.push(`qemu-img check: exit ${exit}, ${corruptions} corruptions: ${text}`);
  const own = recount(file);
  if (own.leaks !== leaks) problems.push(`qemu-img check: ${leaks} leaks, our own checker ${own.leaks}`);
  return problems;
}
