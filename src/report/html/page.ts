import { textSha256 } from '../../bitmap/sha256.js';
import type { Finding } from '../../findings.js';
import type { InputModel, ReportModel } from '../report-model.js';
import { formatBytes, formatBytesExact, plural } from '../text.js';
import { bitmapSections } from './bitmap-section.js';
import { captureSection } from './capture-section.js';
import { chainSection } from './chain-section.js';
import { differenceSection, PATTERNS } from './difference-section.js';
import { type Html, html } from './escape.js';
import { hexSection } from './hex-section.js';
import { pageHead } from './page-head.js';
import { STYLE } from './style.js';
import { facts, severityBadge, table } from './tables.js';

/** Inputs that are shown in full; the others are in the summary. */
const MAX_INPUTS = 100;
/** Findings of all inputs that the summary shows. */
const MAX_FINDINGS = 300;

/**
 * A report as one page that needs nothing else: no script, no network, no other file. The same model always gives the
 * same page.
 */
export function reportHtml(model: ReportModel): string {
  const { inputs, version } = model;
  const style = String(STYLE);
  // Nothing but the one style sheet may take effect, whatever got into the page.
  const policy = `default-src 'none'; style-src 'sha256-${textSha256(style)}'; base-uri 'none'; form-action 'none'`;
  const [first] = inputs;
  const title = inputs.length === 1 && first !== undefined ? first.input : plural(inputs.length, 'input');
  const page = html`${pageHead(policy, `dirty bitmaps: ${title}`)}</head>
<body>
${PATTERNS}
<header><h1>Dirty bitmaps</h1><p class="muted">${title} · dirtybitmap ${version}</p></header>
<main>
${reportBody(model)}
</main>
</body>
</html>
`;
  return String(page);
}

/** All of a report but the page around it, for a page that has {@link STYLE}. */
export function reportBody({ inputs, differences }: ReportModel): Html {
  const shown = inputs.slice(0, MAX_INPUTS);
  return html`${summarySection(inputs)}
${findingsSection(inputs)}
${differences !== null && differenceSection(differences)}
${shown.map(inputSection)}
${inputs.length > shown.length && html`<p>${plural(inputs.length - shown.length, 'more input')}: only in the summary.</p>`}`;
}

function summarySection(inputs: readonly InputModel[]): Html {
  const rows = inputs.map((one) => [
    one.input,
    verdict(one),
    dirtyText(one),
    one.bitmaps.length + one.otherBitmaps.total,
    one.format ?? 'not read',
    one.format === null ? '' : formatBytes(one.bytes),
  ]);
  const columns = [
    { title: 'Input' },
    { title: 'Findings' },
    { title: 'Dirty', number: true },
    { title: 'Bitmaps', number: true },
    { title: 'Kind' },
    { title: 'Bytes', number: true },
  ];
  return html`<section id="summary"><h2>Summary</h2>${table('Inputs', columns, rows)}</section>`;
}

function dirtyText({ dirtyBytes, lostBitmaps, bitmaps, otherBitmaps }: InputModel): string {
  if (lostBitmaps === 0) return formatBytes(dirtyBytes);
  return lostBitmaps === bitmaps.length + otherBitmaps.total ? 'not known' : `${formatBytes(dirtyBytes)} or more`;
}

function verdict({ counts: { error, warning, info } }: InputModel): Html {
  if (error > 0) return severityBadge('error', plural(error, 'error'));
  if (warning > 0) return severityBadge('warning', plural(warning, 'warning'));
  return severityBadge('good', info > 0 ? plural(info, 'note') : 'none');
}

/** The findings of all inputs, the worst first. */
function findingsSection(inputs: readonly InputModel[]): Html {
  const all = inputs.flatMap(({ input, findings }) => findings.map((finding) => ({ input, finding })));
  const order = ['error', 'warning', 'info'] as const;
  const sorted = order.flatMap((severity) => all.filter(({ finding }) => finding.severity === severity));
  const total = inputs.reduce((sum, { counts }) => sum + counts.error + counts.warning + counts.info, 0);
  const shown = sorted.slice(0, MAX_FINDINGS);
  const none = total === 0 && html`<p>${severityBadge('good', 'nothing was found')}</p>`;
  const rest =
    total > shown.length &&
    html`<p>${plural(total - shown.length, 'more finding')}, not shown: see dirtybitmap check.</p>`;
  return html`<section id="findings"><h2>Findings</h2>${none}
<ul class="findings">${shown.map(({ input, finding }) => findingItem(finding, inputs.length > 1 ? input : undefined))}</ul>${rest}</section>`;
}

/** Findings as items of a list with the class `findings`. */
export function findingList(findings: readonly Finding[]): Html {
  return html`${findings.map((finding) => findingItem(finding, undefined))}`;
}

function findingItem({ severity, code, offset, message }: Finding, input: string | undefined): Html {
  const place =
    offset !== undefined &&
    html` <span class="muted" data-offset="${offset}">at ${offset} (0x${offset.toString(16)})</span>`;
  return html`<li>${severityBadge(severity)} <code>${code}</code>${place}${input !== undefined && html` <span class="muted">in ${input}</span>`}<br>${message}</li>\n`;
}

function inputSection(model: InputModel, at: number): Html {
  const { input, format, bytes, capture, qcow2, timeline, chain } = model;
  if (format === null)
    return html`<section id="input-${at}"><h2>${input}</h2><p>It could not be read: see the findings.</p></section>`;
  // What is nothing that is known is read as a capture, to say what it is not: no more can be said of it.
  const unknown = capture !== null && capture.version === undefined;
  return html`<section id="input-${at}"><h2>${input}</h2>
${facts([
  ['Kind', unknown ? 'not known, read as a capture' : format],
  ['Bytes', formatBytesExact(bytes)],
  ...(capture === null || unknown
    ? []
    : ([
        ['Machine', capture.machine ?? 'not told'],
        ['Migration', `${capture.postcopy ? 'postcopy' : 'precopy'}, ${capture.complete ? 'complete' : 'cut short'}`],
        ['Capabilities', capture.capabilities.length > 0 && capture.capabilities.slice(0, 32).join(', ')],
      ] as const)),
  ...(qcow2 === null
    ? []
    : ([
        ['Disk', formatBytesExact(qcow2.virtualSize)],
        ['qcow2', `version ${qcow2.version}, clusters of ${formatBytes(qcow2.clusterSize)}`],
        ['Encryption', qcow2.encryption !== 'none' && qcow2.encryption],
        ['State', [...(qcow2.dirty ? ['dirty'] : []), ...(qcow2.corrupt ? ['corrupt'] : [])].join(', ') || null],
        ['Backing file', qcow2.backing && `${qcow2.backing.name} (${qcow2.backing.format ?? 'format not recorded'})`],
        ['Data file', qcow2.dataFile && (qcow2.dataFile.name ?? 'not recorded')],
      ] as const)),
])}
<h3>Bitmaps</h3>
${bitmapSections(model)}
${chain !== null && chainSection(chain)}
${timeline !== null && !unknown && captureSection(timeline)}
${hexSection(model)}</section>`;
}
