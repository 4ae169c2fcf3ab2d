import { createRng, type Rng } from '../base/index.ts';
import { dayCurve, dayFractionAt } from '../model/index.ts';
import type { ClassId, DemandSeries, SiteId } from '../model/index.ts';

export interface HistoryOptions {
  demands: { from: SiteId; to: SiteId; classId: ClassId; /** Level of a quiet night. */ baseMbps: number; /** Level when `dayCurve` is 1. */ peakMbps: number }[];
  slotMs: number;
  slotsPerDay: number;
  days: number;
  /** Epoch ms; the last slot is the last one that ends at or before it. */
  endAt: number;
  seed: string;
  /** Share of the day curve that is left at the weekend (the sixth and seventh day; day 0 of the epoch is a Thursday). Default 0.45; 1: no weekends. */
  weekendFactor?: number;
  /** Spread of the noise as a share of the level. Default 0.08. */
  noiseRatio?: number;
  /** Bursts a demand and day, on average. Default 0.4. */
  burstsPerDay?: number;
  /** Greatest growth or decline a day, as a share. Default 0.004. */
  trendPerDayMax?: number;
}

/** How much of the last slot's noise is in the next one's. */
const NOISE_MEMORY = 0.8;

/**
 * Synthetic demand of offices and clouds, to learn from before anything was measured. A slot is
 * `(base + (peak − base) · dayCurve · weekend) · trend · exp(AR(1) noise) + burst`, with the day's phase by `dayFractionAt`
 * at the middle of the slot, so that it lines up with senders that follow the same curve.
 * Noise, bursts and trend are each demand's own; the same options give the same numbers.
 * @returns one series a demand, `days × slotsPerDay` values each, all ending at the last slot before `endAt`, Mbit/s ≥ 0
 */
export function generateHistory(options: HistoryOptions): DemandSeries[] {
  const slots = Math.round(options.days * options.slotsPerDay);
  const firstSlot = Math.floor(options.endAt / options.slotMs) - slots;
  return options.demands.map((demand) => {
    const rng = createRng(options.seed).fork(`${demand.from}>${demand.to}#${demand.classId}`);
    const noise = autoregressiveNoise(rng.fork('noise'), slots, options.noiseRatio ?? 0.08);
    const bursts = burstsMbps(rng.fork('bursts'), slots, options, demand.peakMbps);
    const trendPerDay = (rng.fork('trend').next() * 2 - 1) * (options.trendPerDayMax ?? 0.004);
    const mbps = Array.from({ length: slots }, (_, index) => {
      const middleAt = (firstSlot + index + 0.5) * options.slotMs;
      const shape = dayCurve(dayFractionAt(middleAt, options.slotMs, options.slotsPerDay)) * weekendShare(middleAt, options);
      const level = demand.baseMbps + (demand.peakMbps - demand.baseMbps) * shape;
      const trend = Math.max(0, 1 + trendPerDay * ((index - slots) / options.slotsPerDay));
      return Math.max(0, level * trend * Math.exp(noise[index]!) + bursts[index]!);
    });
    return { from: demand.from, to: demand.to, classId: demand.classId, mbps };
  });
}

function weekendShare(at: number, options: HistoryOptions): number {
  const day = Math.floor(at / (options.slotMs * options.slotsPerDay));
  return (((day + 3) % 7) + 7) % 7 >= 5 ? (options.weekendFactor ?? 0.45) : 1;
}

function autoregressiveNoise(rng: Rng, slots: number, spread: number): number[] {
  let value = rng.gaussian() * spread;
  const innovation = spread * Math.sqrt(1 - NOISE_MEMORY ** 2);
  return Array.from({ length: slots }, () => (value = NOISE_MEMORY * value + rng.gaussian() * innovation));
}

/** Backups and uploads: 2 to 6 slots long, 20 to 80 % of the peak high, at any time of the day. */
function burstsMbps(rng: Rng, slots: number, options: HistoryOptions, peakMbps: number): Float64Array {
  const bursts = new Float64Array(slots);
  const chance = (options.burstsPerDay ?? 0.4) / options.slotsPerDay;
  for (let slot = 0; slot < slots; slot++) {
    if (rng.next() >= chance) continue;
    const length = 2 + rng.integer(5);
    const height = peakMbps * (0.2 + 0.6 * rng.next());
    for (let part = slot; part < Math.min(slots, slot + length); part++) bursts[part] = bursts[part]! + height;
  }
  return bursts;
}
