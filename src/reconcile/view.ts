import { compareText, type Finding, roundTo } from '../base/index.ts';
import {
  nodesOf,
  peakMbps,
  type Anomaly,
  type Cause,
  type ForecastHealth,
  type ForecastRegret,
  type HostSample,
  type UplinkId,
  type UplinkSample,
  type ServicesSample,
  type UsersSample,
  type ClassId,
  type LiveTrailers,
  type NodeId,
  type NodeStatus,
  type Override,
  type PairId,
  pairId,
  type PathForecast,
  type PathId,
  type PathQualityForecast,
  type PathState,
  type Plan,
  type PlanCertificate,
  type PlanReport,
  type ServingModel,
  type StatusMessage,
  type TunnelId,
  type Verdict,
  type Veto,
} from '../model/index.ts';
import type { ProposalState } from './proposals.ts';
import type { ProposalScope } from './proposal-marker.ts';
import type { CycleContext, EngineState } from './state.ts';
import type { TrainingView } from './training.ts';
import type { TrustView } from './trust/trust-keeper.ts';

/** All that the engine shows of itself; what the API, the command line and the dashboard read. */
export interface EngineView {
  status: { state: 'ready' | 'reconciling' | 'stalled'; reason: string; since: number };
  startedAt: number;
  mesh: string | null;
  live: { commit: string; generation: number; decision: LiveTrailers['decision']; cause: string } | null;
  intentCommit: string | null;
  mainCommit: string | null;
  policyDigest: string | null;
  /** What is wrong with main's tip, and warnings. */
  findings: Finding[];
  nodes: NodeView[];
  tunnels: TunnelView[];
  lastDecision: DecisionView | null;
  plan: Plan | null;
  report: PlanReport | null;
  /** How good the newest plan is, proven; null before the first, and where nothing is wanted. */
  planCertificate: PlanCertificate | null;
  /** Heaviest first: by class priority, then by the peak of p95. */
  forecasts: ForecastView[];
  /** Demands of which shaping dropped something in the last complete slot, most first. */
  shortfalls: ShortfallView[];
  forecastModel: string | null;
  /** Which model serves which kind of pairs and distance. */
  serving: ServingModel[];
  /** What is expected of paths; null while their past is being read. */
  pathForecast: PathForecastView | null;
  training: TrainingView;
  /** Traffic that is not what was to be expected: what goes on first, then the newest. */
  anomalies: Anomaly[];
  /** Whose reports are believed. */
  trust: TrustView;
  /** Whether forecasts are as good as the back-test promised. */
  forecastHealth: ForecastHealth;
  /** How changes turned out that forecasts asked for. */
  forecastRegret: ForecastRegret;
  proposals: ProposalView[];
  overrides: Override[];
  vetoes: Veto[];
  metrics: EngineMetrics;
}

export type NodeView = NodeStatus & {
  leakPackets: number;
  /** What class queues dropped since they were made, by uplink. */
  shaped: StatusMessage['shaped'];
  repairs: number;
  isBehind: boolean;
  /** When what the node runs was signed; null when it runs nothing or never said. */
  configSignedAt: number | null;
  /** What a person should look at, in the node's words. */
  alarms: string[];
  /** How busy the gateway is; null when it does not report. */
  host: Omit<HostSample, 'kind' | 'node' | 'windowMs'> | null;
  uplinks: UplinkView[];
  /** How many hosts are active, by class and role, where the mesh permits counting them; 0: fewer than 5. */
  users: Pick<UsersSample, 'group' | 'name' | 'hosts'>[];
  /** How many connections hosts began in the last window (5 min), or packets they sent (UDP), by site, class and destination port, where the mesh permits counting them. */
  services: Pick<ServicesSample, 'to' | 'classId' | 'service' | 'connections' | 'packets'>[];
};

/** What went over one uplink in its last window. */
export interface UplinkView {
  uplink: UplinkId;
  rxMbps: number;
  txMbps: number;
  /** The fuller direction's share of its capacity, 0…; may pass 1 for a moment. */
  utilisation: number;
}

export interface TunnelView {
  tunnel: TunnelId;
  path: PathId;
  from: NodeId;
  to: NodeId;
  securityProfile: string;
  plannedAt: number;
  /** As the two ends report it; the side that sees it worse counts. */
  state: PathState;
  ends: TunnelEndView[];
  /** In what the figures of the two ends cannot both be right; null when they agree. */
  disagreement: string | null;
  latencyMs: number | null;
  lossRatio: number | null;
  mbps: number | null;
  reason: string | null;
  usdPerMonth: number | null;
}

/** One end's own words: SA and path now, and the medians of its last windows. */
export interface TunnelEndView {
  node: NodeId;
  ikeState: string | null;
  childState: string | null;
  pathState: PathState;
  /** Greatest packet that this end's path was measured to carry, bytes. */
  mtuBytes: number | null;
  latencyMs: number | null;
  jitterMs: number | null;
  /** From this node to the other, and back. */
  lossForwardRatio: number | null;
  lossReverseRatio: number | null;
}

export interface DecisionView {
  kind: 'none' | 'commit' | 'proposal' | 'blocked';
  cause: Cause;
  at: number;
  verdict: Verdict;
  changes: string[];
  proposal: number | null;
}

/** What one demand offered and what class queues dropped of it, about, in the last complete slot. */
export interface ShortfallView {
  pair: PairId;
  classId: ClassId;
  offeredMbps: number;
  droppedMbps: number;
}

export interface ForecastView {
  rank: number;
  pair: PairId;
  classId: ClassId;
  priority: number;
  /** Of the last complete slot; null when nobody reported it. */
  observedMbps: number | null;
  /** What of it shaping dropped, about; null likewise. */
  droppedMbps: number | null;
  p50PeakMbps: number;
  p90PeakMbps: number;
  p95PeakMbps: number;
  /** When p95 peaks: start of the slot, epoch ms. */
  peakAt: number | null;
}

/** Paths with what is expected of them within the horizon, those that will most probably break a class's bounds first. */
export type PathForecastView = PathQualityForecast;

export interface ProposalView {
  id: number;
  scope: ProposalScope;
  state: ProposalState;
  title: string;
  url: string | null;
  headSha: string;
  base: string;
  cause: Cause;
  reviews: { by: string; verdict: 'approve' | 'block' | 'comment'; sha: string }[];
}

export interface EngineMetrics {
  cycles: number;
  lastCycleMs: number;
  lastCycleAt: number | null;
  /** How cycles ended: none, commit, proposal, blocked, frozen, failed. */
  outcomes: Record<string, number>;
  changesLastHour: number;
  droppedSamples: number;
  leakPackets: number;
  agentsConnected: number;
  forecastDrift: number;
}

/** Builds the view out of what the engine holds; a copy, so that nobody changes the engine by it. */
export function buildView(context: CycleContext, isRunning: boolean): EngineView {
  const { state, deps } = context;
  const nodes = nodeViews(context);
  const { plan } = state;
  const last = state.decisions.at(-1) ?? null;
  return {
    status: statusOf(state, isRunning),
    startedAt: state.startedAt,
    mesh: state.main?.intent.mesh.name ?? plan?.mesh ?? null,
    live: state.live && { commit: state.live.sha, generation: state.live.generation, decision: state.live.trailers.decision, cause: state.live.trailers.cause },
    intentCommit: state.main?.intent.commit ?? null,
    mainCommit: state.main?.tip ?? null,
    policyDigest: state.main?.policyDigest ?? null,
    findings: [...state.findings],
    nodes,
    tunnels: tunnelViews(context),
    lastDecision: last && {
      kind: last.kind,
      cause: last.cause,
      at: last.at,
      verdict: last.verdict,
      changes: last.changeset.changes.map(({ summary }) => summary),
      proposal: last.proposal,
    },
    plan,
    report: state.report,
    planCertificate: state.report?.certificate ?? null,
    forecasts: forecastViews(state),
    shortfalls: shortfallViews(state),
    forecastModel: state.forecast?.model ?? null,
    serving: state.forecast?.serving ?? [],
    pathForecast: pathForecastView(state.pathForecast),
    training: context.trainer.view(),
    trust: context.trust.view(),
    anomalies: context.anomalies.anomalies(),
    forecastHealth: context.hindsight.health(),
    forecastRegret: context.hindsight.regret(),
    proposals: state.proposals.map(({ change, marker, state: proposalState, reviews }) => ({
      id: change.id,
      scope: marker.scope,
      state: proposalState,
      title: change.title,
      url: change.url,
      headSha: change.headSha,
      base: marker.base,
      cause: marker.cause,
      reviews,
    })),
    overrides: plan?.overrides ?? [],
    vetoes: plan?.vetoes ?? [],
    metrics: {
      cycles: state.cycles.count,
      lastCycleMs: state.cycles.lastMs,
      lastCycleAt: state.cycles.lastAt,
      outcomes: { ...state.cycles.outcomes },
      changesLastHour: state.changesLastHour,
      droppedSamples: deps.store.droppedSamples() + deps.hub.droppedSamples(),
      leakPackets: nodes.reduce((sum, node) => sum + node.leakPackets, 0),
      agentsConnected: nodes.filter(({ connected }) => connected).length,
      forecastDrift: context.drift.drift(state.forecast),
    },
  };
}

function statusOf(state: EngineState, isRunning: boolean): EngineView['status'] {
  const since = state.cycles.lastAt ?? state.startedAt;
  if (state.frozen !== null) return { state: 'stalled', reason: state.frozen, since };
  if (state.error?.isStalled) return { state: 'stalled', reason: `${state.error.what}; ${state.error.fix}`, since };
  if (state.error) return { state: 'reconciling', reason: `${state.error.code}: ${state.error.what}`, since };
  if (state.cycles.lastAt === null) return { state: 'reconciling', reason: 'the first cycle is under way', since };
  const last = state.decisions.at(-1);
  if (last?.kind === 'blocked') return { state: 'stalled', reason: `the plan is refused: ${last.verdict.reasons[0]?.message ?? 'no reason given'}`, since };
  if (state.findings.some(({ severity }) => severity === 'error')) return { state: 'stalled', reason: 'main is not sound; the last good intent stays in use', since };
  if (last?.kind === 'proposal') return { state: 'ready', reason: last.proposal === null ? 'a change was refused by a person' : `proposal ${last.proposal} waits for a person`, since };
  return isRunning ? { state: 'reconciling', reason: 'a cycle is under way', since } : { state: 'ready', reason: 'nothing to do', since };
}

/** Every node that the intent names or that reports; one that never did has generation 0. */
function nodeViews({ deps, state }: CycleContext): NodeView[] {
  const statuses = deps.hub.tunnelStatuses();
  const known = new Map(deps.hub.nodes().map((node) => [node.node, node]));
  const wanted = state.main ? nodesOf(state.main.intent).map(({ id }) => id) : [];
  const ids = [...new Set([...wanted, ...known.keys()])].sort(compareText);
  const now = deps.clock.now();
  const hosts = new Map(deps.store.hosts(now).map(({ kind: _kind, node, windowMs: _windowMs, ...host }) => [node, host]));
  const users = deps.store.users(now);
  const services = deps.store.services(now).filter(({ connections, packets }) => (connections ?? packets ?? 0) > 0);
  const used = new Map(deps.store.uplinks(now).map((sample) => [sample.uplink, sample]));
  return ids.map((id) => {
    const node: NodeStatus = known.get(id) ?? { node: id, connected: false, lastSeenAt: null, generation: 0, commit: null, drift: [] };
    const status = statuses.get(id);
    return { ...node, leakPackets: status?.leakPackets ?? 0, shaped: [...(status?.shaped ?? [])], repairs: status?.repairs ?? 0, configSignedAt: status?.configSignedAt ?? null, alarms: [...(status?.alarms ?? [])], host: hosts.get(id) ?? null, uplinks: uplinkViews(id, state, used), users: users.filter((sample) => sample.node === id).map(({ group, name, hosts: active }) => ({ group, name, hosts: active })), services: services.filter((sample) => sample.node === id).map(({ to, classId, service, connections, packets }) => ({ to, classId, service, connections, packets })), isBehind: state.live !== null && node.generation < state.live.generation };
  });
}

/** The node's uplinks in the intent that report. */
function uplinkViews(node: NodeId, state: EngineState, used: ReadonlyMap<UplinkId, UplinkSample>): UplinkView[] {
  const uplinks = state.main ? nodesOf(state.main.intent).find(({ id }) => id === node)?.uplinks ?? [] : [];
  return uplinks.flatMap(({ id, upMbps, downMbps }) => {
    const sample = used.get(id);
    if (!sample) return [];
    const mbpsOf = (bytes: number): number => roundTo((bytes * 8) / sample.windowMs / 1000, 3);
    const [rxMbps, txMbps] = [mbpsOf(sample.rxBytes), mbpsOf(sample.txBytes)];
    return [{ uplink: id, rxMbps, txMbps, utilisation: roundTo(Math.max(rxMbps / downMbps, txMbps / upMbps), 4) }];
  });
}

const WORSE: readonly PathState[] = ['up', 'unknown', 'degraded', 'down'];

function tunnelViews({ deps, state }: CycleContext): TunnelView[] {
  const statuses = deps.hub.tunnelStatuses();
  const measured = new Map(deps.store.pathEnds(deps.clock.now()).map((entry) => [entry.tunnel, entry]));
  return (state.plan?.tunnels ?? []).map((tunnel) => {
    const ends = [tunnel.a.node, tunnel.b.node].flatMap((node) => {
      const status = statuses.get(node)?.tunnels.find((entry) => entry.tunnel === tunnel.id);
      const end = measured.get(tunnel.id)?.ends.find((entry) => entry.node === node);
      const { latencyMs = null, jitterMs = null, lossForwardRatio = null, lossReverseRatio = null } = end ?? {};
      return status ? [{ node, ikeState: status.ikeState, childState: status.childState, pathState: status.pathState, mtuBytes: status.mtuBytes ?? null, latencyMs, jitterMs, lossForwardRatio, lossReverseRatio }] : [];
    });
    const worst = ends.reduce<PathState>((state, end) => (WORSE.indexOf(end.pathState) > WORSE.indexOf(state) ? end.pathState : state), ends.length > 0 ? 'up' : 'unknown');
    const quality = state.observation?.paths.find(({ path }) => path === tunnel.path);
    const entry = state.report?.tunnels.find((line) => line.tunnel === tunnel.id);
    return {
      tunnel: tunnel.id,
      path: tunnel.path,
      from: tunnel.a.node,
      to: tunnel.b.node,
      securityProfile: tunnel.securityProfile,
      plannedAt: tunnel.plannedAt,
      state: worst,
      ends,
      disagreement: measured.get(tunnel.id)?.disagreement ?? null,
      latencyMs: quality?.latencyMs ?? null,
      lossRatio: quality?.lossRatio ?? null,
      mbps: state.observation?.tunnels.find((usage) => usage.tunnel === tunnel.id)?.mbps ?? null,
      reason: entry?.reason ?? null,
      usdPerMonth: entry?.usdPerMonth ?? null,
    };
  });
}

function shortfallViews({ observation }: EngineState): ShortfallView[] {
  const shortfalls = (observation?.demands ?? []).flatMap(({ from, to, classId, mbps, droppedMbps }): ShortfallView[] => {
    const dropped = droppedMbps?.at(-1) ?? 0;
    return dropped > 0 ? [{ pair: pairId(from, to), classId, offeredMbps: mbps.at(-1) ?? 0, droppedMbps: dropped }] : [];
  });
  return shortfalls.sort((left, right) => right.droppedMbps - left.droppedMbps || compareText(left.pair, right.pair) || compareText(left.classId, right.classId));
}

function pathForecastView(forecast: PathQualityForecast | null): PathForecastView | null {
  const worst = (path: PathForecast): number => Math.max(0, ...path.violations.map(({ probability }) => probability));
  return forecast && { ...forecast, paths: [...forecast.paths].sort((left, right) => worst(right) - worst(left) || compareText(left.path, right.path)) };
}

function forecastViews(state: EngineState): ForecastView[] {
  const priorities = new Map(state.main?.intent.classes.map(({ id, priority }) => [id, priority]));
  const observed = new Map(state.observation?.demands.map(({ from, to, classId, mbps, droppedMbps }) => [`${from}>${to} ${classId}`, { mbps: mbps.at(-1) ?? null, droppedMbps: droppedMbps?.at(-1) ?? 0 }]));
  const entries = (state.forecast?.demands ?? []).map((demand) => {
    const p95PeakMbps = peakMbps(demand, 'p95');
    const { mbps: observedMbps = null, droppedMbps = 0 } = observed.get(`${demand.from}>${demand.to} ${demand.classId}`) ?? {};
    return {
      pair: pairId(demand.from, demand.to),
      classId: demand.classId,
      priority: priorities.get(demand.classId) ?? Number.MAX_SAFE_INTEGER,
      observedMbps,
      droppedMbps: observedMbps === null ? null : droppedMbps,
      p50PeakMbps: peakMbps(demand, 'p50'),
      p90PeakMbps: peakMbps(demand, 'p90'),
      p95PeakMbps,
      peakAt: demand.slots.find(({ p95 }) => p95 === p95PeakMbps)?.startAt ?? null,
    };
  });
  const sorted = entries.sort((left, right) => left.priority - right.priority || right.p95PeakMbps - left.p95PeakMbps || (left.pair < right.pair ? -1 : 1));
  return sorted.map((entry, index) => ({ rank: index + 1, ...entry }));
}
