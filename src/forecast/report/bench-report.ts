import { compareText } from '../../base/index.ts';
import type { PairGroup } from '../../model/index.ts';
import type { ForecastBenchResult } from '../matrix/bench.ts';
import { knownMean, type DemandMatrix } from '../matrix/demand-matrix.ts';
import { groupPairs } from '../pair-groups.ts';
import type { MatrixScore } from '../matrix/score.ts';
import { collectCells, type ModelCells, type ScoredCells } from './collect-cells.ts';
import { errorsSection, groupsSection, overTimeSection, reliabilitySection, tradeoffSection } from './bench-sections.ts';
import { modelsSection } from './models-section.ts';
import { pairsSections } from './pair-sections.ts';
import { renderPage } from './page.ts';
import { percent, shownNumber } from './text.ts';
import { weaknesses } from './weaknesses.ts';

export interface BenchReportInputs {
  /** What the data is called: a file's name. */
  source: string;
  matrix: DemandMatrix;
  /** What was learned from. */
  learned: DemandMatrix;
  result: ForecastBenchResult;
  /** Of every model and horizon. */
  cells: readonly ModelCells[];
}

/** Collects what a report needs while a bench runs (`onScored`), and renders it when the result is there. */
export function createBenchReport(source: string, matrix: DemandMatrix): { onScored: (cells: ScoredCells) => void; render: (result: ForecastBenchResult) => string } {
  const cells: ModelCells[] = [];
  let learned = matrix;
  return {
    onScored(scored) {
      learned = scored.learned;
      cells.push(collectCells(scored));
    },
    render: (result) => renderBenchReport({ source, matrix, learned, result, cells }),
  };
}

/** One horizon with everything that its sections need. */
export interface HorizonReport {
  name: string;
  steps: number;
  chosen: string;
  /** Scored models, least WAPE first. */
  scores: { model: string; score: MatrixScore }[];
  tradeoffs: { model: string; points: { allocation: number; unmet: number; over: number }[] }[];
  cells: Map<string, ModelCells>;
  of: ModelCells;
  persistence: ModelCells | null;
}

export interface ReportContext {
  matrix: DemandMatrix;
  groups: PairGroup[];
  /** Mean demand of each pair in what was learned from. */
  means: number[];
  /** A moment for people; steps where the data has no time. */
  when: (slot: number) => string;
}

/** The whole report of `foremesh bench forecast --html` as one page. */
export function renderBenchReport(inputs: BenchReportInputs): string {
  const { source, matrix, learned, result } = inputs;
  const horizons = Object.keys(result.horizons).flatMap((name) => horizonOf(name, inputs) ?? []);
  const context: ReportContext = { matrix, groups: groupPairs(learned), means: learned.values.map((values) => knownMean(values) || 0), when: clockOf(matrix) };
  const tested = horizons[0]?.of.window.slots;
  return renderPage({
    title: `Forecasts of ${source}`,
    subtitle: `${result.pairs} pairs, ${result.rows} rows of ${result.stepSeconds} s; learned until ${context.when(learned.length - 1)}, tested until ${tested && tested.length > 0 ? context.when(tested.at(-1)!) : 'the end'}.`,
    summary: summaryOf(horizons, result),
    sections: [
      modelsSection(horizons),
      reliabilitySection(horizons),
      tradeoffSection(horizons),
      groupsSection(horizons, context),
      errorsSection(horizons),
      overTimeSection(horizons, context),
      ...pairsSections(horizons, context),
      { id: 'weaknesses', title: 'What it does not do well', intro: 'Found in the same figures, not chosen by hand.', body: [weaknesses(horizons, context)] },
    ],
    footer: 'Made by foremesh bench forecast. WAPE: Σ|y − P50| / Σy. Every model saw only what was known when each forecast was made, and was chosen on the last fifth of what was learned from, not by this test.',
  });
}

function horizonOf(name: string, { result, cells }: BenchReportInputs): HorizonReport | null {
  const { chosen, models } = result.horizons[name]!;
  const ofHorizon = new Map(cells.filter(({ horizon }) => horizon === name).map((each) => [each.model, each]));
  const of = ofHorizon.get(chosen);
  if (!of) return null;
  return {
    name,
    steps: of.steps,
    chosen,
    scores: Object.entries(models)
      .flatMap(([model, score]) => ('wape' in score ? [{ model, score }] : []))
      .sort((left, right) => left.score.wape - right.score.wape || compareText(left.model, right.model)),
    tradeoffs: Object.entries(models).map(([model, score]) => ({ model, points: score.tradeoff })),
    cells: ofHorizon,
    of,
    persistence: ofHorizon.get('persistence') ?? null,
  };
}

function summaryOf(horizons: readonly HorizonReport[], result: ForecastBenchResult): string[] {
  const lines = horizons.flatMap(({ name, chosen, scores, tradeoffs, of }) => {
    const score = scores.find(({ model }) => model === chosen)!.score;
    const base = scores.find(({ model }) => model === 'persistence')?.score;
    const best = scores[0]!;
    const beside = best.model === chosen ? 'the best of all here' : `the best here was ${best.model} with ${percent(best.score.wape)}`;
    const at = tradeoffs.find(({ model }) => model === chosen)?.points.find(({ allocation }) => allocation === 1.4);
    const reactive = tradeoffs.find(({ model }) => model === 'reactive')?.points.find(({ allocation }) => allocation === 1.4);
    const byVolume = of.reliability.find(({ quantile }) => quantile === 0.95)!.byVolume;
    return [
      `${name} ahead: ${chosen} is off by ${percent(score.wape)} of the demand${base ? `, ${comparedWith(score.wape, base.wape)} “no change” (${percent(base.wape)})` : ''}; ${beside}.`,
      `${name} ahead: P95 held in ${percent(score.coverage.p95)} of cases, which carry ${percent(byVolume)} of the demand, and provides ${shownNumber(score.allocation.p95)} times the demand.`,
      ...(at && reactive ? [`${name} ahead, with 1.4 times the demand provided: ${percent(at.unmet)} of it finds no room, against ${percent(reactive.unmet)} for a rule that reacts (last load × one margin).`] : []),
    ];
  });
  return [...lines, `Learning took ${shownNumber(result.trainSeconds)} s for all models, a forecast of all pairs ${shownNumber(result.predictMsPerStep)} ms, at most ${result.peakMemoryMb} MB.`];
}

function comparedWith(value: number, base: number): string {
  const share = base > 0 ? 1 - value / base : 0;
  return share >= 0 ? `${percent(share)} below` : `${percent(-share)} above`;
}

/** Tables without timestamps begin at the epoch. */
function clockOf({ startAt, stepMs }: DemandMatrix): (slot: number) => string {
  if (startAt <= 0) return (slot) => `step ${slot}`;
  return (slot) => `${new Date(startAt + slot * stepMs).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

