import { formatDuration } from '../../base/index.ts';
import type { BacktestScore, ForecastHealth, LiveScore, ServingModel } from '../../model/index.ts';
import type { ForecastExplanation } from '../explain/explain-forecast.ts';
import { html, shortName, type SafeHtml } from './html.ts';
import { figure, renderPage, table, type ReportSection } from './page.ts';
import { bandChart, barChart, lineChart, type LineSeries } from './svg-charts.ts';
import { percent, shownNumber } from './text.ts';

/** What a running engine can say of its own forecasts. */
export interface EngineReportInputs {
  mesh: string;
  /** When it was asked, epoch ms. */
  askedAt: number;
  model: string | null;
  /** State of training, in words. */
  training: string;
  backtest: readonly BacktestScore[];
  serving: readonly ServingModel[];
  board: { sinceAt: number; slotMs: number; health: ForecastHealth; rows: readonly { group: string; step: number; scores: readonly LiveScore[] }[]; days: readonly { startAt: number; champion: LiveScore | null; best: LiveScore | null }[] };
  /** Of the heaviest demands. */
  explanations: readonly Pick<ForecastExplanation, 'pair' | 'classId' | 'slots' | 'past' | 'words' | 'slotMs'>[];
}

/** The report of `foremesh forecast backtest --html`: the back-test on the mesh's own past, and how forecasts turned out since. */
export function renderEngineReport(inputs: EngineReportInputs): string {
  const { mesh, askedAt, board } = inputs;
  return renderPage({
    title: `Forecasts of mesh ${mesh}`,
    subtitle: `Asked ${moment(askedAt)}; live scores since ${moment(board.sinceAt)}.`,
    summary: summaryOf(inputs),
    sections: [backtestSection(inputs), ...servingSection(inputs), liveSection(inputs), daysSection(inputs), demandsSection(inputs), { id: 'weaknesses', title: 'What it does not do well', intro: 'Found in the same figures, not chosen by hand.', body: [html`<ul>${weaknessesOf(inputs).map((line) => html`<li>${line}</li>`)}</ul>`] }],
    footer: 'Made by foremesh forecast backtest. WAPE: Σ|y − P50| / Σy. The back-test judges every model on the last part of the past, which it had not seen; live scores are of forecasts that plans were made on, once their slots had come.',
  });
}

function summaryOf({ model, backtest, training, board }: EngineReportInputs): string[] {
  const used = backtest.find((score) => score.model === (model ?? '').split(' ')[0]);
  const base = backtest.find((score) => score.model === 'persistence') ?? backtest.find((score) => score.model === 'ewma');
  const compared = used && base && base !== used && base.wape > 0 ? `, ${percent(Math.abs(1 - used.wape / base.wape))} ${used.wape <= base.wape ? 'below' : 'above'} ${base.model}` : '';
  const cells = board.rows.reduce((sum, { scores }) => sum + (scores.find(({ isChampion }) => isChampion)?.cells ?? 0), 0);
  return [
    used ? `${used.model} makes most of the forecast: off by ${percent(used.wape)} in the back-test${compared}; its P95 held in ${percent(used.coverageP95)} of cases.` : `${model ?? 'No model'} makes the forecast; there is no back-test of it yet.`,
    `Training: ${training}.`,
    cells > 0 ? `${cells} live forecasts were scored; the watch sees no drift in the forecasts of ${percent(board.health.confidence)} of the demand.` : 'No live forecast has been scored yet.',
    ...board.health.groups.filter(({ state, demands }) => state !== 'ok' && demands > 0).map(({ group, state, reason }) => `Forecasts of ${group} demands: ${state}. ${reason}.`),
  ];
}

function backtestSection({ backtest, model }: EngineReportInputs): ReportSection {
  const used = (model ?? '').split(' ')[0];
  const base = backtest.find((score) => score.model === 'persistence') ?? backtest.find((score) => score.model === 'ewma');
  const bars = (of: (score: BacktestScore) => number) => backtest.map((score) => ({ name: score.model, value: of(score), isChosen: score.model === used })).sort((left, right) => left.value - right.value);
  const chart = (title: string, of: (score: BacktestScore) => number, format: (value: number) => string): SafeHtml =>
    figure(title, barChart({ title, description: backtest.map((score) => `${score.model} ${format(of(score))}`).join(', ') }, bars(of), base ? { name: base.model, value: of(base) } : null, format), null);
  const figures = table('All models, best first', ['Model', 'WAPE', 'mean pinball', 'P95 held'], backtest.map((score) => [score.model === used ? `${score.model} (in use)` : score.model, percent(score.wape), shownNumber(score.pinball), percent(score.coverageP95)]));
  const body = backtest.length === 0 ? [html`<p>There is too little past yet to compare models.</p>`] : [html`<div class="pair">${chart('WAPE of P50', ({ wape }) => wape, percent)}${chart('Mean pinball loss, by demand', ({ pinball }) => pinball, shownNumber)}</div><details><summary>Figures</summary>${figures}</details>`];
  return { id: 'models', title: 'Models compared', intro: 'All pairs and distances, on the part of the past that no model had seen; shorter is better. The coloured bar makes most of the forecast.', body };
}

function servingSection({ serving }: EngineReportInputs): ReportSection[] {
  if (serving.length === 0) return [];
  const rows = serving.map(({ group, pairs, fromStep, toStep, model, upperModel, wape, rival, why }) => [`${group} (${pairs} ${pairs === 1 ? 'demand' : 'demands'})`, fromStep === toStep ? `slot ${fromStep}` : `slots ${fromStep}–${toStep}`, upperModel === undefined ? model : `${model}, P90 and P95 ${upperModel}`, wape === null ? '–' : percent(wape), rival === null ? '–' : `${rival.model}, ${percent(rival.wape)}`, why]);
  return [{ id: 'serving', title: 'Which model serves whom', intro: 'Each kind of pairs and distance has a contest of its own; the error is that of the back-test there.', body: [table('By kind of pairs and slots ahead', ['Pairs', 'ahead', 'model', 'WAPE', 'best of the others', 'why'], rows)] }];
}

function liveSection({ board }: EngineReportInputs): ReportSection {
  const rows = board.rows.flatMap(({ group, step, scores }) => {
    const champion = scores.find(({ isChampion }) => isChampion);
    return scores.map((score) => [
      `${group}, ${formatDuration(step * board.slotMs)} ahead: ${score.model}${score.isChampion ? ' (in use)' : ''}`,
      score.isChampion ? { text: percent(score.wape), isGood: scores.every((other) => other.wape >= score.wape) } : percent(score.wape),
      shownNumber(score.pinballP95),
      score.isChampion && champion ? { text: percent(score.coverageP95), isGood: Math.abs(score.coverageP95 - 0.95) <= 0.025 } : percent(score.coverageP95),
      percent(score.coverageByVolume),
      percent(score.bias),
      percent(score.unmetP95),
      score.cells,
    ]);
  });
  return { id: 'live', title: 'How forecasts turned out', intro: 'Forecasts that plans were made on, beside rules of thumb that were scored at the same slots. Bias above 0: more was expected than came. Green: best of its rows; a P95 that held about 95 %.', body: [rows.length === 0 ? html`<p>Nothing has been scored yet: the first is when its slot and one more have gone by.</p>` : table('By kind of demand and distance', ['Forecasts', 'WAPE', 'P95 pinball', 'P95 held', 'by volume', 'bias', 'unmet at P95', 'scored'], rows)] };
}

function daysSection({ board }: EngineReportInputs): ReportSection {
  const of = (which: 'champion' | 'best'): [number, number][] => board.days.map((day, index) => [index, day[which]?.pinball ?? Number.NaN]);
  const series: LineSeries[] = [{ name: 'best rule of thumb', tone: 1, points: of('best') }, { name: 'in use', tone: 0, points: of('champion'), hasDots: board.days.length < 40 }];
  const label = (index: number): string => (board.days[Math.round(index)] ? moment(board.days[Math.round(index)]!.startAt).slice(0, 10) : '');
  const behind = board.days.filter(({ champion, best }) => champion && best && champion.pinball > best.pinball).length;
  const said = `On ${behind} of ${board.days.length} days a rule of thumb was better.`;
  const chart = lineChart({ title: 'Mean pinball loss by day', description: said }, series, { label: '', format: label, min: 0, max: Math.max(1, board.days.length - 1), ticks: [...new Set([0, 1, 2, 3].map((part) => Math.round((part / 4) * Math.max(0, board.days.length - 1))))] }, { label: 'mean pinball', format: shownNumber, min: 0 }, 220);
  const rows = board.days.map(({ startAt, champion, best }) => [moment(startAt).slice(0, 10), champion ? `${champion.model}, ${shownNumber(champion.pinball)}` : '–', champion ? percent(champion.wape) : '–', champion ? percent(champion.coverageP95) : '–', best ? `${best.model}, ${shownNumber(best.pinball)}` : '–']);
  return { id: 'time', title: 'Over time', intro: 'A line that climbs away from the rule of thumb is a model that grows stale.', body: [board.days.length === 0 ? html`<p>No day has been scored yet.</p>` : figure(said, chart, table('By day', ['Day', 'in use', 'WAPE', 'P95 held', 'best rule of thumb'], rows))] };
}

function demandsSection({ explanations }: EngineReportInputs): ReportSection {
  const charts = explanations.map(({ pair, classId, past, slots, words, slotMs }) => {
    const line = [...past.map(({ mbps, p50, p95 }) => ({ mbps: mbps ?? Number.NaN, p50: p50 ?? Number.NaN, p95: p95 ?? Number.NaN })), ...slots.map(({ p50, p95 }) => ({ mbps: Number.NaN, p50, p95 }))];
    const startAt = past[0]?.startAt ?? slots[0]?.startAt ?? 0;
    const last = line.length - 1;
    const at = (index: number): string => moment(startAt + Math.round(index) * slotMs).slice(5, 16);
    const chart = bandChart({ title: `${shortName(pair)} ${classId}`, description: words[0] ?? '' }, { x: line.map((_, index) => index), actual: line.map(({ mbps }) => mbps), p50: line.map(({ p50 }) => p50), p95: line.map(({ p95 }) => p95) }, { label: '', format: at, min: 0, max: Math.max(1, last), ticks: [0, Math.floor(last / 3), Math.floor((2 * last) / 3)] }, { label: '', format: shownNumber });
    return html`<figure><figcaption>${shortName(pair)} ${classId}</figcaption>${chart}<details><summary>In words</summary><ul>${words.map((word) => html`<li>${word}</li>`)}</ul></details></figure>`;
  });
  return { id: 'demands', title: 'The heaviest demands', intro: 'The last day as it was measured, what had been forecast for it, and the forecast of now (Mbit/s).', body: [charts.length === 0 ? html`<p>Nothing is forecast.</p>` : html`<div class="pair">${charts}</div>`] };
}

function weaknessesOf({ backtest, board, model }: EngineReportInputs): string[] {
  const used = (model ?? '').split(' ')[0];
  const score = backtest.find((each) => each.model === used);
  const lines = board.rows.flatMap(({ group, step, scores }) => {
    const champion = scores.find(({ isChampion }) => isChampion);
    if (!champion || champion.cells < CELLS_MIN) return [];
    const name = `${group} demands ${formatDuration(step * board.slotMs)} ahead`;
    const better = scores.filter((other) => other.pinball < champion.pinball);
    return [
      ...(better.length > 0 ? [`For ${name} ${better.map((each) => each.model).join(' and ')} did better lately.`] : []),
      ...(champion.coverageP95 < 0.92 ? [`P95 of ${name} held in only ${percent(champion.coverageP95)} of cases.`] : []),
      ...(champion.coverageP95 > 0.985 ? [`P95 of ${name} held in ${percent(champion.coverageP95)} of cases: more capacity than was asked for.`] : []),
      ...(champion.coverageByVolume < champion.coverageP95 - 0.03 ? [`What P95 of ${name} does not hold is heavy: ${percent(1 - champion.coverageByVolume)} of the demand.`] : []),
      ...(Math.abs(champion.bias) > 0.1 ? [`Forecasts of ${name} are too ${champion.bias > 0 ? 'high' : 'low'} by ${percent(Math.abs(champion.bias))} in sum.`] : []),
    ];
  });
  const few = board.rows.every(({ scores }) => scores.every(({ cells }) => cells < CELLS_MIN));
  return [
    ...(score && score.coverageP95 < 0.92 ? [`In the back-test P95 held in only ${percent(score.coverageP95)} of cases.`] : []),
    ...lines,
    ...(few ? [`Fewer than ${CELLS_MIN} live forecasts of each kind have been scored: too few to say.`] : lines.length === 0 ? ['Nothing in the live scores speaks against it.'] : []),
  ];
}

/** Fewer scored cells say nothing. */
const CELLS_MIN = 100;

function moment(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
