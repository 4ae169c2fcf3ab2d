import { sumOf, unitsFor, type World } from './world.ts';

/** A pair needs more tunnels than at any time of some hours before: the same peaks for every policy. */
export interface Peak {
  pair: number;
  slot: number;
  units: number;
  /** The first slot that needs fewer again. */
  endSlot: number;
}

export interface LeadFigures {
  peaks: number;
  /** Share of peaks whose tunnels were up when they began. */
  inTime: number;
  /** Minutes that tunnels were up before the peak; negative: after. Of peaks that ended first, when they ended. */
  minutesP10: number;
  minutesP50: number;
  minutesMean: number;
}

/** So long nothing like it must have been there; a lead is counted up to this. */
const LOOK_BACK_MS = 6 * 3_600_000;

/** Peaks whose slot lies after `fromSlot` and before `untilSlot`. */
export function findPeaks(world: World, fromSlot: number, untilSlot: number): Peak[] {
  const back = Math.max(1, Math.round(LOOK_BACK_MS / world.slotMs));
  const peaks: Peak[] = [];
  for (const [index, pair] of world.pairs.entries()) {
    const units = sumOf(pair, untilSlot).map((mbps) => (Number.isNaN(mbps) ? 0 : unitsFor(mbps, world.unitMbps)));
    for (let slot = Math.max(fromSlot + 1, back); slot < untilSlot; slot++) {
      const needed = units[slot]!;
      if (needed < 2) continue;
      let before = 0;
      for (let past = slot - back; past < slot; past++) before = Math.max(before, units[past]!);
      if (before === 0 || needed <= before) continue;
      let endSlot = slot + 1;
      while (endSlot < untilSlot && units[endSlot]! >= needed) endSlot += 1;
      peaks.push({ pair: index, slot, units: needed, endSlot });
    }
  }
  return peaks.sort((one, other) => one.slot - other.slot || one.pair - other.pair);
}

/** Watches since when each pair has had how many tunnels. */
export class LeadTimes {
  private readonly world: World;
  private readonly peaks: readonly Peak[];
  private readonly minutes: number[] = [];
  /** `since[pair][n − 1]`: when the pair last came to have n tunnels. */
  private readonly since: number[][];
  private waiting: Peak[] = [];
  private next = 0;
  private readonly firstMs: number;

  constructor(world: World, peaks: readonly Peak[], fromSlot: number) {
    this.world = world;
    this.peaks = peaks;
    this.since = world.pairs.map(() => []);
    this.firstMs = fromSlot * world.slotMs - LOOK_BACK_MS;
  }

  /** @param open  tunnels by link from now on */
  observe(open: Int32Array, nowMs: number): void {
    const { world, peaks, since } = this;
    const toMinutes = 1 / 60_000;
    // peaks that began before this moment are judged by what was up until now
    while (this.next < peaks.length && peaks[this.next]!.slot * world.slotMs < nowMs) {
      const peak = peaks[this.next++]!;
      const upAt = since[peak.pair]![peak.units - 1];
      if (upAt !== undefined) this.minutes.push(Math.min(LOOK_BACK_MS, peak.slot * world.slotMs - upAt) * toMinutes);
      else this.waiting.push(peak);
    }
    for (let pair = 0; pair < world.pairs.length; pair++) {
      const units = open[2 * pair]! + open[2 * pair + 1]!;
      const own = since[pair]!;
      if (own.length > units) own.length = units;
      while (own.length < units) own.push(this.next === 0 && nowMs <= this.firstMs + LOOK_BACK_MS ? this.firstMs : nowMs);
    }
    this.waiting = this.waiting.filter((peak) => {
      const isUp = since[peak.pair]!.length >= peak.units;
      if (!isUp && nowMs < peak.endSlot * world.slotMs) return true;
      this.minutes.push((peak.slot * world.slotMs - Math.min(nowMs, peak.endSlot * world.slotMs)) * toMinutes);
      return false;
    });
  }

  figures(): LeadFigures {
    const sorted = [...this.minutes].sort((one, other) => one - other);
    const quantile = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
    const { length } = sorted;
    return {
      peaks: length,
      inTime: length > 0 ? sorted.filter((minutes) => minutes >= 0).length / length : 1,
      minutesP10: quantile(0.1),
      minutesP50: quantile(0.5),
      minutesMean: length > 0 ? sorted.reduce((sum, minutes) => sum + minutes, 0) / length : 0,
    };
  }
}
