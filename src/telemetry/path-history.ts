import { sortedBy } from '../base/index.ts';
import type { PathId, PathSeries } from '../model/index.ts';

/** What one end measured of a path in one slot; null where it did not know. */
export interface PathSlot {
  path: string;
  slot: number;
  latencyMs: number | null;
  jitterMs: number | null;
  lossForwardRatio: number | null;
  lossReverseRatio: number | null;
}

/** Paths times slots that one answer holds: 72 MB. */
export const PATH_CELLS_MAX = 6_000_000;

/** Gathers slots of paths into series; of what several ends say of a slot the worse figure stays. */
export class PathSeriesBuilder {
  readonly #firstSlot: number;
  readonly #slots: number;
  readonly #series = new Map<string, PathSeries>();

  constructor(firstSlot: number, slots: number) {
    this.#firstSlot = firstSlot;
    this.#slots = slots;
  }

  add({ path, slot, latencyMs, jitterMs, lossForwardRatio, lossReverseRatio }: PathSlot): void {
    const series = this.#of(path);
    const at = slot - this.#firstSlot;
    if (!series || at < 0 || at >= this.#slots) return;
    keepWorse(series.latencyMs, at, latencyMs);
    keepWorse(series.jitterMs, at, jitterMs);
    keepWorse(series.lossRatio, at, lossForwardRatio);
    keepWorse(series.lossRatio, at, lossReverseRatio);
  }

  /** By path. */
  series(): PathSeries[] {
    return sortedBy([...this.#series.values()], ({ path }) => path);
  }

  #of(path: string): PathSeries | undefined {
    const known = this.#series.get(path);
    if (known || (this.#series.size + 1) * this.#slots > PATH_CELLS_MAX) return known;
    const unknown = (): Float32Array => new Float32Array(this.#slots).fill(Number.NaN);
    const made: PathSeries = { path: path as PathId, latencyMs: unknown(), jitterMs: unknown(), lossRatio: unknown() };
    this.#series.set(path, made);
    return made;
  }
}

function keepWorse(values: Float32Array, at: number, value: number | null): void {
  if (value !== null && !(values[at]! >= value)) values[at] = value;
}
