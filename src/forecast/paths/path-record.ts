import type { PathSeries } from '../../model/index.ts';
import { cleanSeries, type PathTable } from './path-table.ts';

/** The past of all paths, as long as it was told to be at most, moved on slot by slot. */
export class PathRecord {
  readonly #slots: number;
  #table: PathTable;

  /** @param slots  kept at most */
  constructor(slots: number, slotMs: number, slotsPerDay: number, endAt: number) {
    this.#slots = slots;
    this.#table = { slotMs, slotsPerDay, startAt: endAt, length: 0, series: [] };
  }

  /** Where the record ends, epoch ms. */
  get endAt(): number {
    return this.#table.startAt + this.#table.length * this.#table.slotMs;
  }

  get table(): PathTable {
    return this.#table;
  }

  /**
   * Takes up series that end at `endAt`, a multiple of the slot; what they say of slots that are known already is put in
   * their place. Paths of which nothing is left are forgotten, and so are slots before the first of which anything is known.
   */
  add(series: readonly PathSeries[], slots: number, endAt: number): void {
    const { slotMs, slotsPerDay } = this.#table;
    const startAt = Math.max(endAt - this.#slots * slotMs, Math.min(this.#table.length === 0 ? endAt : this.#table.startAt, endAt - slots * slotMs));
    const length = Math.round((Math.max(endAt, this.endAt) - startAt) / slotMs);
    const moved = new Map(this.#table.series.map((each) => [each.path, moveSeries(each, length, Math.round((this.#table.startAt - startAt) / slotMs))]));
    const offset = Math.round((endAt - startAt) / slotMs) - slots;
    for (const fresh of series.map(cleanSeries)) {
      const target = moved.get(fresh.path) ?? moveSeries({ ...fresh, latencyMs: NONE, jitterMs: NONE, lossRatio: NONE }, length, 0);
      moved.set(fresh.path, target);
      for (const figure of ['latencyMs', 'jitterMs', 'lossRatio'] as const) {
        for (const [index, value] of fresh[figure].entries()) if (offset + index >= 0 && !Number.isNaN(value)) target[figure][offset + index] = value;
      }
    }
    const begins = new Map([...moved.values()].map((each) => [each, firstKnown(each)]));
    const kept = [...begins].flatMap(([each, begin]) => (begin < length ? [each] : []));
    const first = Math.min(length, ...begins.values());
    this.#table = { slotMs, slotsPerDay, startAt: startAt + first * slotMs, length: length - first, series: kept.map((each) => moveSeries(each, length - first, -first)).sort((left, right) => (left.path < right.path ? -1 : 1)) };
  }
}

const NONE = new Float32Array(0);

function moveSeries({ path, latencyMs, jitterMs, lossRatio }: PathSeries, length: number, by: number): PathSeries {
  const moved = (values: Float32Array): Float32Array => {
    const copy = new Float32Array(length).fill(Number.NaN);
    for (let at = Math.max(0, -by); at < values.length && at + by < length; at++) copy[at + by] = values[at]!;
    return copy;
  };
  return { path, latencyMs: moved(latencyMs), jitterMs: moved(jitterMs), lossRatio: moved(lossRatio) };
}

/** The first slot of which anything is known. */
function firstKnown({ latencyMs, jitterMs, lossRatio }: PathSeries): number {
  for (let slot = 0; slot < latencyMs.length; slot++) if (!Number.isNaN(latencyMs[slot]!) || !Number.isNaN(jitterMs[slot]!) || !Number.isNaN(lossRatio[slot]!)) return slot;
  return Number.POSITIVE_INFINITY;
}
