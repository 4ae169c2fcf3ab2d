import { classId, type PathId, type PathSeries, type TrafficClass } from '../../../src/model/index.ts';
import type { PathTable } from '../../../src/forecast/index.ts';

export const SLOT_MS = 900_000;
export const DAY = 96;
/** A Monday, UTC. */
export const START_AT = Date.UTC(2026, 0, 5);

export const VOICE: TrafficClass = { id: classId('voice'), priority: 0, match: [], sla: { latencyMaxMs: 150, jitterMaxMs: 30, lossMaxRatio: 0.01 }, protection: 'none', shareRatio: 0, dscp: null };
export const BULK: TrafficClass = { ...VOICE, id: classId('bulk'), priority: 1, sla: { latencyMaxMs: 1000, jitterMaxMs: 1000, lossMaxRatio: 0.05 } };

/** A path whose latency is given by slot; jitter and loss are small. */
export function seriesOf(path: string, length: number, latencyMs: (slot: number) => number): PathSeries {
  return { path: path as PathId, latencyMs: Float32Array.from({ length }, (_, slot) => latencyMs(slot)), jitterMs: new Float32Array(length).fill(2), lossRatio: new Float32Array(length).fill(0) };
}

/** A path that nobody ever measured. */
export function silentSeries(path: string, length: number): PathSeries {
  const unknown = (): Float32Array => new Float32Array(length).fill(Number.NaN);
  return { path: path as PathId, latencyMs: unknown(), jitterMs: unknown(), lossRatio: unknown() };
}

export function tableOf(series: PathSeries[]): PathTable {
  return { slotMs: SLOT_MS, slotsPerDay: DAY, startAt: START_AT, length: series[0]!.latencyMs.length, series };
}

export const noPause = (): Promise<void> => Promise.resolve();
