import { join } from 'node:path';
import { digest, messageOf, readFileIfExists, writeFileAtomic } from '../base/index.ts';
import type { BacktestScore, DemandSeries, Intent, NodeStatus } from '../model/index.ts';
import type { EngineDeps, TrainingHistory } from './deps.ts';
import { demandPairs } from './demand-pairs.ts';
import type { TrustKeeper } from './trust/trust-keeper.ts';

export interface TrainingView {
  /** `untrained`: the forecaster answers with what needs no training. */
  state: 'untrained' | 'running' | 'trained' | 'failed';
  step: number;
  steps: number;
  text: string;
  trainedAt: number | null;
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
}

/** What the saved model was made with; another text means it has to be made again. */
interface TrainingNote {
  settings: string;
  trainedAt: number;
  historyEndAt: number;
  backtest: BacktestScore[];
}

const DAY_MS = 86_400_000;
const RETRY_MS = 600_000;
/** Observed slots that a training looks back on. */
const OBSERVED_SLOTS_MAX = 4032;

/** Keeps the models fresh: loads the saved ones, trains at start when there are none, and again on schedule with what was observed since. */
export function createTrainer(deps: Pick<EngineDeps, 'forecaster' | 'store' | 'history' | 'stateDir' | 'seed' | 'clock' | 'log' | 'retrainMs'>, trust: Pick<TrustKeeper, 'learnable'>): Trainer {
  const modelDir = join(deps.stateDir, 'model');
  const noteFile = join(deps.stateDir, 'model', 'training.json');
  const retrainMs = deps.retrainMs ?? DAY_MS;
  let view: TrainingView = { state: 'untrained', step: 0, steps: 0, text: 'not started', trainedAt: null, backtest: [] };
  let note: TrainingNote | null = null;
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
      if ((await load(intent)) && !wasDemanded) return;
    }
    view = { ...view, state: 'running', step: 0, steps: 0, text: 'reading history' };
    const { forecast: settings } = intent.mesh;
    const started = await deps.history(intent, note?.historyEndAt ?? now);
    const history = await withObserved(started, intent, now);
    const backtest = await deps.forecaster.train(history.series, settings, history.endAt, deps.seed, ({ step, steps, text }) => {
      view = { ...view, step, steps, text };
    });
    await deps.forecaster.save(modelDir);
    note = { settings: settingsOf(intent), trainedAt: deps.clock.now(), historyEndAt: started.endAt, backtest };
    await writeFileAtomic(noteFile, `${JSON.stringify(note)}\n`);
    view = { state: 'trained', step: view.steps, steps: view.steps, text: `best: ${bestOf(backtest)}`, trainedAt: note.trainedAt, backtest };
    deps.log.info({ backtest, demands: history.series.length }, 'trained');
  }

  async function load(intent: Intent): Promise<boolean> {
    const text = await readFileIfExists(noteFile);
    if (text === null) return false;
    const saved = readNote(text);
    note = saved;
    if (saved === null || saved.settings !== settingsOf(intent) || !(await deps.forecaster.load(modelDir))) return false;
    view = { state: 'trained', step: 0, steps: 0, text: `best: ${bestOf(saved.backtest)}`, trainedAt: saved.trainedAt, backtest: saved.backtest };
    return true;
  }

  function isDue(intent: Intent, now: number): boolean {
    return note === null || note.settings !== settingsOf(intent) || now >= note.trainedAt + retrainMs;
  }

  /** Appends the slots that were observed since the history ends. */
  async function withObserved(history: TrainingHistory, intent: Intent, now: number): Promise<TrainingHistory> {
    const { slotMs, slotsPerDay } = intent.mesh.forecast;
    const slots = Math.min(Math.floor((now - history.endAt) / slotMs), OBSERVED_SLOTS_MAX);
    if (slots <= 0) return history;
    const nobody: NodeStatus[] = [];
    const seen = await deps.store.observe({ now, slotMs, slots, pairs: demandPairs(intent) }, nobody);
    // a history that ended long ago is moved by whole weeks, so that neither its seasons nor a long gap get in the way
    const weekMs = 7 * slotsPerDay * slotMs;
    const gapMs = Math.max(0, seen.lastSlotEndAt - slots * slotMs - history.endAt);
    const added = Math.round((seen.lastSlotEndAt - history.endAt - Math.floor(gapMs / weekMs) * weekMs) / slotMs);
    return added <= 0 ? history : { series: joinSeries(history.series, await trust.learnable(seen.demands, seen.lastSlotEndAt, slotMs), added), endAt: seen.lastSlotEndAt };
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
  };
}

/** Each series of `older` with the last `added` slots of its pair in `newer`, null where nothing was seen. */
export function joinSeries(older: readonly DemandSeries[], newer: readonly DemandSeries[], added: number): DemandSeries[] {
  return older.map((series) => {
    const seen = newer.find(({ from, to, classId }) => from === series.from && to === series.to && classId === series.classId)?.mbps ?? [];
    const tail = Array.from({ length: added }, (_, index) => seen[seen.length - added + index] ?? null);
    return { ...series, mbps: [...series.mbps, ...tail] };
  });
}

function settingsOf(intent: Intent): string {
  return digest({ forecast: intent.mesh.forecast, demands: demandPairs(intent) });
}

function bestOf(backtest: readonly BacktestScore[]): string {
  return backtest.toSorted((left, right) => left.pinball - right.pinball)[0]?.model ?? 'none';
}

/** Null for a note that cannot be read: the model is then made again, which loses nothing. */
function readNote(text: string): TrainingNote | null {
  try {
    return JSON.parse(text) as TrainingNote;
  } catch {
    return null;
  }
}
