import { type Html, html } from './escape.js';
import { STYLE } from './style.js';

/**
 * What a page begins with, up to {@link STYLE}: light and dark, narrow and wide, and nothing takes effect in it but what
 * the policy allows.
 */
export function pageHead(policy: string, title: string): Html {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
<style>${STYLE}</style>
`;
}
