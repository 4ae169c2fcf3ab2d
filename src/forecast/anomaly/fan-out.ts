import { anomalyWindows, type AnomalySettings } from './settings.ts';

/** One way in which a site talks in a slot: to a site, or to a port there. */
export interface Target {
  name: string;
  /** Null where only connections are known. */
  mbps: number | null;
}

export interface FanOut {
  score: number;
  opened: string[];
  /** Of all opened ones together in this slot. */
  mbps: number;
}

/** Fewer targets than this, opened within an hour, are nobody's scan. */
const OPENED_MIN = 4;
/** And it takes this many times what the site's last week knew. */
const USUAL_FACTOR = 2;
/** A scan's flows are small: opened targets that carry more of the site's traffic than this are something else. */
const TRAFFIC_SHARE_MAX = 0.25;
/** A target not talked to for this many days is opened anew; a site is watched once so much of it is known. */
const FORGET_DAYS = 1;
const USUAL_DAYS = 7;
/** Of one site; what is beyond is known to be many. */
const TARGETS_MAX = 10_000;

/** Watches whom one site talks to: tells when it suddenly begins to talk to many, a little to each. */
export class FanOutWatch {
  private readonly settings: AnomalySettings;
  /** target → last slot that it was talked to. */
  private readonly lastSlot = new Map<string, number>();
  private readonly opened = new Map<string, number>();
  /** Opened targets in each slot of the newest window. */
  private readonly counts: number[] = [];
  private slot = -1;
  private usual = 0;
  private meanMbps = 0;
  private isOn = false;

  constructor(settings: AnomalySettings) {
    this.settings = settings;
  }

  /** @param targets  those with traffic in this slot  @param totalMbps  all that the site sent; null: nobody reported it */
  step(targets: readonly Target[], totalMbps: number | null): FanOut | null {
    this.slot += 1;
    if (totalMbps === null) return null;
    const { slotsPerDay } = this.settings;
    const windowSlots = anomalyWindows(this.settings).long;
    const isKnown = this.slot >= FORGET_DAYS * slotsPerDay;
    for (const { name } of targets) {
      const last = this.lastSlot.get(name) ?? Number.NEGATIVE_INFINITY;
      if (isKnown && this.slot - last > FORGET_DAYS * slotsPerDay) this.opened.set(name, this.slot);
      if (this.lastSlot.size < TARGETS_MAX || this.lastSlot.has(name)) this.lastSlot.set(name, this.slot);
    }
    for (const [name, slot] of this.opened) if (this.slot - slot >= windowSlots) this.opened.delete(name);
    this.forgetOld();
    const found = this.test(targets);
    // what opens slowly is compared with what was before it began, not with itself
    this.counts.push(found === null ? this.opened.size : 0);
    const before = this.counts.length > windowSlots ? this.counts.shift()! : 0;
    this.usual = Math.max(before, this.usual * 2 ** (-1 / (USUAL_DAYS * slotsPerDay)));
    this.meanMbps += (totalMbps - this.meanMbps) / Math.min(this.slot + 1, slotsPerDay);
    this.isOn = found !== null;
    return found;
  }

  private test(targets: readonly Target[]): FanOut | null {
    const mbps = targets.reduce((sum, target) => sum + (this.opened.has(target.name) ? (target.mbps ?? 0) : 0), 0);
    const bound = Math.max(OPENED_MIN, USUAL_FACTOR * this.usual);
    const isMany = this.opened.size >= (this.isOn ? bound / 2 : bound);
    return isMany && mbps <= TRAFFIC_SHARE_MAX * this.meanMbps ? { score: this.opened.size / bound, opened: [...this.opened.keys()], mbps } : null;
  }

  private forgetOld(): void {
    if (this.slot % this.settings.slotsPerDay !== 0) return;
    for (const [name, slot] of this.lastSlot) if (this.slot - slot > (FORGET_DAYS + USUAL_DAYS) * this.settings.slotsPerDay) this.lastSlot.delete(name);
  }
}
