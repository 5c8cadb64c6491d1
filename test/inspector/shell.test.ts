import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { inspectorHtml } from '../../src/inspector/shell.js';

const SCRIPT = 'console.log("a" < "b" && `c`)';

describe("the inspector's page", () => {
  it('lets run and take effect only what it brings', () => {
    const page = inspectorHtml('1.2.3', SCRIPT);
    const [, policy = ''] = /Content-Security-Policy" content="([^"]*)"/.exec(page) ?? [];
    const hash = (text: string): string => `&#39;sha256-${createHash('sha256').update(text).digest('base64')}&#39;`;
    expect(policy).toContain(`script-src ${hash(SCRIPT)};`);
    const styles = [...page.matchAll(/<style>([\s\S]*?)<\/style>/g)].map(([, style = '']) => hash(style));
    expect(styles.length).toBe(2);
    expect(policy).toContain(`style-src ${styles.join(' ')};`);
    expect(policy).toMatch(/^default-src &#39;none&#39;;/);
    expect(policy).toContain('connect-src &#39;none&#39;; base-uri &#39;none&#39;; form-action &#39;none&#39;');
    expect([...page.matchAll(/<script>([\s\S]*?)<\/script>/g)].map(([, script]) => script)).toEqual([SCRIPT]);
    // Nothing of it is fetched, and no attribute is code or style.
    expect(page).not.toMatch(/\s(src|style|on\w+)="/);
  });

  it('refuses a script that would end its element', () => {
    expect(() => inspectorHtml('1', 'x = "</ScRipt>"')).toThrow();
    expect(() => inspectorHtml('1', 'x = "<!--"')).toThrow();
  });
});
