import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { parseDurationMs, roundTo, type SourceFile } from '../../src/base/index.ts';
import { adjustForEvents } from '../../src/forecast/index.ts';
import { loadIntent } from '../../src/intent/index.ts';
import { classId, EMPTY_PLAN, siteId, type Forecast, type Intent, type Observation, type Override, type PathId, type PathQualityForecast, type PathState, type Plan, type TunnelId, type Veto } from '../../src/model/index.ts';
import { plan, type PlanInputs, type PlanResult } from '../../src/planner/index.ts';

const GOLDEN = new URL('../golden/', import.meta.url).pathname;

/** One line of a story's forecast or past: `demand: berlin>aws-fra business`, figures a slot. */
interface DemandLine {
  demand: string;
  mbps: number[];
}

/** One planning step of a story; each starts from the plan of the step before. */
interface StoryStep {
  at: string;
  /** p95 a slot; p50 is 70 % and p90 90 % of it. Both directions are stated on their own. What planned events of the intent are expected to do comes on top. */
  forecast?: DemandLine[];
  observed?: DemandLine[];
  paths?: { path: string; state?: PathState; latencyMs?: number; lossRatio?: number; ageMs?: number }[];
  /** How probable it is that a path breaks a class's SLA within the hour; the forecast is far better than rules of thumb. */
  foreseen?: { path: string; class: string; probability: number }[];
  /** Tunnels by path, and how long ago they were used last. */
  used?: { path: string; ago: string }[];
  overrides?: Override[];
  vetoes?: Veto[];
  /** Files of the story's `intent/` folder that replace or join those of `golden/mesh` from this step on. */
  intent?: string[];
}

export interface Story {
  steps: StoryStep[];
  /** Nodes whose config is part of what is expected. */
  show: string[];
}

export interface PlayedStep extends PlanResult {
  intent: Intent;
  inputs: PlanInputs;
}

export function listStories(): string[] {
  return readdirSync(GOLDEN, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== 'mesh')
    .map((entry) => entry.name)
    .filter((name) => readdirSync(join(GOLDEN, name)).includes('story.yaml'))
    .sort();
}

export function readStory(name: string): Story {
  return parse(readFileSync(join(GOLDEN, name, 'story.yaml'), 'utf8')) as Story;
}

/** Plans all steps of a story, the first from an empty mesh. */
export function playStory(name: string): PlayedStep[] {
  const played: PlayedStep[] = [];
  const extra: string[] = [];
  for (const step of readStory(name).steps) {
    extra.push(...(step.intent ?? []));
    const intent = loadStoryIntent(name, extra);
    const previous = played.at(-1)?.plan ?? { ...EMPTY_PLAN, mesh: intent.mesh.name };
    const inputs = inputsOf(step, intent, previous);
    played.push({ ...plan(inputs), intent, inputs });
  }
  return played;
}

/** The five-site mesh of `test/golden/mesh`, with a story's own files on top. */
export function loadStoryIntent(story: string | null, extra: readonly string[] = []): Intent {
  const files = new Map<string, SourceFile>();
  for (const file of readdirSync(join(GOLDEN, 'mesh')).sort()) files.set(file, { file, text: readFileSync(join(GOLDEN, 'mesh', file), 'utf8') });
  for (const file of story === null ? [] : extra) files.set(file, { file, text: readFileSync(join(GOLDEN, story!, 'intent', file), 'utf8') });
  const result = loadIntent([...files.values()], null);
  if (!result.ok) throw new Error(`golden intent: ${JSON.stringify(result.findings, null, 2)}`);
  return result.value.intent;
}

function inputsOf(step: StoryStep, intent: Intent, previous: Plan): PlanInputs {
  const now = Date.parse(step.at);
  const { slotMs } = intent.mesh.forecast;
  const tunnelOf = (path: string): TunnelId => {
    const tunnel = previous.tunnels.find((each) => each.path === path);
    if (!tunnel) throw new Error(`the story names a path without a tunnel: ${path}`);
    return tunnel.id;
  };
  const observation: Observation = {
    observedAt: now,
    slotMs,
    lastSlotEndAt: now,
    demands: (step.observed ?? []).map(({ demand, mbps }) => ({ ...partsOf(demand), mbps })),
    paths: (step.paths ?? []).map((path) => ({
      path: path.path as PathId,
      state: path.state ?? 'up',
      latencyMs: path.latencyMs ?? null,
      jitterMs: null,
      lossRatio: path.lossRatio ?? null,
      sampledAt: now - (path.ageMs ?? 1000),
    })),
    tunnels: (step.used ?? []).map(({ path, ago }) => ({ tunnel: tunnelOf(path), lastUsedAt: now - parseDurationMs(ago)!, mbps: 0 })),
    nodes: [],
  };
  const stored: Forecast | null = step.forecast
    ? {
        madeAt: now,
        slotMs,
        model: 'golden',
        backtest: [],
        demands: step.forecast.map(({ demand, mbps }) => ({
          ...partsOf(demand),
          slots: mbps.map((p95, index) => ({ startAt: now + index * slotMs, p50: roundTo(p95 * 0.7, 3), p90: roundTo(p95 * 0.9, 3), p95 })),
        })),
      }
    : null;
  const forecast = stored && adjustForEvents(stored, intent, observation);
  return { intent, forecast, pathForecast: step.foreseen ? foreseenBy(step.foreseen, now) : null, observation, previous, overrides: step.overrides ?? [], vetoes: step.vetoes ?? [], constraints: [], now, seed: 'golden' };
}

/** A forecast of paths, made at the beginning of a slot. */
export function foreseenBy(foreseen: NonNullable<StoryStep['foreseen']>, now: number): PathQualityForecast {
  const paths = [...new Set(foreseen.map(({ path }) => path))].map((path): PathQualityForecast['paths'][number] => {
    const violations = foreseen.filter((each) => each.path === path).map(({ class: name, probability }) => ({ classId: classId(name), probability }));
    return { path: path as PathId, latencyMs: null, jitterMs: null, lossRatio: null, violations, basis: 'model' };
  });
  return { madeAt: now, fromAt: now, slotMs: 300_000, horizonMs: 3_600_000, model: 'golden', backtest: [], skill: 0.3, paths };
}

function partsOf(demand: string): { from: ReturnType<typeof siteId>; to: ReturnType<typeof siteId>; classId: ReturnType<typeof classId> } {
  const [, from, to, name] = /^(\S+)>(\S+) (\S+)$/.exec(demand)!;
  return { from: siteId(from!), to: siteId(to!), classId: classId(name!) };
}
