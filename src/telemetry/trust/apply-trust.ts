import type { DemandBound, DemandSeries, Observation, SiteId, UnknownDemand, UntrustedSpan } from '../../model/index.ts';

/**
 * What is left of reported demand when windows are cut to what others confirm: each class of a pair by the same share.
 * Slots and windows need not have the same length; of several windows in a slot the strictest counts.
 */
export function boundObservation(observation: Observation, bounds: readonly DemandBound[], windowMs: number): Observation {
  if (bounds.length === 0) return observation;
  const { slotMs, lastSlotEndAt } = observation;
  const slots = observation.demands[0]?.mbps.length ?? 0;
  const firstAt = lastSlotEndAt - slots * slotMs;
  const allowed = new Map<string, Map<number, number>>();
  for (const { startAt, from, to, allowedMbps } of bounds) {
    const key = `${from}>${to}`;
    const ofPair = allowed.get(key) ?? new Map<number, number>();
    allowed.set(key, ofPair);
    for (let slot = Math.floor((startAt - firstAt) / slotMs); slot * slotMs < startAt + windowMs - firstAt; slot++) ofPair.set(slot, Math.min(allowedMbps, ofPair.get(slot) ?? Infinity));
  }
  const totals = new Map<string, number[]>();
  for (const { from, to, mbps } of observation.demands) {
    const key = `${from}>${to}`;
    if (!allowed.has(key)) continue;
    const sums = totals.get(key) ?? Array<number>(slots).fill(0);
    mbps.forEach((value, slot) => (sums[slot]! += value ?? 0));
    totals.set(key, sums);
  }
  return {
    ...observation,
    demands: observation.demands.map((series) => {
      const ofPair = allowed.get(`${series.from}>${series.to}`);
      if (!ofPair) return series;
      const sums = totals.get(`${series.from}>${series.to}`)!;
      const shareOf = (slot: number): number => Math.min(1, (ofPair.get(slot) ?? Infinity) / Math.max(sums[slot]!, 1e-12));
      return {
        ...series,
        mbps: series.mbps.map((value, slot) => (value === null ? null : value * shareOf(slot))),
        ...(series.droppedMbps ? { droppedMbps: series.droppedMbps.map((value, slot) => value * shareOf(slot)) } : {}),
      };
    }),
  };
}

/** The past as far as it may be learned from: unknown where a site's reports were contradicted. */
export function withoutUntrusted(series: readonly DemandSeries[], endAt: number, slotMs: number, spans: readonly UntrustedSpan[]): DemandSeries[] {
  if (spans.length === 0) return [...series];
  const ofSite = new Map<SiteId, UntrustedSpan[]>();
  for (const span of spans) ofSite.set(span.site, [...(ofSite.get(span.site) ?? []), span]);
  return series.map((one) => {
    const untrusted = (ofSite.get(one.from) ?? []).filter(({ to }) => to === undefined || to === one.to);
    if (untrusted.length === 0) return one;
    const firstAt = endAt - one.mbps.length * slotMs;
    const isUntrusted = (slot: number): boolean => untrusted.some(({ fromAt, untilAt }) => firstAt + (slot + 1) * slotMs > fromAt && firstAt + slot * slotMs < (untilAt ?? Infinity));
    return { ...one, mbps: one.mbps.map((value, slot) => (isUntrusted(slot) ? null : value)) };
  });
}

/** Takes for unknown what was reported in windows in which it cannot be known. */
export function withoutUnknown(observation: Observation, unknown: readonly UnknownDemand[], windowMs: number): Observation {
  if (unknown.length === 0) return observation;
  const spans = unknown.map(({ from, to, startAt }): UntrustedSpan => ({ site: from, to, fromAt: startAt, untilAt: startAt + windowMs, why: '' }));
  return { ...observation, demands: withoutUntrusted(observation.demands, observation.lastSlotEndAt, observation.slotMs, spans) };
}

/** Takes for unknown what no uplinks can have carried, by far: whoever reports it, and whether or not anybody could judge it. */
export function withoutImpossible(series: readonly DemandSeries[], mostMbps: (from: SiteId, to: SiteId) => number): DemandSeries[] {
  return series.map((one) => {
    const most = mostMbps(one.from, one.to);
    return one.mbps.some((value) => value !== null && value > most) ? { ...one, mbps: one.mbps.map((value) => (value !== null && value > most ? null : value)) } : one;
  });
}
