import { pathInputs, type CovariateSeries, type PathTable, type WayFigures } from '../forecast/index.ts';
import { nodeOfUplink, uplinksOfPath, type Intent, type NodeId, type PathId, type Plan, type Route, type TunnelId } from '../model/index.ts';
import type { CycleContext } from './state.ts';

/** What carries demands now, and what its paths were like. */
export interface Ways {
  plan: Plan;
  past: PathTable;
  /** Nodes whose reports are not believed, and so nothing of their paths. */
  doubted: ReadonlySet<NodeId>;
}

/** Null while there is no plan, or the past of paths has not been read. */
export function waysNow({ state, outlook, trust }: Pick<CycleContext, 'state' | 'outlook' | 'trust'>): Ways | null {
  const past = outlook.past();
  return state.plan && past && { plan: state.plan, past, doubted: new Set(trust.view().quarantines.map(({ node }) => node)) };
}

/**
 * Latency and loss of what carries each demand now, as inputs of its forecast; a series for all demands that go the same
 * way. Of a relayed way latencies add up, and of several ways the mean by weight counts. What is not measured is unknown.
 * @param endAt  end of the last slot
 */
export function wayCovariates(intent: Intent, { plan, past, doubted }: Ways, endAt: number, slots: number): CovariateSeries[] {
  const { slotMs, slotsPerDay } = intent.mesh.forecast;
  const startAt = Math.floor(endAt / slotMs) * slotMs - slots * slotMs;
  const pathOf = new Map(plan.tunnels.map(({ id, path }) => [id, path]));
  const figuresOf = pathFigures(past, doubted, startAt, slotMs, slots);
  const alike = new Map<string, { routes: readonly Route[]; demands: string[] }>();
  for (const { from, to, classId, routes } of plan.assignments) {
    if (routes.length === 0) continue;
    const key = JSON.stringify(routes);
    const group = alike.get(key) ?? { routes, demands: [] };
    alike.set(key, group);
    group.demands.push(`${from}>${to}#${classId}`);
  }
  return [...alike.values()].flatMap(({ routes, demands }) => {
    const inputs = pathInputs(meanOfRoutes(routes, (tunnel) => figuresOf(pathOf.get(tunnel)), slots), slotsPerDay);
    return Object.entries(inputs).map(([name, values]): CovariateSeries => ({ name, demands, startAt, values, isKnownAhead: false }));
  });
}

/** Figures of a path on slots of demand: means of the parts that are known. */
function pathFigures(past: PathTable, doubted: ReadonlySet<NodeId>, startAt: number, slotMs: number, slots: number): (path: PathId | undefined) => WayFigures {
  const seriesOf = new Map(past.series.map((series) => [series.path, series]));
  const parts = Math.max(1, Math.round(slotMs / past.slotMs));
  const offset = Math.round((startAt - past.startAt) / past.slotMs);
  const coarse = (values: Float32Array | undefined): Float32Array =>
    Float32Array.from({ length: slots }, (_, slot) => {
      let [sum, known] = [0, 0];
      for (let at = offset + slot * parts; at < offset + (slot + 1) * parts; at++) {
        const value = values?.[at] ?? Number.NaN;
        if (Number.isNaN(value)) continue;
        sum += value;
        known += 1;
      }
      return known > 0 ? sum / known : Number.NaN;
    });
  const made = new Map<PathId | undefined, WayFigures>();
  return (path) => {
    const isDoubted = path !== undefined && uplinksOfPath(path).some((uplink) => doubted.has(nodeOfUplink(uplink)));
    const series = path === undefined || isDoubted ? undefined : seriesOf.get(path);
    const figures = made.get(path) ?? { latencyMs: coarse(series?.latencyMs), lossRatio: coarse(series?.lossRatio) };
    made.set(path, figures);
    return figures;
  };
}

/** By weight over the routes of which a figure is known. */
function meanOfRoutes(routes: readonly Route[], figuresOf: (tunnel: TunnelId) => WayFigures, slots: number): WayFigures {
  const ways = routes.map(({ tunnels, weight }) => ({ weight, hops: tunnels.map(figuresOf) }));
  const mean = (figureOf: (hops: readonly WayFigures[], slot: number) => number): Float32Array =>
    Float32Array.from({ length: slots }, (_, slot) => {
      let [sum, known] = [0, 0];
      for (const { weight, hops } of ways) {
        const figure = figureOf(hops, slot);
        if (Number.isNaN(figure)) continue;
        sum += weight * figure;
        known += weight;
      }
      return known > 0 ? sum / known : Number.NaN;
    });
  return {
    latencyMs: mean((hops, slot) => hops.reduce((sum, { latencyMs }) => sum + latencyMs[slot]!, 0)),
    lossRatio: mean((hops, slot) => 1 - hops.reduce((kept, { lossRatio }) => kept * (1 - lossRatio[slot]!), 1)),
  };
}
