import type { PathQuality, PathState, Site } from '../model/index.ts';
import { PLANNER_SETTINGS } from './settings.ts';
import type { HopEnd } from './types.ts';

export interface HopQuality {
  state: PathState;
  latencyMs: number;
  estimateMs: number;
  measured: boolean;
  jitterMs: number;
  lossRatio: number;
}

/** What is known of a path: the measurement while it is fresh, else a geographic estimate with no jitter and no loss. */
export function qualityOf(ends: readonly [HopEnd, HopEnd], quality: PathQuality | undefined, now: number): HopQuality {
  const estimateMs = estimatedLatencyMs(ends[0].site, ends[1].site);
  const unknown: HopQuality = { state: 'unknown', latencyMs: estimateMs, estimateMs, measured: false, jitterMs: 0, lossRatio: 0 };
  if (!quality || !(now - quality.sampledAt <= PLANNER_SETTINGS.qualityFreshMs)) return unknown;
  const latencyMs = sane(quality.latencyMs);
  return {
    state: quality.state,
    latencyMs: latencyMs ?? estimateMs,
    estimateMs,
    measured: latencyMs !== null,
    jitterMs: sane(quality.jitterMs) ?? 0,
    lossRatio: Math.min(1, sane(quality.lossRatio) ?? 0),
  };
}

/** Round trip between two places, ms: great circle, the usual detour of fibre, and the access at both ends. */
export function estimatedLatencyMs(one: Site, other: Site): number {
  return distanceKm(one, other) * PLANNER_SETTINGS.latencyMsPerKm + accessMs(one) + accessMs(other);
}

/** Great-circle distance by the haversine formula on a sphere of 6371 km (error below 0.6 %); 0 for impossible coordinates. */
export function distanceKm(one: Site, other: Site): number {
  const radians = (degrees: number): number => (degrees * Math.PI) / 180;
  const latitude = radians(other.location.latitude - one.location.latitude);
  const longitude = radians(other.location.longitude - one.location.longitude);
  const half =
    Math.sin(latitude / 2) ** 2 +
    Math.cos(radians(one.location.latitude)) * Math.cos(radians(other.location.latitude)) * Math.sin(longitude / 2) ** 2;
  const km = 2 * 6371 * Math.asin(Math.min(1, Math.sqrt(half)));
  return Number.isFinite(km) ? km : 0;
}

function accessMs(site: Site): number {
  return site.provider === 'onprem' ? PLANNER_SETTINGS.accessMs.onprem : PLANNER_SETTINGS.accessMs.cloud;
}

function sane(figure: number | null): number | null {
  return figure !== null && Number.isFinite(figure) && figure >= 0 ? figure : null;
}
