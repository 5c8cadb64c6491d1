import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { type DefaultTreeAdapterMap, parse } from 'parse5';
import { describe, expect, it } from 'vitest';
import { html } from '../../src/report/html/escape.js';
import { reportWith } from './any-report.js';

type Node = DefaultTreeAdapterMap['childNode'];

/** Elements and their attributes' names, in order, without what they say. */
function skeleton(node: Node): string[] {
  if (!('tagName' in node)) return [];
  const { tagName, attrs, childNodes } = node;
  return [`${tagName} ${attrs.map(({ name }) => name).join(' ')}`, ...childNodes.flatMap(skeleton)];
}

function elements(page: string): string[] {
  const errors: string[] = [];
  const document = parse(page, { onParseError: ({ code }) => errors.push(code) });
  expect(errors).toEqual([]);
  return document.childNodes.flatMap(skeleton);
}

/** All texts and values of attributes. */
function texts(node: Node): string[] {
  if ('value' in node) return [node.value];
  if (!('tagName' in node)) return [];
  return [...node.attrs.map(({ value }) => value), ...node.childNodes.flatMap(texts)];
}

const HOSTILE = [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  "' onmouseover='alert(1)",
  '</style><script>alert(1)</script>',
  '</title><script>alert(1)</script>',
  '</svg><iframe src="https://example.com/">',
  '<!-- --><b>',
  ']]><x>',
  '&lt;script&gt;',
  '&#x3c;b&#x3e;',
  '`1`',
  '\u0000<\u0001b>\u202e',
  '<a href="javascript:alert(1)">x</a>',
  '</textarea></template></noscript><svg onload=alert(1)>',
];

describe('a report', () => {
  const plain = elements(reportWith('name'));

  it.each(HOSTILE)('has the same elements and attributes whatever a name is: %j', (text) => {
    expect(elements(reportWith(text))).toEqual(plain);
  });

  it('has the same elements and attributes for any name', () => {
    const piece = fc.oneof(
      fc.constantFrom(...HOSTILE, '<', '>', '"', "'", '&', '=', '`', '\n'),
      fc.string({ unit: 'binary', maxLength: 6 }),
    );
    const name = fc
      .array(piece, { minLength: 1, maxLength: 4 })
      .map((pieces) => pieces.join(''))
      .filter((text) => text !== '');
    fc.assert(
      fc.property(name, (text) => {
        expect(elements(reportWith(text))).toEqual(plain);
      }),
      { numRuns: 60 },
    );
  });

  it('shows a name as it is', () => {
    const shown = parse(reportWith('<b>"a&b\'</b>')).childNodes.flatMap(texts).join('\n');
    expect(shown).toContain('<b>"a&b\'</b>/<b>"a&b\'</b>');
  });

  it('lets nothing act but its one style sheet', () => {
    const page = reportWith('name');
    const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(page)?.[1]?.replaceAll('&#39;', "'");
    const style = /<style>([\s\S]*?)<\/style>/.exec(page)?.[1] ?? '';
    const hash = createHash('sha256').update(style).digest('base64');
    expect(policy).toBe(`default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`);
    expect(
      plain.filter((element) => /^(script|link|img|iframe|object|embed|base|form|a|audio|video) /.test(element)),
    ).toEqual([]);
    expect(plain.filter((element) => / (on\w+|style|src|href|xlink:href)\b/.test(element))).toEqual([]);
    expect(style).not.toMatch(/@import|url\((?!#)/);
  });

  it('names nothing elsewhere', () => {
    expect(reportWith('name')).not.toMatch(/https?:|\/\//);
  });

  it('is the same page for the same input', () => {
    expect(reportWith('name')).toBe(reportWith('name'));
  });

  it('begins with the summary and the findings', () => {
    const page = reportWith('name');
    const order = ['id="summary"', 'id="findings"', 'id="differences"', 'id="input-0"'].map((mark) =>
      page.indexOf(mark),
    );
    expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(order[0]).toBeGreaterThan(0);
  });
});

describe('the template', () => {
  it('escapes text, and leaves HTML and nothing else as it is', () => {
    const inner = html`<b>${'<i>'}</b>`;
    expect(String(html`${inner}|${['<', inner]}|${undefined}${null}${false}|${5}`)).toBe(
      '<b>&lt;i&gt;</b>|&lt;<b>&lt;i&gt;</b>||5',
    );
  });

  it('takes nothing for HTML that only looks like it', () => {
    const forged = { toString: () => '<b>' } as unknown as string[];
    expect(() => String(html`${forged}`)).toThrow();
  });

  it('shows what could hide or turn text', () => {
    expect(String(html`${'a\u202e\u0007\n'}`)).toBe('a\\u{202e}\\x07\\n');
  });
});
