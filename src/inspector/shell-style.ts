import { type Html, html } from '../report/html/escape.js';

/** What the inspector's page has besides a report. Its colours are the report's. */
export const SHELL_STYLE: Html = html`
[hidden]{display:none!important}
main{padding-bottom:3rem}
.drop{margin-top:1rem;padding:0 1rem 1rem;border:2px dashed var(--line);border-radius:.5rem;background:var(--card)}
.drop h2{margin-top:.25rem;border:0}
.loaded .about{display:none}
.over .drop{border-color:var(--accent)}
.hidden-input{position:absolute;width:1px;height:1px;opacity:0}
.button,button{display:inline-block;min-height:2.25rem;padding:.3rem .9rem;border:1px solid var(--accent);border-radius:.4rem;background:var(--paper);color:var(--accent);font:inherit;line-height:1.5;cursor:pointer}
.button,#export button{background:var(--accent);color:var(--paper)}
.button:hover,button:hover:enabled{filter:brightness(1.1)}
button:disabled{border-color:var(--line);color:var(--muted);cursor:default}
.hidden-input:focus-visible+.button{outline:2px solid var(--accent);outline-offset:2px}
select,input{max-width:100%;min-height:2.25rem;padding:.25rem .5rem;border:1px solid var(--muted);border-radius:.4rem;background:var(--paper);color:var(--ink);font:inherit}
select{text-overflow:ellipsis}
progress{width:100%;height:1rem;accent-color:var(--accent)}
.contents{position:sticky;top:0;z-index:1;display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;margin:1rem 0 0;padding:.6rem 0;border-bottom:1px solid var(--line);background:var(--paper)}
section{scroll-margin-top:3rem}
.pages{display:flex;flex-wrap:wrap;gap:.5rem;align-items:center}
.pages>span{white-space:nowrap}
#chunk-list th,#chunk-list td{min-width:0;white-space:nowrap}
#chunk-list th.t{padding-right:1.5rem}
#byte-view pre{max-height:22rem;overflow-y:auto}
button.link{min-height:1.5rem;padding:0 .4rem;border:0;background:none;text-decoration:underline}
#error:empty,#status:empty,#exported:empty{display:none}
#error{font-weight:600}
.refused{color:var(--error);font-weight:600}
#chunk-list{max-height:28rem;overflow-y:auto}
#result:focus,#byte-view:focus{outline:none}
@media (prefers-reduced-motion:no-preference){html{scroll-behavior:smooth}}
@media (hover:none){.drop-hint{display:none}}
@media (max-width:40rem){.contents{gap:.25rem .75rem;font-size:.8125rem}.drop{margin:1rem -.25rem 0;padding:0 .6rem .75rem}}
@media print{.drop,.contents,.pages,#export,#status{display:none}}
`;
