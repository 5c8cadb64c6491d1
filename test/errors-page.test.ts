import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { RULES } from '../src/rules.js';

const page = readFileSync(new URL('../ERRORS.md', import.meta.url), 'utf8');
/** What the page says of each code, under its heading. */
const paragraphs = page
  .replace(/^## .*$/gm, '')
  .split(/^### /m)
  .slice(1)
  .map((part) => {
    const [heading = '', rule, cause, cure, ...more] = part.trim().split('\n\n');
    return { code: heading.replaceAll('`', ''), rule, cause, cure, more };
  });

describe('ERRORS.md', () => {
  it('has every code, in the order of RULES, and no other', () => {
    expect(paragraphs.map(({ code }) => code)).toEqual(Object.keys(RULES));
  });

  it('says of each what the rule is, what breaks it and what to do', () => {
    for (const { code, rule, cause, cure, more } of paragraphs) {
      const { severity, rule: text } = RULES[code as keyof typeof RULES];
      expect(rule, code).toBe(`*${severity}*: ${text}`);
      expect(cause, code).toMatch(/^\*\*Cause\.\*\* [A-Z].{20,}\.$/s);
      expect(cure, code).toMatch(/^\*\*What to do\.\*\* \S.{5,}\.$/s);
      expect(more, code).toEqual([]);
    }
  });
});
