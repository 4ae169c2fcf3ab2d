import { formatMbps, roundTo } from '../base/index.ts';
import type { ForecastSettings } from '../model/index.ts';
import type { Way, Want } from './types.ts';

/** `95 ms`. */
export function formatBoundMs(durationMs: number): string {
  return Number.isFinite(durationMs) ? `${roundTo(durationMs, durationMs < 10 ? 1 : 0)} ms` : 'no bound';
}

/** `1.5 %`. */
export function formatRatio(ratio: number): string {
  return `${roundTo(ratio * 100, 2)} %`;
}

/** `10:30 UTC`. */
export function formatTime(at: number): string {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? 'an unknown time' : `${date.toISOString().slice(11, 16)} UTC`;
}

/** `voice berlin–paris`. */
export function nameOfWant(want: Want): string {
  return `${want.trafficClass.id} ${want.pair.a.id}–${want.pair.b.id}`;
}

/** `forecast p90 peak 22 Mbit/s at 10:30 UTC`, or `offered 2 Mbit/s` when what is seen is more than what was expected. */
export function describeDemand(want: Want, settings: ForecastSettings): string {
  const heavier = want.forward.plannedMbps >= want.backward.plannedMbps ? want.forward : want.backward;
  if (heavier.plannedMbps <= 0) return heavier.recentMbps > 0 ? `recently offered ${formatMbps(heavier.recentMbps)}` : 'no demand yet';
  if (heavier.peakAt === null) return `offered ${formatMbps(heavier.plannedMbps)}`;
  return `forecast ${settings.provision} peak ${formatMbps(heavier.plannedMbps)} at ${formatTime(heavier.peakAt)}`;
}

/** `berlin-gw1/fibre~paris-gw1/dsl`, or `relay berlin`. */
export function nameOfWay(way: Way): string {
  return way.relay === null ? way.hops[0]!.path : `relay ${way.relay}`;
}
