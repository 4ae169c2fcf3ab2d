import { join } from 'node:path';
import { digest, messageOf } from '../base/index.ts';
import { openModelRegistry, scaleToObserved, worthLearning, type Effort, type RegisteredModel, type RegistryView } from '../forecast/index.ts';
import type { BacktestScore, DemandSeries, Intent, NodeStatus } from '../model/index.ts';
import { forecastCovariates } from './covariates.ts';
import type { EngineDeps, TrainingHistory } from './deps.ts';
import { demandPairs } from './demand-pairs.ts';
import type { TrustKeeper } from './trust/trust-keeper.ts';
import type { Ways } from './ways.ts';

export interface TrainingView {
  /** `untrained`: the forecaster answers with what needs no training. */
  state: 'untrained' | 'running' | 'trained' | 'failed';
  step: number;
  steps: number;
  text: string;
  trainedAt: number | null;
  /** In use. */
  version: number | null;
  backtest: BacktestScore[];
}

export interface Trainer {
  /** Starts training in the background when it is due; returns at once. */
  ensure(intent: Intent, now: number): void;
  isBusy(): boolean;
  /** Makes the next `ensure` train, however fresh the models are. */
  demand(): void;
  /** Resolves when no training is under way. */
  settled(): Promise<void>;
  view(): TrainingView;
  /** The versions that are kept. */
  models(): Promise<RegistryView>;
  /** Takes up another version, and keeps to it until `latest` is asked for. @throws ForemeshError API_NOT_FOUND, FORECAST_MODEL_INVALID */
  use(version: number | 'latest'): Promise<RegisteredModel>;
  /** @param form  the file that `importModel` takes, or its network for other programs */
  exportModel(version: number | 'active', form: 'foremesh' | 'onnx'): Promise<{ version: number; file: Uint8Array }>;
  /** Adds a version from elsewhere; it is not used until somebody says so. @throws ForemeshError FORECAST_MODEL_INVALID; nothing is changed then */
  importModel(file: Uint8Array): Promise<RegisteredModel>;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const WEEK_MS = 7 * DAY_MS;
/** When a day's training is due, UTC: nights are quiet, and what the day brought is in. */
const NIGHT_MS = 2 * HOUR_MS;
const RETRY_MS = 600_000;
/** Observed past that a training looks back on: days, and values of all pairs together. */
const OBSERVED_DAYS_MAX = 56;
const OBSERVED_VALUES_MAX = 6_000_000;
/** With so many days of its own a mesh needs no made-up past any more: two weeks show every day of the week twice. */
const OWN_DAYS_MIN = 14;

/**
 * Keeps the models fresh: takes up the active version of the registry, trains when there is none or the demands have
 * changed, and every night with what was observed since. The plan never waits for it: until a training is over the last
 * good version forecasts.
 */
export function createTrainer(deps: Pick<EngineDeps, 'forecaster' | 'store' | 'history' | 'stateDir' | 'seed' | 'clock' | 'log' | 'retrainMs'>, trust: Pick<TrustKeeper, 'learnable'>, ways: () => Ways | null = () => null): Trainer {
  const registry = openModelRegistry(join(deps.stateDir, 'model'), (text) => deps.log.error({ text }, 'the list of models is damaged'));
  let view: TrainingView = { state: 'untrained', step: 0, steps: 0, text: 'not started', trainedAt: null, version: null, backtest: [] };
  /** The newest training of this engine; another key means that it has to be made again. */
  let newest: { key: string; startedFromAt: number; trainedAt: number; /** When the training that it goes on from began from nothing. */ begunAt: number } | null = null;
  let isLoaded = false;
  let retryAtMs = 0;
  let isDemanded = false;
  let running: Promise<void> | null = null;

  function ensure(intent: Intent, now: number): void {
    if (running || (!isDemanded && (deps.clock.monotonicMs() < retryAtMs || (isLoaded && !isDue(intent, now))))) return;
    running = run(intent, now)
      .catch((error: unknown) => {
        retryAtMs = deps.clock.monotonicMs() + RETRY_MS;
        view = { ...view, state: 'failed', text: messageOf(error) };
        deps.log.error({ error: messageOf(error) }, 'training failed');
      })
      .finally(() => {
        running = null;
      });
  }

  async function run(intent: Intent, now: number): Promise<void> {
    const wasDemanded = isDemanded;
    isDemanded = false;
    if (!isLoaded) {
      isLoaded = true;
      await takeUpActive();
      if (!wasDemanded && !isDue(intent, now)) return;
    }
    view = { ...view, state: 'running', step: 0, steps: 0, text: 'reading history' };
    const { forecast: settings } = intent.mesh;
    const started = await deps.history(intent, newest?.startedFromAt ?? now);
    const { series, endAt, effort } = await withObserved(started, intent, now);
    const version = await registry.nextVersion();
    const from = await toGoOnFrom(intent, now);
    const slots = series.reduce((most, { mbps }) => Math.max(most, mbps.length), 0);
    const covariates = worthLearning(await forecastCovariates(intent, deps.store, ways(), { now: endAt, slots, ahead: settings.horizonSlots }, deps.log), settings.slotsPerDay);
    const { backtest, digest: content } = await deps.forecaster.train({ history: series, settings, endAt, seed: deps.seed, version, effort, covariates, from }, ({ step, steps, text }) => {
      view = { ...view, step, steps, text };
    });
    const trainedAt = deps.clock.now();
    newest = { key: keyOf(intent), startedFromAt: started.endAt, trainedAt, begunAt: from === null || !newest ? trainedAt : newest.begunAt };
    await keep(newest);
    view = { state: 'trained', step: view.steps, steps: view.steps, text: `best: ${bestOf(backtest)}`, trainedAt: newest.trainedAt, version: view.version, backtest };
    deps.log.info({ backtest, demands: series.length, version: view.version, digest: content }, 'trained');
  }

  /** The newest version of the same demands, from which a night's training goes on; null: from nothing, once a week at least. */
  async function toGoOnFrom(intent: Intent, now: number): Promise<Uint8Array | null> {
    const { versions } = await registry.view();
    const last = versions.find(({ origin }) => origin === 'trained');
    if (!last || last.note['key'] !== keyOf(intent) || now >= Number(last.note['begunAt']) + WEEK_MS) return null;
    return registry.read(last.version).catch((error: unknown) => {
      deps.log.warn({ error: messageOf(error) }, 'training begins from nothing');
      return null;
    });
  }

  /** Writes what was trained to the registry; when a person pinned another version, that one is taken up again. */
  async function keep(note: NonNullable<typeof newest>): Promise<void> {
    const file = await deps.forecaster.dump();
    if (file === null) return;
    const header = await deps.forecaster.inspect(file);
    const entry = await registry.add(file, header, { origin: 'trained', registeredAt: note.trainedAt, note: { key: note.key, startedFromAt: note.startedFromAt, begunAt: note.begunAt } });
    const { active } = await registry.view();
    if (active === entry.version || active === null) view = { ...view, version: entry.version };
    else await takeUp(active);
  }

  /** The active version, or the newest of the others when it is damaged. */
  async function takeUpActive(): Promise<void> {
    const { active, versions } = await registry.view();
    const trained = versions.find(({ origin }) => origin === 'trained');
    if (trained) newest = { key: String(trained.note['key']), startedFromAt: Number(trained.note['startedFromAt']), trainedAt: trained.registeredAt, begunAt: Number(trained.note['begunAt']) };
    const inOrder = versions.toSorted((left, right) => Number(right.version === active) - Number(left.version === active));
    for (const { version, backtest, registeredAt, origin } of inOrder) {
      if (origin === 'imported' && version !== active) continue;
      try {
        await takeUp(version);
        view = { state: 'trained', step: 0, steps: 0, text: `best: ${bestOf(backtest)}`, trainedAt: registeredAt, version, backtest };
        return;
      } catch (error) {
        deps.log.error({ error: messageOf(error), version }, 'a model cannot be taken up; the one before it is tried');
      }
    }
    newest = null;
  }

  async function takeUp(version: number): Promise<void> {
    await deps.forecaster.restore(await registry.read(version), version);
    view = { ...view, version };
  }

  function isDue(intent: Intent, now: number): boolean {
    if (newest === null || newest.key !== keyOf(intent)) return true;
    return now >= (deps.retrainMs === undefined ? nextNight(newest.trainedAt) : newest.trainedAt + deps.retrainMs);
  }

  /** Appends the slots that were observed since the history ends; with two weeks of them a made-up past is left out. */
  async function withObserved(history: TrainingHistory, intent: Intent, now: number): Promise<TrainingHistory & { effort: Effort }> {
    const { forecast: settings } = intent.mesh;
    const { slotMs, slotsPerDay } = settings;
    const isMadeUp = history.isMadeUp ?? false;
    const pairs = demandPairs(intent);
    const most = Math.min(OBSERVED_DAYS_MAX * slotsPerDay, Math.floor(OBSERVED_VALUES_MAX / Math.max(1, pairs.length)));
    const slots = Math.min(Math.floor((now - history.endAt) / slotMs), most);
    if (slots <= 0) return { ...history, effort: isMadeUp ? 'quick' : 'thorough' };
    const nobody: NodeStatus[] = [];
    const seen = await deps.store.observe({ now, slotMs, slots, pairs }, nobody);
    const observed = await trust.learnable(seen.demands, seen.lastSlotEndAt, slotMs, intent);
    const own = knownSlots(observed, slots);
    const effort: Effort = isMadeUp && own < slotsPerDay ? 'quick' : 'thorough';
    if (isMadeUp && own >= OWN_DAYS_MIN * slotsPerDay) return { series: lastSlots(observed, own), endAt: seen.lastSlotEndAt, effort };
    // a history that ended long ago is moved by whole weeks, so that neither its seasons nor a long gap get in the way
    const weekMs = 7 * slotsPerDay * slotMs;
    const gapMs = Math.max(0, seen.lastSlotEndAt - slots * slotMs - history.endAt);
    const movedMs = Math.floor(gapMs / weekMs) * weekMs;
    const added = Math.round((seen.lastSlotEndAt - history.endAt - movedMs) / slotMs);
    if (added <= 0) return { ...history, effort };
    const older = isMadeUp ? scaleToObserved(history.series, history.endAt + movedMs, observed, seen.lastSlotEndAt, settings) : history.series;
    return { series: joinSeries(older, observed, added), endAt: seen.lastSlotEndAt, effort };
  }

  return {
    ensure,
    isBusy: () => running !== null,
    demand: () => {
      isDemanded = true;
    },
    settled: async () => {
      await running;
    },
    view: () => view,
    models: () => registry.view(),
    async use(version) {
      await running;
      const { versions } = await registry.view();
      const wanted = version === 'latest' ? (versions.find(({ origin }) => origin === 'trained')?.version ?? 0) : version;
      const file = await registry.read(wanted);
      await deps.forecaster.restore(file, wanted);
      const entry = await registry.use(wanted, version !== 'latest');
      view = { ...view, state: view.state === 'running' ? 'running' : 'trained', text: `version ${wanted} in use`, version: wanted, trainedAt: entry.registeredAt, backtest: entry.backtest };
      return entry;
    },
    async exportModel(version, form) {
      const wanted = version === 'active' ? ((await registry.view()).active ?? 0) : version;
      const file = await registry.read(wanted);
      return { version: wanted, file: form === 'onnx' ? await deps.forecaster.exportOnnx(file) : file };
    },
    async importModel(file) {
      const header = await deps.forecaster.inspect(file);
      return registry.add(file, header, { origin: 'imported', registeredAt: deps.clock.now(), note: {} });
    },
  };
}

/** Each series of `older` with the last `added` slots of its pair in `newer`, null where nothing was seen. */
export function joinSeries(older: readonly DemandSeries[], newer: readonly DemandSeries[], added: number): DemandSeries[] {
  const nameOf = ({ from, to, classId }: DemandSeries): string => `${from}>${to}#${classId}`;
  const seenOf = new Map(newer.map((series) => [nameOf(series), series.mbps]));
  return older.map((series) => {
    const seen = seenOf.get(nameOf(series)) ?? [];
    const tail = Array.from({ length: added }, (_, index) => seen[seen.length - added + index] ?? null);
    return { ...series, mbps: [...series.mbps, ...tail] };
  });
}

/** The first night's hour at or after `at` that is not within the hour. */
export function nextNight(at: number): number {
  const today = Math.floor(at / DAY_MS) * DAY_MS + NIGHT_MS;
  return today >= at + HOUR_MS ? today : today + DAY_MS;
}

/** How many of the last slots there are from the first on in which anything was known. */
function knownSlots(demands: readonly DemandSeries[], slots: number): number {
  const firsts = demands.map(({ mbps }) => mbps.findIndex((value) => value !== null)).filter((first) => first >= 0);
  return firsts.length === 0 ? 0 : slots - Math.min(...firsts);
}

function lastSlots(demands: readonly DemandSeries[], slots: number): DemandSeries[] {
  return demands.map((series) => ({ ...series, mbps: series.mbps.slice(-slots) }));
}

function keyOf(intent: Intent): string {
  return digest({ forecast: intent.mesh.forecast, demands: demandPairs(intent) });
}

function bestOf(backtest: readonly BacktestScore[]): string {
  return backtest.toSorted((left, right) => left.pinball - right.pinball)[0]?.model ?? 'none';
}
