import { createHash } from 'node:crypto';
import { html, SafeHtml } from './html.ts';

/** One part of a report; `body` has a chart, its figures, or both. */
export interface ReportSection {
  id: string;
  title: string;
  intro: string;
  body: readonly SafeHtml[];
}

/**
 * A page that needs nothing else: no script, no network, no font; its content security policy forbids all of them, and
 * any style but its own. Light or dark as the reader's system is.
 */
export function renderPage(page: { title: string; subtitle: string; summary: readonly string[]; sections: readonly ReportSection[]; footer: string }): string {
  const policy = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; form-action 'none'`;
  const contents = page.sections.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`);
  const sections = page.sections.map(({ id, title, intro, body }) => html`<section id="${id}"><h2>${title}</h2><p>${intro}</p>${body}</section>\n`);
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${new SafeHtml(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>${page.title}</title>
<style>${new SafeHtml(STYLE)}</style>
</head>
<body>
<header><h1>${page.title}</h1><p class="sub">${page.subtitle}</p></header>
<main>
<section id="summary"><h2>In short</h2><ul>${page.summary.map((line) => html`<li>${line}</li>`)}</ul></section>
<nav aria-label="Contents"><ul>${contents}</ul></nav>
${sections}</main>
<footer><p>${page.footer}</p></footer>
</body>
</html>
`.text;
}

/** A chart with its figures folded away below. */
export function figure(caption: string, chart: SafeHtml, figures: SafeHtml | null): SafeHtml {
  return html`<figure><figcaption>${caption}</figcaption>${chart}${figures && html`<details><summary>Figures</summary>${figures}</details>`}</figure>`;
}

export type Cell = string | number | { text: string; isGood: boolean };

/** First column is the row's name; figures are right-aligned. */
export function table(caption: string, head: readonly string[], rows: readonly (readonly Cell[])[]): SafeHtml {
  const cell = (value: Cell, index: number): SafeHtml => {
    if (index === 0) return html`<th scope="row">${typeof value === 'object' ? value.text : value}</th>`;
    return typeof value === 'object' ? html`<td class="${value.isGood ? 'good' : 'bad'}">${value.text}</td>` : typeof value === 'string' && value.length > WORDS_LENGTH ? html`<td class="words">${value}</td>` : html`<td>${value}</td>`;
  };
  return html`<div class="wide"><table><caption>${caption}</caption><thead><tr>${head.map((title) => html`<th scope="col">${title}</th>`)}</tr></thead><tbody>${rows.map((row) => html`<tr>${row.map(cell)}</tr>`)}</tbody></table></div>`;
}

/** What is longer is read as words, not compared as a figure. */
const WORDS_LENGTH = 40;

const STYLE = `
:root{--bg:#fdfdfc;--fg:#1d2228;--dim:#5d6771;--line:#dfe2e5;--accent:#0b63ce;--band:#0b63ce2e;--other:#8a949e;--good:#1a7f37;--bad:#b3261e;--t2:#b25c00;--t3:#6f42c1;--t4:#1a7f37;--t5:#b3261e;--t6:#00798c;--t7:#c2185b}
@media (prefers-color-scheme:dark){:root{--bg:#14171a;--fg:#e4e7ea;--dim:#9aa4ae;--line:#2c3238;--accent:#6cb0ff;--band:#6cb0ff38;--other:#7d8791;--good:#57c774;--bad:#ff8a80;--t2:#f0a35e;--t3:#c3a6ff;--t4:#7ee08f;--t5:#ff9b93;--t6:#5fd3e0;--t7:#ff8ac0}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:62rem;padding:1.5rem 1rem 4rem;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.7rem;margin:0}h2{font-size:1.25rem;margin:2.5rem 0 .3rem;border-top:1px solid var(--line);padding-top:1.2rem}h3{font-size:1rem;margin:1.4rem 0 .2rem}
.sub,footer,figcaption,caption{color:var(--dim)}.sub{margin:.2rem 0 0}
nav ul{display:flex;flex-wrap:wrap;gap:.2rem 1rem;list-style:none;padding:0;margin:1rem 0 0;font-size:.9rem}
a{color:var(--accent)}
.pair{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,26rem),1fr));gap:0 1.5rem}
figure{margin:1rem 0 1.4rem;min-width:0}figcaption{font-size:.9rem;margin-bottom:.3rem;overflow-wrap:anywhere}
svg{display:block;width:100%;height:auto;font:12px system-ui,sans-serif}
details{font-size:.85rem}summary{cursor:pointer;color:var(--dim)}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums}
caption{text-align:left;padding:.3rem 0;font-size:.85rem}th,td{padding:.2rem .7rem .2rem 0;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}th:first-child{text-align:left}thead th{color:var(--dim);font-weight:500}
tbody th{font-weight:500;max-width:22rem;overflow:hidden;text-overflow:ellipsis}
.words{text-align:left;white-space:normal;min-width:18rem}
.good{color:var(--good)}.bad{color:var(--bad)}
text{fill:var(--fg)}.axis{fill:var(--dim)}.grid{stroke:var(--line)}
text.chosen{font-weight:700}.bar{fill:var(--other)}.bar.chosen{fill:var(--accent)}.mark{stroke:var(--fg);stroke-dasharray:4 3}
.line{fill:none;stroke:var(--other);stroke-width:1.6;stroke-linejoin:round}.actual{stroke:var(--fg);stroke-width:1.3}.band{fill:var(--band);stroke:none}
.tone0{stroke:var(--accent);stroke-width:2.2}.tone1{stroke:var(--fg);stroke-dasharray:6 4}.tone2{stroke:var(--t2)}.tone3{stroke:var(--t3)}.tone4{stroke:var(--t4)}.tone5{stroke:var(--t5)}.tone6{stroke:var(--t6)}.tone7{stroke:var(--t7)}
.dot{stroke:none;fill:var(--other)}.dot.tone0{fill:var(--accent)}.dot.tone1{fill:var(--fg)}.dot.tone2{fill:var(--t2)}.dot.tone3{fill:var(--t3)}.dot.tone4{fill:var(--t4)}.dot.tone5{fill:var(--t5)}.dot.tone6{fill:var(--t6)}.dot.tone7{fill:var(--t7)}
@media print{nav{display:none}body{max-width:none}}
`;
