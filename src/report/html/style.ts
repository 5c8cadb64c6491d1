import { type Html, html } from './escape.js';

/**
 * The one style sheet of a report: light and dark, narrow and wide, screen and paper. Colours are variables; those of
 * densities grow darker on white and lighter on black, so that more is always further from the paper.
 */
export const STYLE: Html = html`
:root{color-scheme:light dark;--paper:#fff;--card:#f6f8fa;--ink:#1c2128;--muted:#57606a;--line:#d0d7de;--accent:#0a5bb5;
--d0:#e4e8ec;--d1:#a9cdf0;--d2:#6aa9e0;--d3:#2f80c9;--d4:#125a9c;--d5:#072f5f;
--error:#b3202c;--warning:#8a5a00;--good:#1a6b32;--info:#3f4fa3;
--a:#c2500a;--a-paper:#fbd9bd;--b:#0b6e66;--b-paper:#bfe9e4;--both:#6b7280;--mixed:#7a2c8f;
--ram:#8f9bab;--device:#b07d2b;--other:#6f5aa8;--band:#f6f8fa;
--f0:#cfe6ff;--f1:#ffe3b8;--f2:#d3f2d0;--f3:#f5d4ee;--f4:#fff3a8;--f5:#d9dcf7}
@media screen and (prefers-color-scheme:dark){:root{--paper:#0d1117;--card:#161b22;--ink:#e6edf3;--muted:#9ba6b2;--line:#343b45;--accent:#79b8ff;
--d0:#262c35;--d1:#1d4a78;--d2:#2f6eaf;--d3:#4f96dd;--d4:#8cc0f5;--d5:#e3f1ff;
--error:#ff8a84;--warning:#e8b04b;--good:#6fce86;--info:#a9b6ff;
--a:#ffa261;--a-paper:#5a2c0c;--b:#5fd3c6;--b-paper:#0d4a45;--both:#9099a6;--mixed:#d48be8;
--ram:#6e7a8a;--device:#d3a04c;--other:#a08fe0;--band:#161b22;
--f0:#143d66;--f1:#5c3d0c;--f2:#1d4d22;--f3:#572049;--f4:#4d470d;--f5:#30346b}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
header,main{max-width:60rem;margin:0 auto;padding:0 1rem}
header{padding-top:1.5rem}
h1,h2,h3,h4,h5{line-height:1.25;overflow-wrap:anywhere}
h1{margin:0;font-size:1.7rem}
h2{margin:2.5rem 0 .75rem;padding-top:.75rem;border-top:2px solid var(--line);font-size:1.35rem}
h3{margin:1.5rem 0 .5rem;font-size:1.15rem}
h4{margin:1.5rem 0 .5rem;font-size:1.05rem}
h5{margin:1rem 0 .4rem;font-size:1rem}
p,ul,dl,figure{margin:.5rem 0}
p,li,dd{overflow-wrap:anywhere}
a{color:var(--accent)}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.875em}
.muted{color:var(--muted)}
.bitmap{margin:1rem 0;padding:.25rem 1rem 1rem;border:1px solid var(--line);border-radius:.5rem;background:var(--card)}
.badges{line-height:2}
.badge{display:inline-block;padding:0 .5em;border:1px solid currentColor;border-radius:1em;font-size:.8125rem;font-weight:600;line-height:1.6;white-space:nowrap}
.plain{color:var(--muted);font-weight:400}
.error{color:var(--error)}.warning{color:var(--warning)}.good{color:var(--good)}.info{color:var(--info)}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(13rem,1fr));gap:.5rem 1.5rem}
.facts dt{color:var(--muted);font-size:.8125rem}
.facts dd{margin:0}
.findings{padding:0;list-style:none}
.findings li{margin:.5rem 0;padding:.5rem .75rem;border:1px solid var(--line);border-radius:.5rem;background:var(--card)}
.names{columns:14rem}
.scroll{max-width:100%;overflow-x:auto}
table{border-collapse:collapse;min-width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{padding:.25rem 0;color:var(--muted);font-size:.8125rem;text-align:left}
th,td{padding:.25rem .75rem .25rem 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top;font-weight:400;overflow-wrap:anywhere}
thead th{color:var(--muted);font-size:.8125rem;white-space:nowrap}
.n{text-align:right;white-space:nowrap}
tbody .t{min-width:5rem}
tbody th.t{min-width:7rem}
details{margin:.5rem 0}
summary{color:var(--accent);cursor:pointer}
svg{display:block}
.defs{position:absolute;width:0;height:0}
.map{width:100%;height:auto;max-width:56rem;overflow:visible}
.strip{width:100%;height:1.5rem}
.strip p{margin:.5rem 0 .15rem}
div.strip{height:auto}
.bar{width:8rem;height:.75rem;margin-top:.35rem;border-radius:2px}
.legend span{display:inline-flex;align-items:center;gap:.3rem;margin-right:.6rem;white-space:nowrap}
.legend svg{width:.8rem;height:.8rem;border:1px solid var(--muted)}
figcaption{color:var(--muted);font-size:.8125rem}
.d0{fill:var(--d0)}.d1{fill:var(--d1)}.d2{fill:var(--d2)}.d3{fill:var(--d3)}.d4{fill:var(--d4)}.d5{fill:var(--d5)}
.only-a{fill:url(#hatch-a)}.only-b{fill:url(#hatch-b)}.both{fill:var(--both)}.mixed{fill:var(--mixed)}
.paper-a{fill:var(--a-paper)}.paper-b{fill:var(--b-paper)}.ink-a{fill:none;stroke:var(--a);stroke-width:1.4}.ink-b{fill:var(--b)}
.use-bitmap{fill:var(--d3)}.use-ram{fill:var(--ram)}.use-device{fill:var(--device)}.use-other{fill:var(--other)}
.band0{fill:var(--card);stroke:var(--line)}.band1{fill:var(--paper);stroke:var(--line)}
.gone{fill:none;stroke:var(--muted);stroke-dasharray:3 3}
.phase,.tip,.hint{fill:var(--ink);font-size:10.5px}
.phase,.hint{fill:var(--muted)}
.tip{display:none}
.ring{fill:none;stroke:none}
.row:focus{outline:none}
.row:hover .tip,.row:focus .tip{display:block}
.row:hover .ring,.row:focus .ring{stroke:var(--ink);stroke-width:1.5}
.map:hover .hint,.map:focus-within .hint{display:none}
.map:has(.row:focus) .row:hover:not(:focus) .tip{display:none}
.row rect:hover{stroke:var(--ink);stroke-width:1.5}
.hex pre{padding:.5rem;border:1px solid var(--line);border-radius:.25rem;background:var(--paper);font-size:.8125rem;line-height:1.6}
.hex .f0,.key.f0{background:var(--f0)}.hex .f1{background:var(--f1)}.hex .f2{background:var(--f2)}.hex .f3{background:var(--f3)}.hex .f4{background:var(--f4)}.hex .f5{background:var(--f5)}
.hex span{padding:.1em 0}
.key{padding:.1em .4em;border-radius:.25em;white-space:nowrap}
.hex .mark{outline:2px solid var(--error);outline-offset:1px;font-weight:700}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
@media (max-width:40rem){header,main{padding:0 .75rem}.bitmap{margin:1rem -.25rem;padding:.25rem .6rem .75rem}.phase{font-size:20px}.tip,.hint{font-size:21px}.bar{width:4rem}.facts{grid-template-columns:repeat(auto-fill,minmax(8.5rem,1fr))}.hex pre{font-size:.75rem}}
@media print{:root{color-scheme:light}body{font-size:11pt}.bitmap,.findings li,figure,tr{break-inside:avoid}h2,h3,h4,h5{break-after:avoid}
summary{list-style:none}details::details-content{content-visibility:visible;height:auto}.hint{display:none}.scroll{overflow:visible}
svg,.badge,.hex span{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
`;
