import type { Finding, Log } from '../base/index.ts';
import type { Cause, Changeset, Forecast, Observation, PathId, PathQualityForecast, PathState, Plan, PlanReport, Verdict } from '../model/index.ts';
import type { AnomalyKeeper } from './anomalies/anomaly-keeper.ts';
import type { DriftMeter } from './drift.ts';
import type { Checkpoint, EngineDeps } from './deps.ts';
import type { Hindsight } from './hindsight/hindsight.ts';
import type { ForecastMemory } from './forecast-memory.ts';
import type { SignedCommit, LiveReader } from './live-state.ts';
import type { LiveWriter } from './live-writer.ts';
import type { MainReader, MainState } from './main-state.ts';
import type { Proposal, ProposalDesk } from './proposals.ts';
import type { PathOutlook } from './path-outlook.ts';
import type { RecordStore } from './records.ts';
import type { Request, RequestResult } from './requests.ts';
import type { Trainer } from './training.ts';
import type { TrustKeeper } from './trust/trust-keeper.ts';

/** What one decision came to, for people. */
export interface LastDecision {
  kind: 'none' | 'commit' | 'proposal' | 'blocked';
  cause: Cause;
  at: number;
  verdict: Verdict;
  changeset: Changeset;
  /** Number of the proposal it became, or that stands in its place; null when a person refused it before. */
  proposal: number | null;
}

/** All the engine holds in memory. After a restart the first cycle finds it again in Git, telemetry and the forge. */
export interface EngineState {
  startedAt: number;
  main: MainState | null;
  live: SignedCommit | null;
  plan: Plan | null;
  report: PlanReport | null;
  observation: Observation | null;
  forecast: Forecast | null;
  pathForecast: PathQualityForecast | null;
  decisions: LastDecision[];
  proposals: Proposal[];
  /** Why mesh/live is not followed any more; null when it is. */
  frozen: string | null;
  /** The error that ended the last cycle; null after a good one. */
  error: { code: string; what: string; fix: string; isStalled: boolean } | null;
  findings: Finding[];
  /** Intent and policy under which nothing was left to do: they are no cause any more. */
  settled: { intentDigest: string; policyDigest: string } | null;
  /** What agents reported at once; outlives the tunnel, since a plan without it would else bring it back at once. */
  pathEvents: Map<PathId, { state: PathState; at: number }>;
  changesLastHour: number;
  cycles: { count: number; lastMs: number; lastAt: number | null; outcomes: Record<string, number> };
}

/** A wish, and whom to tell what became of it. */
export interface PendingRequest {
  request: Request;
  resolve: (result: RequestResult) => void;
}

/** What the steps of a cycle share. */
export interface CycleContext {
  deps: EngineDeps;
  log: Log;
  state: EngineState;
  records: RecordStore;
  mainReader: MainReader;
  liveReader: LiveReader;
  writer: LiveWriter;
  desk: ProposalDesk;
  drift: DriftMeter;
  hindsight: Hindsight;
  memory: ForecastMemory;
  trainer: Trainer;
  trust: TrustKeeper;
  anomalies: AnomalyKeeper;
  outlook: PathOutlook;
  checkpoint: (name: Checkpoint) => Promise<void>;
}

export function emptyState(startedAt: number): EngineState {
  return {
    startedAt,
    main: null,
    live: null,
    plan: null,
    report: null,
    observation: null,
    forecast: null,
    pathForecast: null,
    decisions: [],
    proposals: [],
    frozen: null,
    error: null,
    findings: [],
    settled: null,
    pathEvents: new Map(),
    changesLastHour: 0,
    cycles: { count: 0, lastMs: 0, lastAt: null, outcomes: {} },
  };
}
