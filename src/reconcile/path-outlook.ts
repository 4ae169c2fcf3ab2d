import { messageOf } from '../base/index.ts';
import { createPathForecaster, PathRecord, type PathForecaster, type PathTable } from '../forecast/index.ts';
import { nodeOfUplink, uplinksOfPath, type Intent, type NodeId, type PathId, type PathQualityForecast } from '../model/index.ts';
import type { EngineDeps } from './deps.ts';

/** A class's probability from which a path is recorded with a decision: planner and report look at more probable ones only. */
const RECORDED_FROM = 0.1;

/**
 * What of a forecast a decision may depend on, and what is recorded with it.
 * @param doubted  nodes whose reports are not believed: what is expected of their paths rests on these
 */
export function decisivePart(forecast: PathQualityForecast | null, doubted: ReadonlySet<NodeId>): PathQualityForecast | null {
  const isSound = (path: PathId): boolean => !uplinksOfPath(path).some((uplink) => doubted.has(nodeOfUplink(uplink)));
  return forecast && { ...forecast, paths: forecast.paths.filter(({ path, violations }) => isSound(path) && violations.some(({ probability }) => probability >= RECORDED_FROM)) };
}

/** What is expected of paths; kept up with what is measured, and learned again from time to time. */
export interface PathOutlook {
  /**
   * The newest forecast. Made anew once a slot; between slots the same. Never fails: null while the past is being read, or
   * when it cannot be. Starts learning in the background when it is due.
   */
  forecast(intent: Intent, now: number): Promise<PathQualityForecast | null>;
  /** What was measured of all paths until the last forecast; null while it is being read. */
  past(): PathTable | null;
  /** Makes the next forecast begin to learn, however fresh it is. */
  demand(): void;
  /** Resolves when nothing is being read or learned. */
  settled(): Promise<void>;
}

/** Slots are no longer than this: what lasts a minute or two should still show in a mean. */
const SLOT_MAX_MS = 300_000;
/** How far back: some more than a week where slots are of five minutes. */
const DAYS = 10;
const SLOTS_MAX = 2880;
/** A part of the past that is read at once: a long read would hold up samples. */
const CHUNK_SLOTS = 72;
/** Slots before the newest that are read again, for samples that came late. */
const LATE_SLOTS = 3;
/** Less than this teaches nothing of days, however short a mesh's days are. */
const LEARN_SPAN_MIN_MS = 6 * 3_600_000;
const RELEARN_MS = 86_400_000;
/** While there was too little to learn from. */
const RETRY_MS = 3_600_000;

interface Grid {
  slotMs: number;
  slotsPerDay: number;
  horizon: number;
}

export function createPathOutlook(deps: Pick<EngineDeps, 'store' | 'clock' | 'log' | 'seed' | 'retrainMs'>): PathOutlook {
  const forecaster: PathForecaster = createPathForecaster();
  let grid: Grid | null = null;
  let record: PathRecord | null = null;
  let latest: PathQualityForecast | null = null;
  let classesOf = '';
  let isStale = true;
  let learnAtMs = 0;
  let reading: Promise<void> | null = null;
  let learning: Promise<void> | null = null;

  async function forecast(intent: Intent, now: number): Promise<PathQualityForecast | null> {
    const wanted = gridOf(intent);
    if (grid?.slotMs !== wanted.slotMs || grid.slotsPerDay !== wanted.slotsPerDay) [record, latest, learnAtMs] = [null, null, 0];
    grid = wanted;
    try {
      if (record === null) {
        reading ??= read(wanted, now).finally(() => (reading = null));
        return null;
      }
      await takeUp(record, wanted, now);
      const classes = JSON.stringify(intent.classes.map(({ id, sla }) => [id, sla]));
      if (isStale || latest === null || classes !== classesOf) latest = forecaster.forecast(record.table, intent.classes, wanted.horizon, now);
      [isStale, classesOf] = [false, classes];
      learnWhenDue(record, intent, wanted);
    } catch (error) {
      deps.log.error({ error: messageOf(error) }, 'no forecast of paths');
      latest = null;
    }
    return latest;
  }

  /** The past that telemetry has, in parts, oldest first. */
  async function read(wanted: Grid, now: number): Promise<void> {
    try {
      const slots = Math.min(DAYS * wanted.slotsPerDay, SLOTS_MAX);
      const endAt = Math.floor(now / wanted.slotMs) * wanted.slotMs;
      const made = new PathRecord(slots, wanted.slotMs, wanted.slotsPerDay, endAt);
      for (let left = slots; left > 0; left -= CHUNK_SLOTS) {
        const count = Math.min(left, CHUNK_SLOTS);
        const until = endAt - (left - count) * wanted.slotMs;
        made.add(await deps.store.pathHistory({ now: until, slotMs: wanted.slotMs, slots: count }), count, until);
      }
      record = made;
      isStale = true;
    } catch (error) {
      deps.log.error({ error: messageOf(error) }, 'the past of paths could not be read');
    }
  }

  /** What was measured since, once a slot is over. */
  async function takeUp(known: PathRecord, wanted: Grid, now: number): Promise<void> {
    const endAt = Math.floor(now / wanted.slotMs) * wanted.slotMs;
    const fresh = Math.round((endAt - known.endAt) / wanted.slotMs);
    if (fresh <= 0) return;
    const slots = Math.min(fresh + LATE_SLOTS, DAYS * wanted.slotsPerDay, SLOTS_MAX);
    known.add(await deps.store.pathHistory({ now, slotMs: wanted.slotMs, slots }), slots, endAt);
    isStale = true;
  }

  function learnWhenDue(known: PathRecord, intent: Intent, wanted: Grid): void {
    if (learning !== null || deps.clock.monotonicMs() < learnAtMs) return;
    learnAtMs = deps.clock.monotonicMs() + RETRY_MS;
    if (known.table.length * wanted.slotMs < LEARN_SPAN_MIN_MS) return;
    learning = forecaster
      .train(known.table, intent.classes, wanted.horizon, deps.seed, breathe)
      .then((learned) => {
        if (learned === null) return;
        learnAtMs = deps.clock.monotonicMs() + (deps.retrainMs ?? RELEARN_MS);
        isStale = true;
        deps.log.info({ ...learned, paths: known.table.series.length }, 'learned what paths are like');
      })
      .catch((error: unknown) => deps.log.error({ error: messageOf(error) }, 'what paths are like could not be learned'))
      .finally(() => (learning = null));
  }

  return {
    forecast,
    past: () => record?.table ?? null,
    demand: () => {
      learnAtMs = 0;
    },
    settled: async () => {
      await reading;
      await learning;
    },
  };
}

/** Slots of paths are even parts of those of demands, so that both horizons end together. */
function gridOf({ mesh }: Intent): Grid {
  const { slotMs, slotsPerDay, horizonSlots } = mesh.forecast;
  const parts = Math.ceil(slotMs / SLOT_MAX_MS);
  return { slotMs: slotMs / parts, slotsPerDay: slotsPerDay * parts, horizon: horizonSlots * parts };
}

/** Lets everything else of the engine go first. */
function breathe(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
