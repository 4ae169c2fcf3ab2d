import { wapeOf } from './collect-cells.ts';
import { heldOfSome, wapeOfSome } from './bench-sections.ts';
import { html, shortName, type SafeHtml } from './html.ts';
import { table } from './page.ts';
import { GROUP_WORDS, percent, shownNumber } from './text.ts';
import type { HorizonReport, ReportContext } from './bench-report.ts';

/** Below 95 % by this much a quantile of 95 % has not kept its word. */
const COVERAGE_SLACK = 0.015;

/** What the figures say against the chosen models, in words, and the largest single misses. */
export function weaknesses(horizons: readonly HorizonReport[], context: ReportContext): SafeHtml {
  return html`${horizons.map((horizon) => html`<h3>${horizon.name} ahead</h3><ul>${linesOf(horizon, context).map((line) => html`<li>${line}</li>`)}</ul>${missesOf(horizon, context)}`)}`;
}

function linesOf({ chosen, scores, of, persistence, cells }: HorizonReport, { matrix, groups }: ReportContext): string[] {
  const lines: string[] = [];
  const total = of.byPair.demand.reduce((sum, value) => sum + value, 0) || 1;
  const better = scores[0]!;
  if (better.model !== chosen) lines.push(`${better.model} would have been better on this test (WAPE ${percent(better.score.wape)}); nobody could know beforehand.`);
  if (persistence && chosen !== 'persistence') {
    const lost = matrix.pairs.map((_, pair) => pair).filter((pair) => wapeOf(of.byPair, pair) > wapeOf(persistence.byPair, pair));
    const share = lost.reduce((sum, pair) => sum + of.byPair.demand[pair]!, 0) / total;
    lines.push(lost.length === 0 ? 'It beats “no change” for every pair.' : `For ${lost.length} of ${matrix.pairs.length} pairs (${percent(share)} of the demand) “no change” was better.`);
  }
  for (const kind of new Set(groups)) {
    const pairs = groups.flatMap((group, pair) => (group === kind ? [pair] : []));
    const held = heldOfSome(of.byPair, pairs);
    if (held < 0.95 - COVERAGE_SLACK) lines.push(`P95 held in only ${percent(held)} of cases of pairs in the ${GROUP_WORDS[kind]}.`);
    if (held > 0.95 + 0.03) lines.push(`P95 held in ${percent(held)} of cases of pairs in the ${GROUP_WORDS[kind]}: more capacity than was asked for.`);
    const wape = wapeOfSome(of.byPair, pairs);
    const base = persistence ? wapeOfSome(persistence.byPair, pairs) : Number.NaN;
    if (wape > base) lines.push(`Pairs in the ${GROUP_WORDS[kind]} were better off with “no change” (${percent(base)} against ${percent(wape)}).`);
  }
  const byVolume = of.reliability.at(-1)!;
  if (byVolume.byVolume < 0.95 - COVERAGE_SLACK) lines.push(`The moments that P95 does not hold are heavy ones: they carry ${percent(1 - byVolume.byVolume)} of the demand in ${percent(1 - byVolume.byCount)} of the cases.`);
  const hours = Array.from({ length: 24 }, (_, hour) => hour).filter((hour) => persistence && wapeOf(of.byHour, hour) > wapeOf(persistence.byHour, hour));
  if (hours.length > 0 && chosen !== 'persistence') lines.push(`In the hours ${hours.map((hour) => String(hour).padStart(2, '0')).join(', ')} “no change” was better.`);
  const naive = cells.get('seasonal-naive');
  if (naive && scores.find(({ model }) => model === 'seasonal-naive')!.score.wape < scores.find(({ model }) => model === chosen)!.score.wape) lines.push('Yesterday’s value was better than the chosen model: the day repeats more exactly than it believes.');
  return lines.length > 0 ? lines : ['Nothing in these figures speaks against it.'];
}

function missesOf({ name, of }: HorizonReport, { matrix, when }: ReportContext): SafeHtml | null {
  if (of.misses.length === 0) return null;
  return table(`The largest demands above P95, ${name} ahead`, ['Pair', 'slot', 'came', 'P95', 'times'], of.misses.map(({ pair, slot, actual, p95 }) => [shortName(matrix.pairs[pair]!), when(slot), shownNumber(actual), shownNumber(p95), p95 > 0 ? `×${shownNumber(actual / p95)}` : '–']));
}
