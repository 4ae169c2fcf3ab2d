import type { PairGroup } from '../../model/index.ts';
import { html } from './html.ts';
import { wapeOf, type ModelCells, type Sums } from './collect-cells.ts';
import { figure, table, type ReportSection } from './page.ts';
import { lineChart, niceTicks, type LineSeries } from './svg-charts.ts';
import { GROUP_WORDS, percent, shownNumber } from './text.ts';
import type { HorizonReport, ReportContext } from './bench-report.ts';

const ratioAxis = (label: string) => ({ label, format: (value: number) => percent(value), min: 0 });

/** Whether quantiles are what they say. */
export function reliabilitySection(horizons: readonly HorizonReport[]): ReportSection {
  return {
    id: 'reliability',
    title: 'Is the band honest?',
    intro: 'A quantile of 95 % should hold 19 times in 20: the nearer to the dashed diagonal, the better. By volume counts each case by its demand, which shows whether the heavy moments are the ones that get away.',
    body: horizons.map(({ name, chosen, of }) => {
      const points = (by: 'byCount' | 'byVolume'): [number, number][] => of.reliability.map((each) => [each.quantile, each[by]]);
      const series: LineSeries[] = [
        { name: 'as promised', tone: 1, points: [[0.4, 0.4], [1, 1]] as [number, number][] },
        { name: `${chosen}, by count`, tone: 0, points: points('byCount'), hasDots: true },
        { name: 'by volume', tone: 2, points: points('byVolume'), hasDots: true },
      ];
      const least = Math.min(0.4, ...of.reliability.map((each) => Math.floor(10 * Math.min(each.byCount, each.byVolume)) / 10));
      const said = of.reliability.map((each) => `P${Math.round(100 * each.quantile)} held ${percent(each.byCount)} of cases, ${percent(each.byVolume)} of the demand`).join('; ');
      const chart = lineChart({ title: `Reliability of ${chosen}, ${name} ahead`, description: said }, series, { label: 'promised', format: percent, min: 0.4, max: 1, ticks: [0.5, 0.9, 0.95] }, { label: 'held', format: percent, min: least, max: 1, ticks: niceTicks(least, 1, 6) }, 240);
      return figure(`${name} ahead: ${said}.`, chart, table(`Reliability ${name} ahead`, ['Quantile', 'held, by count', 'held, by volume'], of.reliability.map((each) => [`P${Math.round(100 * each.quantile)}`, percent(each.byCount), percent(each.byVolume)])));
    }),
  };
}

/** Times the worst of the chosen model and the reactive rule. */
const OFF_CHART = 1.6;

/** Capacity against what finds no room. */
export function tradeoffSection(horizons: readonly HorizonReport[]): ReportSection {
  return {
    id: 'tradeoff',
    title: 'What the same capacity buys',
    intro: 'Each model’s band is scaled so that it provides 1.2 to 2 times the demand; the line shows how much of the demand then finds no room. “reactive” is the rule that everybody has: what was last seen, times one margin for all pairs. What is far worse than both is not drawn; the figures have it.',
    body: horizons.map(({ name, chosen, tradeoffs }) => {
      const shown = tradeoffs.filter(({ points }) => points.length > 0);
      // One hopeless model must not press all others against the axis.
      const most = OFF_CHART * Math.max(...shown.filter(({ model }) => model === chosen || model === 'reactive').flatMap(({ points }) => points.map(({ unmet }) => unmet)), 1e-6);
      const series = withTones(shown.map(({ model }) => model), chosen, 'reactive').map(({ model, tone }): LineSeries => ({ name: model, tone, points: shown.find((each) => each.model === model)!.points.map(({ allocation, unmet }) => [allocation, unmet <= most ? unmet : Number.NaN]), hasDots: tone === 0 }));
      const at = (model: string): string => percent(shown.find((each) => each.model === model)?.points.find(({ allocation }) => allocation === 1.4)?.unmet ?? Number.NaN);
      const said = `At 1.4 times the demand ${at(chosen)} of it finds no room with ${chosen}, ${at('reactive')} with the reactive rule.`;
      const chart = lineChart({ title: `Unmet demand by capacity, ${name} ahead`, description: said }, series, { label: 'provided, times the demand', format: shownNumber, ticks: [1.2, 1.3, 1.4, 1.5, 1.7, 2] }, ratioAxis('unmet'));
      const head = shown[0]?.points.map(({ allocation }) => `×${allocation}`) ?? [];
      return figure(`${name} ahead. ${said}`, chart, table(`Unmet demand (and share of cases over the provision) ${name} ahead`, ['Model', ...head], shown.map(({ model, points }) => [model, ...points.map(({ unmet, over }) => `${percent(unmet)} (${percent(over)})`)])));
    }),
  };
}

/** The chosen model first, then what it is compared with, then the others; at most eight lines can be told apart. */
export function withTones(models: readonly string[], chosen: string, compared: string): { model: string; tone: number }[] {
  const others = models.filter((model) => model !== chosen && model !== compared);
  return [...(models.includes(compared) && compared !== chosen ? [{ model: compared, tone: 1 }] : []), ...others.map((model, index) => ({ model, tone: 2 + (index % 6) })), ...(models.includes(chosen) ? [{ model: chosen, tone: 0 }] : [])];
}

const KINDS: readonly PairGroup[] = ['heavy', 'middle', 'sparse', 'new'];

/** Which model is best for which kind of pairs. */
export function groupsSection(horizons: readonly HorizonReport[], { groups, means }: ReportContext): ReportSection {
  const total = means.reduce((sum, mean) => sum + mean, 0) || 1;
  return {
    id: 'groups',
    title: 'Kinds of pairs',
    intro: 'WAPE by how much pairs carried in what was learned from. A dash: nothing of that kind, or no demand came. Green: the chosen model is at least as good as “no change” there.',
    body: horizons.map(({ name, chosen, scores, cells, persistence }) => {
      const rows = KINDS.map((kind) => {
        const pairs = groups.flatMap((group, pair) => (group === kind ? [pair] : []));
        const of = (model: ModelCells | null | undefined): number => (model ? wapeOfSome(model.byPair, pairs) : Number.NaN);
        const best = scores.map(({ model }) => ({ model, wape: of(cells.get(model)) })).filter(({ wape }) => Number.isFinite(wape)).sort((left, right) => left.wape - right.wape)[0];
        const own = of(cells.get(chosen));
        return [`${GROUP_WORDS[kind]} (${pairs.length} pairs, ${percent(pairs.reduce((sum, pair) => sum + means[pair]!, 0) / total)} of the demand)`, { text: percent(own), isGood: !(own > of(persistence)) }, percent(of(persistence)), best ? `${best.model}, ${percent(best.wape)}` : '–', percent(heldOfSome(cells.get(chosen)!.byPair, pairs))];
      });
      return table(`${name} ahead`, ['Pairs', chosen, 'no change', 'best here', 'P95 held'], rows);
    }),
  };
}

/** When it errs. */
export function errorsSection(horizons: readonly HorizonReport[]): ReportSection {
  return {
    id: 'hours',
    title: 'Error by time of day',
    intro: 'Twenty-fourths of a day, from its beginning (UTC where the data has a clock).',
    body: horizons.map(({ name, chosen, of, persistence }) => {
      const hours = Array.from({ length: 24 }, (_, hour) => hour);
      const points = (sums: Sums): [number, number][] => hours.map((hour) => [hour, wapeOf(sums, hour)]);
      const series: LineSeries[] = [...(persistence && chosen !== 'persistence' ? [{ name: 'no change', tone: 1, points: points(persistence.byHour) }] : []), { name: chosen, tone: 0, points: points(of.byHour) }];
      const known = points(of.byHour).filter(([, wape]) => Number.isFinite(wape));
      const worst = known.reduce<[number, number]>((most, each) => (each[1] > most[1] ? each : most), known[0] ?? [0, Number.NaN]);
      const said = `Hardest around ${String(worst[0]).padStart(2, '0')}:00 with ${percent(worst[1])}.`;
      const chart = lineChart({ title: `WAPE by hour, ${name} ahead`, description: said }, series, { label: 'hour', format: (value) => String(value), min: 0, max: 23, ticks: [0, 3, 6, 9, 12, 15, 18, 21] }, ratioAxis('WAPE'), 220);
      return figure(`${name} ahead. ${said}`, chart, table(`WAPE by hour ${name} ahead`, ['Hour', ...series.map((each) => each.name), 'share of demand'], hours.map((hour) => [hour, ...series.map((each) => percent(each.points[hour]![1])), percent(of.byHour.demand[hour]! / (of.byHour.demand.reduce((sum, value) => sum + value, 0) || 1))])));
    }),
  };
}

/** Whether it gets worse with distance from what was learned. */
export function overTimeSection(horizons: readonly HorizonReport[], { when }: ReportContext): ReportSection {
  return {
    id: 'time',
    title: 'Over time',
    intro: 'The test in equal parts, oldest first. A line that climbs away from “no change” is a model that grows stale: it was never trained again here, and in an engine it is, every night.',
    body: horizons.map(({ name, chosen, of, persistence }) => {
      const points = (sums: Sums): [number, number][] => of.partSlots.map((_, part) => [part, wapeOf(sums, part)]);
      const held = of.partSlots.map((_, part): [number, number] => [part, of.byPart.cells[part]! > 0 ? of.byPart.held[part]! / of.byPart.cells[part]! : Number.NaN]);
      const series: LineSeries[] = [...(persistence && chosen !== 'persistence' ? [{ name: 'no change', tone: 1, points: points(persistence.byPart) }] : []), { name: chosen, tone: 0, points: points(of.byPart) }];
      const label = (part: number): string => {
        const slot = of.partSlots[Math.round(part)];
        return slot === undefined ? '' : when(slot).replace(/ \d\d:\d\d UTC$/, '');
      };
      const ticks = niceTicks(0, Math.max(1, of.partSlots.length - 1), 5).filter((tick) => Number.isInteger(tick));
      const said = trendOf(points(of.byPart), persistence ? points(persistence.byPart) : null);
      const x = { label: '', format: label, min: 0, max: Math.max(1, of.partSlots.length - 1), ticks };
      const chart = lineChart({ title: `WAPE over time, ${name} ahead`, description: said }, series, x, ratioAxis('WAPE'), 220);
      const band = lineChart({ title: `Share of cases that P95 held over time, ${name} ahead`, description: `Between ${percent(Math.min(...held.map(([, value]) => value).filter(Number.isFinite)))} and ${percent(Math.max(...held.map(([, value]) => value).filter(Number.isFinite)))}; 95 % is promised.` }, [{ name: 'promised', tone: 1, points: [[0, 0.95], [x.max, 0.95]] }, { name: `${chosen}: P95 held`, tone: 0, points: held }], x, { label: 'held', format: percent, max: 1 }, 180);
      const rows = of.partSlots.map((slot, part) => [when(slot), ...series.map((each) => percent(each.points[part]![1])), percent(held[part]![1])]);
      return html`${figure(`${name} ahead. ${said}`, chart, null)}${figure(`${name} ahead: how often P95 held.`, band, table(`Parts of the test ${name} ahead`, ['From', ...series.map((each) => each.name), 'P95 held'], rows))}`;
    }),
  };
}

function trendOf(points: readonly [number, number][], base: readonly [number, number][] | null): string {
  const ratio = (from: number, until: number): number => meanOf(points.slice(from, until)) / (base ? meanOf(base.slice(from, until)) : 1);
  const third = Math.max(1, Math.floor(points.length / 3));
  const change = ratio(points.length - third, points.length) / ratio(0, third) - 1;
  if (!Number.isFinite(change)) return 'Too little came to say how it changes.';
  const beside = base ? ' in relation to “no change”' : '';
  if (Math.abs(change) < 0.03) return `It holds: the last third of the test is as good as the first${beside}.`;
  return `The last third of the test is ${percent(Math.abs(change))} ${change > 0 ? 'worse' : 'better'} than the first${beside}.`;
}

function meanOf(points: readonly [number, number][]): number {
  const known = points.map(([, value]) => value).filter(Number.isFinite);
  return known.length > 0 ? known.reduce((sum, value) => sum + value, 0) / known.length : Number.NaN;
}

export function wapeOfSome(sums: Sums, indexes: readonly number[]): number {
  const demand = indexes.reduce((sum, index) => sum + sums.demand[index]!, 0);
  return demand > 0 ? indexes.reduce((sum, index) => sum + sums.error[index]!, 0) / demand : Number.NaN;
}

export function heldOfSome(sums: Sums, indexes: readonly number[]): number {
  const cells = indexes.reduce((sum, index) => sum + sums.cells[index]!, 0);
  return cells > 0 ? indexes.reduce((sum, index) => sum + sums.held[index]!, 0) / cells : Number.NaN;
}
