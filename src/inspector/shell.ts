import { textSha256 } from '../bitmap/sha256.js';
import { type Html, html } from '../report/html/escape.js';
import { pageHead } from '../report/html/page-head.js';
import { STYLE } from '../report/html/style.js';
import { SHELL_STYLE } from './shell-style.js';

const KINDS = [
  ['auto', 'what it looks like'],
  ['capture', 'a capture'],
  ['section', 'a bare dirty-bitmap section'],
  ['set', 'a bitmap set'],
  ['nbdinfo', 'a map of nbdinfo'],
  ['qcow2', 'a qcow2 image'],
] as const;

/**
 * The inspector as one page that needs nothing else: works from a file as well as from a server.
 * @param script that runs in the page and, from the same text, in its worker.
 * @throws Error where the script cannot stand in a page.
 */
export function inspectorHtml(version: string, script: string): string {
  if (/<\/script|<!--/i.test(script)) throw new Error('the script has what ends or changes a script element');
  const styles = [STYLE, SHELL_STYLE].map((style) => `'sha256-${textSha256(String(style))}'`).join(' ');
  const policy = [
    `default-src 'none'; script-src 'sha256-${textSha256(script)}'; style-src ${styles}; worker-src blob:; img-src data:`,
    `connect-src 'none'; base-uri 'none'; form-action 'none'`,
  ].join('; ');
  const page = html`${pageHead(policy, 'dirtybitmap inspector')}<meta name="dirtybitmap-input" content="">
<link rel="icon" href="data:,">
<style>${SHELL_STYLE}</style>
</head>
<body>
${body(version)}
<script>`;
  // The script is no text to be escaped: its hash stands in the policy.
  return `${page}${script}</script>\n</body>\n</html>\n`;
}

function body(version: string): Html {
  return html`<header><h1>Dirty bitmaps</h1><p class="muted">inspector · dirtybitmap ${version}</p></header>
<main>
<noscript><p>The inspector reads files with a script, which is off here.</p></noscript>
<section id="open" class="drop" aria-labelledby="open-title">
<h2 id="open-title">Look into a file</h2>
<p><input type="file" id="file" class="hidden-input"><label for="file" class="button">Choose a file</label> <span class="drop-hint">or drop one anywhere on this page</span></p>
<p class="muted about">A captured migration stream, a qcow2 image, a bitmap set (JSON or MessagePack), or what <code>nbdinfo --map --json</code> prints. It is read in this browser, a slice at a time; nothing is uploaded.</p>
<p><label for="format">Read it as</label> <select id="format">${KINDS.map(([value, text]) => html`<option value="${value}">${text}</option>`)}</select></p>
</section>
<section id="reading" aria-labelledby="reading-title" hidden>
<h2 id="reading-title">Reading</h2>
<progress id="bar" aria-labelledby="reading-title"></progress>
<p><span id="rate" class="muted">0 B</span> <button type="button" id="cancel">Cancel</button></p>
<div id="live"></div>
</section>
<p id="status" role="status"></p>
<p id="error" role="alert" class="error"></p>
<nav id="contents" class="contents" aria-label="parts of this page" hidden><a href="#summary">Summary</a> <a href="#findings">Findings</a> <a href="#input-0">Bitmaps</a> <a href="#chunks">Chunks</a> <a href="#bytes">Bytes</a> <a href="#export">Export</a></nav>
<div id="result" tabindex="-1" role="group" aria-label="what is in the file"></div>
<section id="chunks" aria-labelledby="chunks-title" hidden>
<h2 id="chunks-title">Chunks</h2>
<p><label for="chunk-bitmap">Bitmap</label> <select id="chunk-bitmap"></select></p>
<form id="chunk-pages" class="pages"><button type="button" id="chunk-first">First</button> <button type="button" id="chunk-previous">Previous</button> <button type="button" id="chunk-next">Next</button> <button type="button" id="chunk-last">Last</button> <span><label for="chunk-number">Chunk</label> <input id="chunk-number" inputmode="numeric" size="9" autocomplete="off"> <button>Go</button></span></form>
<p id="chunk-range" role="status" class="muted"></p>
<div id="chunk-list"></div>
</section>
<section id="bytes" aria-labelledby="bytes-title" hidden>
<h2 id="bytes-title">Bytes</h2>
<form id="byte-pages" class="pages"><button type="button" id="byte-previous">Previous</button> <button type="button" id="byte-next">Next</button> <span><label for="byte-offset">Offset</label> <input id="byte-offset" size="14" autocomplete="off" spellcheck="false"> <button>Go</button></span></form>
<p class="muted">An offset in bytes, decimal or 0x. Chunks and findings lead here, too.</p>
<div id="byte-view" tabindex="-1" role="group" aria-label="bytes"></div>
</section>
<section id="export" aria-labelledby="export-title" hidden>
<h2 id="export-title">Export</h2>
<p><button type="button" id="export-set">Save as a bitmap set (JSON)</button></p>
<p id="export-maps"><label for="export-bitmap">Bitmap</label> <select id="export-bitmap"></select> <button type="button" id="export-map">Save as a map of nbdinfo (JSON)</button></p>
<p id="exported" role="status"></p>
</section>
</main>
`;
}
