import { wapeOf } from './collect-cells.ts';
import { html, shortName, type SafeHtml } from './html.ts';
import { figure, table, type ReportSection } from './page.ts';
import { bandChart } from './svg-charts.ts';
import { percent, shownNumber } from './text.ts';
import type { HorizonReport, ReportContext } from './bench-report.ts';

const DRAWN = 4;
/** Pairs that are listed; of more, the worst and the best. */
const LISTED = 500;
/** A pair below this share of what would be even is too light to be an example. */
const WEIGHT_MIN = 0.25;
const ROWS = 40;

/** The pairs that were forecast worst and best among those that matter, and a list of all. */
export function pairsSections(horizons: readonly HorizonReport[], context: ReportContext): ReportSection[] {
  return [
    {
      id: 'worst',
      title: 'The pairs it got most wrong',
      intro: 'Of those that carry at least a quarter of an even share. The last tested stretch: what came, the median that was forecast for it, and the band up to P95.',
      body: horizons.map((horizon) => drawPairs(horizon, context, ranked(horizon, context).slice(0, DRAWN))),
    },
    { id: 'best', title: 'The pairs it got most right', intro: 'The same, from the other end.', body: horizons.map((horizon) => drawPairs(horizon, context, ranked(horizon, context).slice(-DRAWN).reverse())) },
    { id: 'pairs', title: 'All pairs', intro: 'Worst first.', body: horizons.map((horizon) => listPairs(horizon, context)) },
  ];
}

/** Pairs that are heavy enough, worst first. */
function ranked({ of }: HorizonReport, { matrix }: ReportContext): number[] {
  const total = of.byPair.demand.reduce((sum, value) => sum + value, 0);
  const least = (WEIGHT_MIN * total) / matrix.pairs.length;
  return matrix.pairs.flatMap((_, pair) => (of.byPair.demand[pair]! >= least && of.byPair.demand[pair]! > 0 ? [pair] : [])).sort((left, right) => wapeOf(of.byPair, right) - wapeOf(of.byPair, left) || left - right);
}

function drawPairs({ name, of, persistence }: HorizonReport, { matrix, when }: ReportContext, pairs: readonly number[]): SafeHtml {
  const { slots, p50, p95 } = of.window;
  const places = [...slots.keys()];
  const charts = pairs.map((pair) => {
    const actual = places.map((place) => matrix.values[pair]![slots[place]!] ?? Number.NaN);
    const of50 = places.map((place) => p50[place * matrix.pairs.length + pair]!);
    const of95 = places.map((place) => p95[place * matrix.pairs.length + pair]!);
    const over = actual.filter((value, place) => value > of95[place]!).length;
    const said = `${shortName(matrix.pairs[pair]!)}: off by ${percent(wapeOf(of.byPair, pair))}${persistence ? ` (no change: ${percent(wapeOf(persistence.byPair, pair))})` : ''}, above P95 in ${over} of ${slots.length} drawn cases.`;
    const label = (place: number): string => (slots[Math.round(place)] === undefined ? '' : when(slots[Math.round(place)]!).replace(/^\d{4}-/, '').replace(/ UTC$/, ''));
    const chart = bandChart({ title: `${shortName(matrix.pairs[pair]!)}, ${name} ahead`, description: said }, { x: places, actual, p50: of50, p95: of95 }, { label: '', format: label, min: 0, max: Math.max(1, places.length - 1), ticks: [0, Math.floor((places.length - 1) / 3), Math.floor((2 * (places.length - 1)) / 3)] }, { label: '', format: shownNumber });
    const every = Math.max(1, Math.ceil(places.length / ROWS));
    const rows = places.filter((place) => place % every === 0).map((place) => [when(slots[place]!), shownNumber(actual[place]!), shownNumber(of50[place]!), shownNumber(of95[place]!)]);
    return figure(said, chart, table(every === 1 ? 'Every slot' : `One slot in ${every}`, ['Slot', 'measured', 'P50', 'P95'], rows));
  });
  return html`<h3>${name} ahead</h3>${charts.length === 0 ? html`<p>No pair carried anything in the test.</p>` : html`<div class="pair">${charts}</div>`}`;
}

function listPairs({ name, chosen, of, persistence }: HorizonReport, { matrix, groups }: ReportContext): SafeHtml {
  const total = of.byPair.demand.reduce((sum, value) => sum + value, 0) || 1;
  const all = matrix.pairs.map((_, pair) => pair).sort((left, right) => worth(wapeOf(of.byPair, right)) - worth(wapeOf(of.byPair, left)) || left - right);
  const shown = all.length <= LISTED ? all : [...all.slice(0, LISTED / 2), ...all.slice(-LISTED / 2)];
  const rows = shown.map((pair) => {
    const [own, base] = [wapeOf(of.byPair, pair), persistence ? wapeOf(persistence.byPair, pair) : Number.NaN];
    return [shortName(matrix.pairs[pair]!), { text: percent(own), isGood: !(own > base) }, percent(base), percent(of.byPair.cells[pair]! > 0 ? of.byPair.held[pair]! / of.byPair.cells[pair]! : Number.NaN), percent(of.byPair.demand[pair]! / total), groups[pair]!];
  });
  const caption = shown.length < all.length ? `${name} ahead: the ${LISTED / 2} worst and ${LISTED / 2} best of ${all.length}` : `${name} ahead`;
  return html`<details><summary>${name} ahead: ${all.length} pairs</summary>${table(caption, ['Pair', chosen, 'no change', 'P95 held', 'share of demand', 'kind'], rows)}</details>`;
}

/** Pairs without demand come last. */
function worth(wape: number): number {
  return Number.isFinite(wape) ? wape : -1;
}
