import { classId, siteId, type Intent, type Observation, type PathId, type PathQuality, type Plan } from '../../src/model/index.ts';
import { plan, type PlanInputs, type PlanResult } from '../../src/planner/index.ts';
import { loadStoryIntent } from './golden.ts';
import { emptyObservation, emptyPlan, forecastOf, NOW } from './intent-arbitrary.ts';

/** `berlin>paris voice 4`: a demand of 4 Mbit/s (p95) in one direction. */
export type DemandText = `${string}>${string} ${string} ${number}`;

export interface Situation {
  intent?: Intent;
  demands?: DemandText[];
  previous?: Plan;
  now?: number;
  paths?: (Partial<Omit<PathQuality, 'path'>> & { path: string })[];
  tunnels?: Observation['tunnels'];
  nodes?: Observation['nodes'];
  overrides?: PlanInputs['overrides'];
  vetoes?: PlanInputs['vetoes'];
  constraints?: PlanInputs['constraints'];
  pathForecast?: PlanInputs['pathForecast'];
}

/** The five-site example mesh of the golden stories. */
export function exampleIntent(): Intent {
  return loadStoryIntent(null);
}

export function inputsFor(situation: Situation): PlanInputs {
  const intent = situation.intent ?? exampleIntent();
  const now = situation.now ?? NOW;
  const demands = (situation.demands ?? []).map((text) => {
    const [pair, name, mbps] = text.split(' ');
    const [from, to] = pair!.split('>');
    return forecastOf(siteId(from!), siteId(to!), classId(name!), Number(mbps), now);
  });
  return {
    intent,
    forecast: { madeAt: now, slotMs: 900_000, model: 'test', backtest: [], demands },
    observation: {
      ...emptyObservation(now),
      paths: (situation.paths ?? []).map((quality) => ({ state: 'up', latencyMs: null, jitterMs: null, lossRatio: null, sampledAt: now - 1000, ...quality, path: quality.path as PathId })),
      tunnels: situation.tunnels ?? [],
      nodes: situation.nodes ?? [],
    },
    previous: situation.previous ?? emptyPlan(intent),
    overrides: situation.overrides ?? [],
    vetoes: situation.vetoes ?? [],
    constraints: situation.constraints ?? [],
    pathForecast: situation.pathForecast ?? null,
    now,
    seed: 'test',
  };
}

export function planFor(situation: Situation): PlanResult {
  return plan(inputsFor(situation));
}

/** `a+b 70, c 30`: the routes of an assignment by path, for reading in a test. */
export function routesOf(planned: Plan, pair: string, name: string): string {
  const paths = new Map(planned.tunnels.map((tunnel) => [tunnel.id, tunnel.path]));
  const assignment = planned.assignments.find(({ from, to, classId: id }) => `${from}>${to}` === pair && id === name);
  return (assignment?.routes ?? []).map(({ tunnels, weight }) => `${tunnels.map((id) => paths.get(id)).join('+')} ${weight}`).join(', ');
}

export function backupsOf(planned: Plan, pair: string, name: string): string[] {
  const paths = new Map(planned.tunnels.map((tunnel) => [tunnel.id, tunnel.path]));
  const assignment = planned.assignments.find(({ from, to, classId: id }) => `${from}>${to}` === pair && id === name);
  return (assignment?.backups ?? []).map((list) => list.map((id) => paths.get(id)).join('+'));
}

export function tunnelPaths(planned: Plan): string[] {
  return planned.tunnels.map(({ path }) => path as string).sort();
}
