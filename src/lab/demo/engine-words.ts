import type { Override, Plan, PlanReport, Veto } from '../../model/index.ts';
import type { EngineView } from '../../reconcile/index.ts';
import type { World } from '../world.ts';

/** What the API answers, as the demo reads it (docs/api.md). */
export interface PlanAnswer {
  commit: string | null;
  generation: number | null;
  plan: Plan | null;
  report: PlanReport | null;
}

export interface ForecastEntry {
  rank: number;
  pair: string;
  classId: string;
  priority: number;
  p50PeakMbps: number;
  p90PeakMbps: number;
  p95PeakMbps: number;
  /** ISO 8601. */
  peakAt: string | null;
}

export interface ForecastAnswer {
  model: string | null;
  forecasts: ForecastEntry[];
}

/** As in the model, but for the instant. */
export type VetoAnswer = Omit<Veto, 'until'> & { until: string };

export type StatusAnswer = EngineView;

/** The engine as its API shows it. Throws on any answer but success, so a step fails where it stands. */
export function engineOf(world: World): {
  status(): Promise<StatusAnswer>;
  plan(): Promise<PlanAnswer>;
  forecasts(): Promise<ForecastAnswer>;
  overrides(): Promise<Override[]>;
  vetoes(): Promise<VetoAnswer[]>;
  ask<T>(method: string, path: string, body?: unknown): Promise<T>;
} {
  const ask = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const answer = await world.api.request(method, path, body);
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body as T;
  };
  return {
    ask,
    status: () => ask('GET', '/v1/status'),
    plan: () => ask('GET', '/v1/plan'),
    forecasts: () => ask('GET', '/v1/forecasts'),
    overrides: async () => (await ask<{ overrides: Override[] }>('GET', '/v1/overrides')).overrides,
    vetoes: async () => (await ask<{ vetoes: VetoAnswer[] }>('GET', '/v1/vetoes')).vetoes,
  };
}
