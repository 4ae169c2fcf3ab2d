import { messageOf } from '../../base/index.ts';
import { ANOMALY_MIN_MBPS, anomalyWindows, createAnomalyDetector, DAYS_PER_ALARM, type AnomalyDetector, type AnomalySlot } from '../../forecast/index.ts';
import type { Anomaly, Forecast, Intent, Observation } from '../../model/index.ts';
import type { EngineDeps } from '../deps.ts';

/** Watches what comes against what was expected. Nothing in here fails a cycle. */
export interface AnomalyKeeper {
  /** Remembers what is expected of slots to come. */
  expect(forecast: Forecast, observation: Observation): void;
  /** Looks at the slots that are complete since it was last asked; at first, at as much of the past as it has time for. */
  observe(observation: Observation, intent: Intent): Promise<void>;
  /** Those that go on first, then the newest. */
  anomalies(): Anomaly[];
}

/** Slots times demands that are looked at again after a start: about two seconds. */
const CELLS_AT_START_MAX = 250_000;

interface Foreseen {
  short: Map<string, number> | null;
  long: Map<string, number> | null;
}

export function createAnomalyKeeper(deps: Pick<EngineDeps, 'store' | 'log'>): AnomalyKeeper {
  let detector: AnomalyDetector | null = null;
  let madeFor = '';
  /** By begin of the slot: medians made about a short and a long window before it. */
  const foreseen = new Map<number, Foreseen>();
  const told = new Set<string>();

  function expect(forecast: Forecast, { lastSlotEndAt, slotMs }: Observation, slotsPerDay: number): void {
    const windows = anomalyWindows({ slotsPerDay });
    const medians = new Map<number, Map<string, number>>();
    for (const demand of forecast.demands) {
      for (const { startAt, p50 } of demand.slots) {
        if (startAt < lastSlotEndAt) continue;
        const ofSlot = medians.get(startAt) ?? new Map<string, number>();
        ofSlot.set(keyOf(demand), p50);
        medians.set(startAt, ofSlot);
      }
    }
    for (const [startAt, ofSlot] of medians) {
      const ahead = Math.round((startAt - lastSlotEndAt) / slotMs) + 1;
      const known = foreseen.get(startAt) ?? { short: null, long: null };
      // the forecast that was made last before the window begins; a later one may have seen the beginning of what is looked for
      if (ahead >= windows.long || known.long === null) known.long = ofSlot;
      if (ahead >= windows.short || known.short === null) known.short = ofSlot;
      foreseen.set(startAt, known);
    }
  }

  async function observe(observation: Observation, intent: Intent): Promise<void> {
    const { slotMs, lastSlotEndAt, demands } = observation;
    const { slotsPerDay } = intent.mesh.forecast;
    const settings = { slotMs, slotsPerDay, daysPerAlarm: DAYS_PER_ALARM, minMbps: ANOMALY_MIN_MBPS };
    const key = JSON.stringify(settings);
    if (detector === null || madeFor !== key) [detector, madeFor] = [createAnomalyDetector(settings), key];
    const slots = demands[0]?.mbps.length ?? 0;
    const most = Math.min(slots, Math.max(1, Math.floor(CELLS_AT_START_MAX / Math.max(1, demands.length))));
    const firstAt = Math.max(detector.takenUntilAt() ?? 0, lastSlotEndAt - most * slotMs);
    const fresh = Math.round((lastSlotEndAt - firstAt) / slotMs);
    if (fresh <= 0) return;
    const isStarting = detector.takenUntilAt() === null;
    const services = intent.mesh.telemetry.services ? await deps.store.serviceCounts({ now: lastSlotEndAt, slotMs, slots: fresh }) : [];
    for (let index = 0; index < fresh; index++) {
      const startAt = firstAt + index * slotMs;
      const slot = slots - fresh + index;
      const expected = foreseen.get(startAt);
      foreseen.delete(startAt);
      detector.step({
        startAt,
        demands: demands.map((series): AnomalySlot['demands'][number] => ({
          from: series.from,
          to: series.to,
          classId: series.classId,
          mbps: series.mbps[slot] ?? null,
          ...(expected ? { foreseen: { shortP50: expected.short?.get(keyOf(series)) ?? null, longP50: expected.long?.get(keyOf(series)) ?? null } } : {}),
        })),
        services: services.filter(({ connections, packets }) => ((connections ?? packets)?.[index] ?? 0) > 0).map(({ from, to, service }) => ({ from, to, service })),
      });
    }
    for (const startAt of foreseen.keys()) if (startAt < lastSlotEndAt) foreseen.delete(startAt);
    tell(detector.anomalies(), isStarting);
  }

  /** What is found in the past after a start was told before it. */
  function tell(anomalies: readonly Anomaly[], isStarting: boolean): void {
    for (const { id, kind, severity, words, endedAt } of anomalies) {
      if (told.has(id)) continue;
      told.add(id);
      if (!isStarting || endedAt === null) deps.log.warn({ anomaly: id, kind, severity, words }, 'traffic is not what was to be expected');
    }
    const kept = new Set(anomalies.map(({ id }) => id));
    for (const id of told) if (!kept.has(id)) told.delete(id);
  }

  let slotsPerDayNow = 0;
  return {
    expect(forecast, observation) {
      if (slotsPerDayNow > 0) expect(forecast, observation, slotsPerDayNow);
    },
    observe(observation, intent) {
      slotsPerDayNow = intent.mesh.forecast.slotsPerDay;
      return observe(observation, intent).catch((error: unknown) => {
        deps.log.error({ error: messageOf(error) }, 'anomalies were not looked for');
      });
    },
    anomalies: () => detector?.anomalies() ?? [],
  };
}

function keyOf({ from, to, classId }: { from: string; to: string; classId: string }): string {
  return `${from}>${to}#${classId}`;
}
