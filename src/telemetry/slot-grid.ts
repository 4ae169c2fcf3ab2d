import type { DemandSeries, Sample } from '../model/index.ts';
import type { ObserveQuery } from './store.ts';
import { eachSlot, type SlotReport, type SlotTotal } from './slots.ts';
import { FUTURE_MAX_MS } from './plausible.ts';
import { getOrSet } from './tunnel-usage.ts';

interface NodeReports {
  /** Learned from traffic: a node counts what its own site's hosts offer. */
  site: string | null;
  /** 1 where the node reported anything in the slot; a ring as the series. */
  reported: Uint8Array;
  untilAt: number;
}

/**
 * Demand in slots of one length, as rings of typed arrays: adding a sample and reading a slot cost the same however
 * long the history is. Covers `capacity` slots back from the newest one seen; older samples are passed over.
 */
export class SlotGrid {
  readonly slotMs: number;
  /** Slots that can be read. */
  readonly slots: number;
  readonly #ringSlots: number;
  readonly #series = new Map<string, Float64Array>();
  /** What of it shaping dropped; only of those of which it ever did. */
  readonly #dropped = new Map<string, Float64Array>();
  readonly #nodes = new Map<string, NodeReports>();
  #newest: number;

  constructor(slotMs: number, slots: number, now: number) {
    this.slotMs = slotMs;
    this.slots = slots;
    // A node's clock may run ahead within the permitted bound; that must not push readable slots out of the ring.
    this.#ringSlots = slots + Math.ceil(FUTURE_MAX_MS / slotMs) + 2;
    this.#newest = Math.floor(now / slotMs);
  }

  get oldestSlot(): number {
    return this.#newest - this.#ringSlots + 1;
  }

  /** Fills an empty grid from the log. */
  load(totals: readonly SlotTotal[], reports: readonly SlotReport[]): void {
    for (const total of totals) {
      this.#nodeOf(total.node).site = total.from;
      this.#addBytes(this.#series, total, total.slot, total.bytes);
      if (total.droppedBytes > 0) this.#addBytes(this.#dropped, total, total.slot, total.droppedBytes);
    }
    for (const report of reports) this.#addReport(report.node, report.slot, report.untilAt);
  }

  add(sample: Sample): void {
    if (sample.kind === 'traffic') this.#nodeOf(sample.node).site = sample.from;
    eachSlot(sample.sampledAt, sample.windowMs, this.slotMs, (slot, share) => {
      this.#addReport(sample.node, slot, sample.sampledAt);
      if (sample.kind !== 'traffic') return;
      this.#addBytes(this.#series, sample, slot, sample.offeredBytes * share);
      if (sample.droppedBytes > 0) this.#addBytes(this.#dropped, sample, slot, sample.droppedBytes * share);
    });
  }

  /** True when all slots of the query are in the ring, or lie before everything it ever held. */
  covers(query: ObserveQuery): boolean {
    const last = Math.floor(query.now / this.slotMs) - 1;
    return query.slots <= this.slots && last - query.slots + 1 >= this.oldestSlot;
  }

  read(query: ObserveQuery): DemandSeries[] {
    const last = Math.floor(query.now / this.slotMs) - 1;
    this.#advance(last);
    const reportsOf = new Map<string, NodeReports[]>();
    for (const node of this.#nodes.values()) {
      if (node.site !== null) getOrSet(reportsOf, node.site, () => []).push(node);
    }
    return query.pairs.map(({ from, to, classId }) => {
      const key = seriesKey({ from, to, classId });
      const nodes = reportsOf.get(from) ?? [];
      const valuesOf = (ring: Float64Array | undefined): (number | null)[] =>
        Array.from({ length: query.slots }, (_, index) => this.#valueAt(ring, nodes, last - query.slots + 1 + index, index === query.slots - 1));
      const dropped = this.#dropped.get(key);
      const droppedMbps = dropped ? valuesOf(dropped).map((value) => value ?? 0) : [];
      return { from, to, classId, mbps: valuesOf(this.#series.get(key)), ...(droppedMbps.some((value) => value > 0) ? { droppedMbps } : {}) };
    });
  }

  #valueAt(ring: Float64Array | undefined, nodes: readonly NodeReports[], slot: number, isLast: boolean): number | null {
    if (slot < this.oldestSlot) return null;
    const cell = modulo(slot, this.#ringSlots);
    if (!nodes.some((node) => node.reported[cell] === 1)) return null;
    const bytes = ring?.[cell] ?? 0;
    // The window that ends the last slot may still be on its way: what is here stands for the part that was reported.
    const coveredMs = isLast ? Math.min(this.slotMs, Math.max(...nodes.map((node) => node.untilAt)) - slot * this.slotMs) : this.slotMs;
    const countedMs = coveredMs >= this.slotMs / 2 ? coveredMs : this.slotMs;
    return (bytes * 8) / countedMs / 1000;
  }

  #addBytes(rings: Map<string, Float64Array>, pair: Pair, slot: number, bytes: number): void {
    if (!this.#isInRing(slot)) return;
    const ring = getOrSet(rings, seriesKey(pair), () => new Float64Array(this.#ringSlots));
    const cell = modulo(slot, this.#ringSlots);
    ring[cell] = ring[cell]! + bytes;
  }

  #addReport(name: string, slot: number, untilAt: number): void {
    const node = this.#nodeOf(name);
    node.untilAt = Math.max(node.untilAt, untilAt);
    if (this.#isInRing(slot)) node.reported[modulo(slot, this.#ringSlots)] = 1;
  }

  #nodeOf(name: string): NodeReports {
    return getOrSet(this.#nodes, name, () => ({ site: null, reported: new Uint8Array(this.#ringSlots), untilAt: 0 }));
  }

  #isInRing(slot: number): boolean {
    this.#advance(slot);
    return slot >= this.oldestSlot;
  }

  /** Makes `slot` the newest, emptying the cells of the slots that fall out of the ring. */
  #advance(slot: number): void {
    if (slot <= this.#newest) return;
    const from = Math.max(this.#newest + 1, slot - this.#ringSlots + 1);
    for (let fresh = from; fresh <= slot; fresh++) {
      const cell = modulo(fresh, this.#ringSlots);
      for (const rings of [this.#series, this.#dropped]) for (const ring of rings.values()) ring[cell] = 0;
      for (const node of this.#nodes.values()) node.reported[cell] = 0;
    }
    this.#newest = slot;
  }
}

interface Pair {
  from: string;
  to: string;
  classId: string;
}

function seriesKey({ from, to, classId }: Pair): string {
  return `${from}>${to}#${classId}`;
}

function modulo(value: number, by: number): number {
  return ((value % by) + by) % by;
}
