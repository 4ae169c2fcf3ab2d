import type { ApiClient } from '../api/index.ts';
import { renderEngineReport, type EngineReportInputs } from '../forecast/index.ts';
import type { ServingModel } from '../model/index.ts';
import { ask } from './engine-client.ts';
import type { OutsideExplanation } from './forecast-explanation.ts';

/** The part of `GET /v1/forecasts` that a report shows. */
interface ForecastsAnswer {
  model: string | null;
  serving?: ServingModel[];
  training: { state: string; text: string; backtest: EngineReportInputs['backtest'] };
  forecasts: { pair: string; classId: string; p95PeakMbps: number }[];
}

interface BoardAnswer {
  sinceAt: string;
  slotMs: number;
  health: EngineReportInputs['board']['health'];
  rows: EngineReportInputs['board']['rows'];
  days: { startAt: string; champion: EngineReportInputs['board']['days'][number]['champion']; best: EngineReportInputs['board']['days'][number]['best'] }[];
}

/** Each costs the engine a few forecasts. */
const EXPLAINED = 6;

/** Asks a running engine for all that a report of its forecasts shows, and renders it. */
export async function engineReport(client: Pick<ApiClient, 'request'>, answer: ForecastsAnswer): Promise<string> {
  const { mesh } = await ask<{ mesh: string | null }>(client, 'GET', '/v1/status');
  const board = await ask<BoardAnswer>(client, 'GET', '/v1/forecasts/scoreboard?since=90d');
  const heaviest = answer.forecasts.filter(({ p95PeakMbps }) => p95PeakMbps > 0).sort((left, right) => right.p95PeakMbps - left.p95PeakMbps).slice(0, EXPLAINED);
  const explanations: OutsideExplanation[] = [];
  for (const { pair, classId } of heaviest) {
    const { explanations: found } = await ask<{ explanations: OutsideExplanation[] }>(client, 'GET', `/v1/forecasts/${encodeURIComponent(pair)}?class=${encodeURIComponent(classId)}`);
    explanations.push(...found);
  }
  const { state, text, backtest } = answer.training;
  return renderEngineReport({
    mesh: mesh ?? 'unknown',
    askedAt: Date.now(),
    model: answer.model,
    training: text === '' ? state : `${state}: ${text}`,
    backtest,
    serving: answer.serving ?? [],
    board: { ...board, sinceAt: Date.parse(board.sinceAt), days: board.days.map((day) => ({ ...day, startAt: Date.parse(day.startAt) })) },
    explanations: explanations.map((each) => ({ ...each, pair: each.pair as EngineReportInputs['explanations'][number]['pair'], classId: each.classId as EngineReportInputs['explanations'][number]['classId'], slots: each.slots.map(inside), past: each.past.map(inside) })),
  });
}

function inside<T extends { startAt: string }>(slot: T): Omit<T, 'startAt'> & { startAt: number } {
  return { ...slot, startAt: Date.parse(slot.startAt) };
}
