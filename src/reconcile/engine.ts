import { ForemeshError, messageOf, Stalled, Waiting, type Cancel } from '../base/index.ts';
import { LIVE_BRANCH } from './deps.ts';
import type { Cause } from '../model/index.ts';
import { createAnomalyKeeper } from './anomalies/anomaly-keeper.ts';
import { runCycle, type CycleEnd, type CycleOutcome } from './cycle.ts';
import type { Checkpoint, EngineDeps } from './deps.ts';
import { createDriftMeter } from './drift.ts';
import { createHindsight, type LedgerView, type ScoreboardView } from './hindsight/hindsight.ts';
import { createLedger } from './hindsight/ledger.ts';
import { explainTarget, type Explanation, type ExplainTarget } from './explain.ts';
import { explainForecastOf } from './explain-forecast.ts';
import { createForecastMemory } from './forecast-memory.ts';
import type { ForecastExplanation } from '../forecast/index.ts';
import { createLiveReader } from './live-state.ts';
import { createLiveWriter } from './live-writer.ts';
import { createMainReader } from './main-state.ts';
import { listProposals, readProposal, type ProposalDetail, type ProposalSummary } from './proposal-detail.ts';
import { createPathOutlook } from './path-outlook.ts';
import { createProposalDesk } from './proposals.ts';
import type { RequestFate } from './reach-decision.ts';
import { openRecordStore } from './records.ts';
import { replayCommit, type ReplayResult } from './replay.ts';
import { overrideOf, type OverrideRequest, type Request, type RequestResult } from './requests.ts';
import { emptyState, type CycleContext, type PendingRequest } from './state.ts';
import { createTrainer, type Trainer } from './training.ts';
import { createTrustKeeper } from './trust/trust-keeper.ts';
import { buildView, type EngineView } from './view.ts';
import { waysNow } from './ways.ts';

/** How a cycle ended, also when it did not get far. */
export type CycleResult = CycleOutcome | { kind: 'waiting'; retryAfterMs: number; reason: string } | { kind: 'stalled'; reason: string } | { kind: 'failed'; reason: string };

export interface Engine {
  /** Runs one cycle, after the one that may be under way. Never rejects: what went wrong is in the result and the view. */
  cycle(cause?: Cause): Promise<CycleResult>;
  /** Asks for a cycle soon; `run` starts it as soon as the one under way is over. */
  wake(cause: Cause): void;
  /** Cycles by the mesh's period and at every wake-up, until the signal; resolves when the last cycle is over. */
  run(signal: AbortSignal): Promise<void>;
  view(): EngineView;
  /** Sets an override, as a commit of the next cycle. @throws ForemeshError API_REQUEST_INVALID */
  setOverride(request: OverrideRequest): Promise<RequestResult>;
  clearOverride(id: string): Promise<RequestResult>;
  liftVeto(fingerprint: string): Promise<RequestResult>;
  explain(target: ExplainTarget): Explanation;
  /** How forecasts turned out since an instant, epoch ms. */
  scoreboard(sinceAt: number): ScoreboardView;
  /** What the current forecast of a pair rests on, one explanation a traffic class. @throws ForemeshError API_NOT_FOUND */
  explainForecast(pair: string, classId: string | null): Promise<ForecastExplanation[]>;
  /** What became of changes that forecasts asked for. */
  ledger(): LedgerView;
  replay(commit: string): Promise<ReplayResult>;
  /** The engine's proposals at the forge, newest first. */
  proposals(state: 'open' | 'all'): Promise<ProposalSummary[]>;
  proposal(id: number): Promise<ProposalDetail>;
  /** Called after each cycle. */
  onCycle(listener: (result: CycleResult, tookMs: number) => void): Cancel;
  /** Trains the models again at the next cycle, which it asks for. */
  retrain(): void;
  /** Resolves when no training is under way. */
  trained(): Promise<void>;
  /** What was learned, version by version. */
  models: Pick<Trainer, 'models' | 'use' | 'exportModel' | 'importModel'>;
  close(): Promise<void>;
}

const DEFAULT_CYCLE_MS = 60_000;
const RETRY_MS = 5000;
const ROLL_UP_MS = 3_600_000;

/** Joins the parts into one engine. Does nothing by itself: call `run`, or `cycle`. */
export async function createEngine(deps: EngineDeps): Promise<Engine> {
  const checkpoint = async (name: Checkpoint): Promise<void> => deps.checkpoint?.(name);
  const records = openRecordStore(deps.stateDir);
  const liveReader = createLiveReader(deps);
  const trust = createTrustKeeper(deps);
  const trainer = createTrainer(deps, trust, () => waysNow(context));
  const mainReader = createMainReader(deps, records);
  const context: CycleContext = {
    deps,
    log: deps.log,
    state: emptyState(deps.clock.now()),
    records,
    mainReader,
    liveReader,
    writer: createLiveWriter(deps, records, liveReader, checkpoint),
    desk: createProposalDesk(deps, records, checkpoint),
    drift: createDriftMeter(),
    hindsight: createHindsight(deps, trainer, createLedger(deps, records, mainReader, trust)),
    memory: createForecastMemory(),
    trainer,
    trust,
    anomalies: createAnomalyKeeper(deps),
    outlook: createPathOutlook(deps),
    checkpoint,
  };
  const { state } = context;
  const listeners = new Set<(result: CycleResult, tookMs: number) => void>();
  let pending: PendingRequest[] = [];
  let last: Promise<unknown> = Promise.resolve();
  let rolledUpAtMs = deps.clock.monotonicMs();
  let explaining: Promise<unknown> = Promise.resolve();
  let running = 0;
  let wanted: Cause | null = null;
  let alarm: (() => void) | null = null;

  function cycle(cause: Cause | null): Promise<CycleResult> {
    const next = last.then(() => oneCycle(cause));
    last = next;
    return next;
  }

  async function oneCycle(cause: Cause | null): Promise<CycleResult> {
    const startMs = deps.clock.monotonicMs();
    const requests = pending;
    pending = [];
    running++;
    const result = await attempt(cause, requests);
    running--;
    const tookMs = deps.clock.monotonicMs() - startMs;
    state.cycles.count++;
    state.cycles.lastMs = tookMs;
    state.cycles.lastAt = deps.clock.now();
    state.cycles.outcomes[result.kind] = (state.cycles.outcomes[result.kind] ?? 0) + 1;
    for (const listener of listeners) listener(result, tookMs);
    await context.hindsight.save();
    await rollUp();
    return result;
  }

  async function rollUp(): Promise<void> {
    const now = deps.clock.now();
    if (deps.clock.monotonicMs() < rolledUpAtMs + ROLL_UP_MS) return;
    rolledUpAtMs = deps.clock.monotonicMs();
    await deps.store.rollUp(now).catch((error: unknown) => deps.log.error({ error: messageOf(error) }, 'old samples were not rolled up'));
  }

  async function attempt(cause: Cause | null, requests: PendingRequest[]): Promise<CycleResult> {
    try {
      const end = await runCycle(context, cause, requests.map(({ request }) => request));
      state.error = null;
      answerRequests(requests, end);
      return end.outcome;
    } catch (error) {
      const failure = failureOf(error);
      state.error = failure;
      refuseRequests(requests, failure.what, failure.fix);
      if (error instanceof Waiting) {
        deps.log.warn({ code: error.code, what: error.what }, 'waiting');
        return { kind: 'waiting', retryAfterMs: error.retryAfterMs, reason: error.what };
      }
      deps.log.error({ code: failure.code, what: failure.what, ...(failure.isStalled ? {} : { error }) }, failure.isStalled ? 'stalled' : 'cycle failed');
      return { kind: failure.isStalled ? 'stalled' : 'failed', reason: failure.what };
    }
  }

  function ask(request: Request): Promise<RequestResult> {
    return new Promise((resolve) => {
      pending.push({ request, resolve });
      wake('override');
    });
  }

  function wake(cause: Cause): void {
    if (wanted !== 'failure') wanted = cause;
    alarm?.();
  }

  /** Waits for the period, a wake-up or the end, whichever comes first. */
  function pause(delayMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        alarm = null;
        signal.removeEventListener('abort', done);
        resolve();
      };
      const cancel = deps.clock.setTimer(delayMs, done);
      alarm = done;
      signal.addEventListener('abort', done);
      if (wanted !== null || signal.aborted) done();
    });
  }

  async function run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const cause = wanted;
      wanted = null;
      const result = await cycle(cause);
      const periodMs = state.main?.intent.mesh.cycleMs ?? DEFAULT_CYCLE_MS;
      await pause(result.kind === 'waiting' ? Math.min(result.retryAfterMs, periodMs) : result.kind === 'failed' ? Math.min(RETRY_MS, periodMs) : periodMs, signal);
    }
  }

  const stopEvents = deps.hub.onEvent((node, event) => {
    if (event.kind === 'drift') return context.log.warn({ node, changes: event.changes }, 'somebody changed forwarding at a node; its agent set it right');
    const path = state.plan?.tunnels.find(({ id }) => id === event.tunnel)?.path;
    // an agent's clock may be wrong; what it says happened, happened before we heard of it
    if (path !== undefined) state.pathEvents.set(path, { state: event.kind === 'path-down' ? 'down' : 'up', at: Math.min(event.at, deps.clock.now()) });
    wake(event.kind === 'path-down' ? 'failure' : 'forecast');
  });

  return {
    cycle: (cause) => cycle(cause ?? null),
    wake,
    run,
    view: () => buildView(context, running > 0),
    setOverride: async (request) => {
      const override = overrideOf(request, state.main?.intent ?? null, deps.clock.now());
      const result = await ask({ kind: 'set', override });
      return result.ok ? { ...result, override } : result;
    },
    clearOverride: async (id) => {
      const isKnown = state.plan?.overrides.some((override) => override.id === id) ?? false;
      return isKnown ? ask({ kind: 'clear', id }) : unknown(`there is no override ${id.slice(0, 40)}`, 'foremesh override list shows them');
    },
    liftVeto: async (fingerprint) => {
      const isKnown = state.plan?.vetoes.some((veto) => veto.fingerprint === fingerprint) ?? false;
      return isKnown ? ask({ kind: 'lift', fingerprint }) : unknown('there is no such veto', 'foremesh veto list shows them');
    },
    explain: (target) => explainTarget(state, target),
    scoreboard: (sinceAt) => context.hindsight.scoreboard(sinceAt),
    explainForecast(pair, classId) {
      // one after the other: each asks the forecaster several times, and plans wait for it too
      const next = explaining.then(() => explainForecastOf(context, pair, classId));
      explaining = next.catch(() => undefined);
      return next;
    },
    ledger: () => context.hindsight.ledger(),
    replay: (commit) => replayCommit(deps, records, commit),
    proposals: (which) => listProposals(deps, which),
    proposal: (id) => readProposal(deps, records, id),
    onCycle(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    retrain() {
      context.trainer.demand();
      context.outlook.demand();
      wake('forecast');
    },
    async trained() {
      await context.trainer.settled();
      await context.outlook.settled();
    },
    models: context.trainer,
    async close() {
      stopEvents();
      await last;
      await context.hindsight.save(true);
      refuseRequests(pending, 'the engine is stopping', 'ask again when it runs');
      pending = [];
      await context.trainer.settled();
      await context.outlook.settled();
      await context.mainReader.close();
    },
  };
}

function answerRequests(requests: readonly PendingRequest[], end: CycleEnd): void {
  for (const { resolve } of requests) resolve(resultOf(end));
}

function resultOf({ outcome, requests }: CycleEnd): RequestResult {
  if (requests) return resultOfFate(requests);
  const reason = outcome.kind === 'frozen' ? outcome.reason : 'the cycle did not get to it';
  return { ok: false, code: 'GIT_REF_MOVED', what: reason, fix: `look at the branch ${LIVE_BRANCH}, then ask again` };
}

function resultOfFate(fate: RequestFate): RequestResult {
  if (fate.kind === 'refused') return { ok: false, code: 'POLICY_DENIED', what: fate.why, fix: 'ask for something that the policy allows, or change the policy on main' };
  if (fate.kind === 'proposed') return { ok: true, commit: null, generation: null, proposal: fate.proposal, override: null };
  return { ok: true, commit: fate.commit?.sha ?? null, generation: fate.commit?.generation ?? null, proposal: null, override: null };
}

function refuseRequests(requests: readonly PendingRequest[], what: string, fix: string): void {
  for (const { resolve } of requests) resolve({ ok: false, code: 'PLAN_INVALID', what, fix });
}

function unknown(what: string, fix: string): RequestResult {
  return { ok: false, code: 'API_NOT_FOUND', what, fix };
}

function failureOf(error: unknown): { code: string; what: string; fix: string; isStalled: boolean } {
  if (error instanceof ForemeshError) return { code: error.code, what: error.what, fix: error.fix, isStalled: error instanceof Stalled };
  return { code: 'INTERNAL', what: messageOf(error), fix: 'this is a fault of ours: please report it with the log', isStalled: false };
}
