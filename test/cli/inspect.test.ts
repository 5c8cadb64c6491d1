import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { InspectCommand } from '../support/inspect-command.js';
import { runCli } from '../support/run-cli.js';
import { VECTORS } from '../support/vectors.js';

const CAPTURE = `${VECTORS}/captures/cut-in-bits.bin`;
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

describe('inspect', () => {
  it('serves the page with the file until Ctrl-C', async () => {
    const command = await InspectCommand.start(CAPTURE);
    const page = await (await fetch(command.url)).text();
    expect(page).toContain('<meta name="dirtybitmap-input" content="cut-in-bits.bin">');
    // The one connection that it may make is that for the file.
    expect(page).toContain('connect-src &#39;self&#39;;');
    const file = await (await fetch(`${command.url}file`)).arrayBuffer();
    expect(Buffer.from(file).equals(readFileSync(CAPTURE))).toBe(true);
    const { code, stdout, stderr } = await command.interrupt();
    expect([code, stdout]).toEqual([0, `${command.url}\n`]);
    expect(stderr).toBe(`dirtybitmap: serves the inspector with ${CAPTURE}, to this computer alone; Ctrl-C ends it\n`);
    await expect(fetch(command.url)).rejects.toThrow();
  });

  it('serves the page alone, which then may connect to nobody', async () => {
    const command = await InspectCommand.start();
    const page = await (await fetch(command.url)).text();
    expect(page).toBe(readFileSync(`${ROOT}dist/inspector/index.html`, 'utf8'));
    expect(page).toContain('connect-src &#39;none&#39;;');
    expect((await fetch(`${command.url}file`)).status).toBe(404);
    expect((await command.interrupt()).code).toBe(0);
  });

  it('refuses standard input, what is not there, and ports that are none', async () => {
    expect(await runCli('inspect', '-')).toMatchObject({ code: 2, stdout: '' });
    expect(await runCli('inspect', '/nowhere/x')).toMatchObject({ code: 3, stdout: '' });
    for (const port of ['65536', '-1', '1e3', '']) expect((await runCli('inspect', '--port', port)).code).toBe(2);
  });

  it('is as the README shows it', async () => {
    const readme = readFileSync(`${ROOT}README.md`, 'utf8');
    const [, args = '', shown] =
      /```console inspect\n\$ dirtybitmap inspect ([^\n]*)\n([\s\S]*?)```/.exec(readme) ?? [];
    const command = await InspectCommand.start(
      ...args.split(' ').map((word) => word.replace(/^vectors\//, `${ROOT}$&`)),
    );
    const { stdout, stderr } = await command.interrupt();
    const steady = (text = ''): string => text.replace(/:\d+\/[\w-]{22}\//, ':PORT/TOKEN/');
    expect(steady((stdout + stderr).replaceAll(`${ROOT}vectors/`, 'vectors/'))).toBe(steady(shown));
    expect(steady(shown)).toContain('http://127.0.0.1:PORT/TOKEN/');
  });
});
