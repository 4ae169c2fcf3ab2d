import { knownMean, type DemandMatrix } from '../matrix/demand-matrix.ts';
import { FanOutWatch, type Target } from './fan-out.ts';
import type { Unusual } from './pair-watch.ts';
import type { AnomalySettings } from './settings.ts';
import { SeasonForecaster } from './slot-forecaster.ts';
import { WatchedSeries } from './watched-series.ts';

/** What became of one made-up event. */
export interface Outcome {
  /** `surge x3`. */
  name: string;
  /** Null of a site's. */
  pair: number | null;
  /** Null: it was not told while it went on. */
  foundAfterSlots: number | null;
}

const CHANGES: readonly { name: string; kind: Unusual['kind']; factor: number }[] = [
  { name: 'surge x1.5', kind: 'surge', factor: 1.5 },
  { name: 'surge x2', kind: 'surge', factor: 2 },
  { name: 'surge x3', kind: 'surge', factor: 3 },
  { name: 'surge x5', kind: 'surge', factor: 5 },
  { name: 'surge x10', kind: 'surge', factor: 10 },
  { name: 'drop to 0', kind: 'drop', factor: 0 },
];
/** Days of silence before a pair is new, and of a site's past before its scan. */
const QUIET_DAYS = 8;

/** Multiplies an hour of one pair, at each of the moments, ascending; each starts from the pair's real past. */
export function tryChanges(matrix: DemandMatrix, pair: number, settings: AnomalySettings, moments: readonly number[], slots: number): { found: Outcome[]; surgeFactorMin: number } {
  const values = matrix.values[pair]!;
  const series = new WatchedSeries(settings, new SeasonForecaster(matrix.slotsPerDay));
  const found: Outcome[] = [];
  let isQuiet = true;
  for (let slot = 0, next = 0; next < moments.length && slot < matrix.length; slot++) {
    while (moments[next] === slot) {
      next += 1;
      if (!isQuiet) continue; // what is unusual already cannot be told again
      for (const { name, kind, factor } of CHANGES) {
        const copy = series.clone(settings);
        found.push({ name, pair, foundAfterSlots: firstFound(slots, (at) => copy.step(known(values[slot + at]! * factor))?.kind === kind) });
      }
    }
    isQuiet = series.step(known(values[slot])) === null;
  }
  return { found, surgeFactorMin: series.watch.surgeFactorMin };
}

/** A pair without a past begins with what it has on average. */
export function foundNewPair(matrix: DemandMatrix, pair: number, settings: AnomalySettings, slots: number): Outcome {
  const mean = knownMean(matrix.values[pair]!);
  const series = new WatchedSeries(settings, new SeasonForecaster(matrix.slotsPerDay));
  for (let slot = 0; slot < QUIET_DAYS * matrix.slotsPerDay; slot++) series.step(0);
  return { name: 'new pair', pair, foundAfterSlots: firstFound(slots, () => series.step(mean)?.kind === 'new-pair') };
}

/** Takes away what half of a site's pairs had, then lets the site talk a little to all of them, one after the other within half an hour. */
export function foundFanOut(matrix: DemandMatrix, pairs: readonly number[], settings: AnomalySettings, moment: number, slots: number): Outcome[] {
  const scanned = pairs.filter((_, index) => index % 2 === 0);
  if (scanned.length < 4) return [];
  const watch = new FanOutWatch(settings);
  const small = Math.max(settings.minMbps * 2, 1e-9);
  const step = (slot: number, opened: number): boolean => {
    const targets: Target[] = [];
    let total: number | null = null;
    pairs.forEach((pair, index) => {
      const value = index % 2 === 0 ? (index / 2 < opened ? small : 0) : matrix.values[pair]![slot]!;
      if (Number.isNaN(value)) return;
      total = (total ?? 0) + value;
      if (value > settings.minMbps) targets.push({ name: matrix.pairs[pair]!, mbps: value });
    });
    return watch.step(targets, total) !== null;
  };
  for (let slot = Math.max(0, moment - QUIET_DAYS * matrix.slotsPerDay); slot < moment; slot++) step(slot, 0);
  const perSlot = Math.ceil(scanned.length / Math.max(1, slots / 2));
  return [{ name: 'scan', pair: null, foundAfterSlots: firstFound(slots, (at) => step(moment + at, perSlot * (at + 1))) }];
}

function firstFound(slots: number, step: (at: number) => boolean): number | null {
  for (let at = 0; at < slots; at++) if (step(at)) return at + 1;
  return null;
}

function known(value: number | undefined): number | null {
  return value === undefined || Number.isNaN(value) ? null : value;
}
