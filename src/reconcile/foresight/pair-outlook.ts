import type { ReplayModel, ReplaySpan } from '../../forecast/index.ts';
import type { Outlook } from './planned.ts';
import { sumOf, WORLD, type World } from './world.ts';

/** How one pair's tunnels follow what is expected of it; chosen pair by pair on the past. */
export interface PairSettings {
  /** Opens for P50 + s · (P95 − P50) of the slots soon, in the scale in which the model spreads its quantiles; null: for none. */
  openS: number | null;
  /** …and for what was seen last, were tunnels to be this full. */
  openFill: number;
  /** Keeps what was seen needs, were they to be this full, for so long… */
  keepFill: number;
  holdMs: number;
  /** …unless neither the forecast nor the hours ahead of a day and a week ago need it. */
  looksAhead: boolean;
}

/** What opens a tunnel looks at the slots until then, and at two at least: in the next one it comes late. */
const OPEN_AHEAD_MS = 15 * 60_000;
const OPEN_AHEAD_SLOTS = 2;
const FORECAST_MS = 60 * 60_000;
const DAY_MS = 24 * 3_600_000;
const LOOK_AHEAD_MS = 4 * 3_600_000;
/** What a closed tunnel must not be needed for: the forecast's P95, and this fullness with what came a day and a week ago. */
const LOOK_FILL = 0.85;

/** Steps ahead that forecasts are needed for, ascending; between them they are interpolated. */
export function replayHorizons(slotMs: number): number[] {
  return [...new Set([slotMs, OPEN_AHEAD_MS, FORECAST_MS].map((ms) => Math.max(1, Math.round(ms / slotMs))))].sort((one, other) => one - other);
}

/** By slot of a span, Mbit/s; `[0]` is what is said at its first origin. */
export interface PairSeries {
  p50: Float64Array;
  open: Float64Array;
  keep: Float64Array;
}

/** All that is known of one pair along a span, each slot's from nothing later: what settings are made of. */
export class PairSignals {
  readonly origins: number;
  private readonly world: World;
  private readonly span: ReplaySpan;
  private readonly pair: number;
  private readonly horizons: [number, ReplaySpan['of']['auto'] extends Map<number, infer F> ? F : never][];
  private readonly seen: Float64Array;
  private readonly ahead: Float64Array;

  constructor(world: World, span: ReplaySpan, model: ReplayModel, pair: number) {
    this.world = world;
    this.span = span;
    this.pair = pair;
    this.origins = span.origins;
    this.horizons = [...span.of[model]].sort(([one], [other]) => one - other);
    const sums = sumOf(world.pairs[pair]!, span.firstOrigin + span.origins);
    this.seen = Float64Array.from({ length: span.origins }, (_, index) => sums[span.firstOrigin + index]! || 0);
    this.ahead = this.mostLater(sums);
  }

  empty(): PairSeries {
    return { p50: this.median(), open: new Float64Array(this.origins), keep: new Float64Array(this.origins) };
  }

  /** What settings say at the slots [from, until) of the span. */
  write(settings: PairSettings, from: number, until: number, into: PairSeries): void {
    const scale = WORLD.fullAt / settings.openFill;
    const opening = settings.openS === null ? null : this.provision(settings.openS);
    const keep = this.keep(settings);
    for (let index = from; index < until; index++) {
      into.open[index] = Math.max(scale * this.seen[index]!, opening?.[index] ?? 0);
      into.keep[index] = keep[index]!;
    }
  }

  /** The most that is provided for in the slots soon. */
  provision(s: number): Float64Array {
    const opening = Math.max(OPEN_AHEAD_SLOTS, Math.round(OPEN_AHEAD_MS / this.world.slotMs));
    const last = Math.max(0, this.horizons.findLastIndex(([steps]) => steps <= opening));
    const next = this.horizons[last + 1];
    const share = next === undefined ? 0 : (opening - this.horizons[last]![0]) / (next[0] - this.horizons[last]![0]);
    const most = new Float64Array(this.origins);
    for (let index = 0; index < this.origins; index++) {
      for (let near = 0; near <= last; near++) most[index] = Math.max(most[index]!, this.quantile(near, index, s));
      if (share > 0) most[index] = Math.max(most[index]!, (1 - share) * this.quantile(last, index, s) + share * this.quantile(last + 1, index, s));
    }
    return most;
  }

  private median(): Float64Array {
    return Float64Array.from({ length: this.origins }, (_, index) => this.quantile(0, index, 0));
  }

  keep({ keepFill, holdMs, looksAhead }: Pick<PairSettings, 'keepFill' | 'holdMs' | 'looksAhead'>): Float64Array {
    const scale = WORLD.fullAt / keepFill;
    const held = slidingMost(this.seen, Math.max(1, Math.round(holdMs / this.world.slotMs)));
    return held.map((mbps, index) => {
      if (!looksAhead) return scale * mbps;
      let later = this.ahead[index]! * (WORLD.fullAt / LOOK_FILL);
      for (let near = 0; near < this.horizons.length; near++) later = Math.max(later, this.quantile(near, index, 1));
      return Math.min(scale * mbps, later);
    });
  }

  /** What came in the hours after this time a day ago, and a week ago. */
  private mostLater(sums: Float32Array): Float64Array {
    const ahead = Math.max(1, Math.round(LOOK_AHEAD_MS / this.world.slotMs));
    const day = Math.max(ahead, Math.round(DAY_MS / this.world.slotMs));
    return Float64Array.from({ length: this.origins }, (_, index) => {
      let most = 0;
      for (const days of [1, 7]) {
        const from = this.span.firstOrigin + index + 1 - days * day;
        for (let slot = Math.max(0, from); slot < from + ahead; slot++) most = Math.max(most, sums[slot]! || 0);
      }
      return most;
    });
  }

  private quantile(horizon: number, index: number, s: number): number {
    const { p50, p95, logScale } = this.horizons[horizon]![1];
    const at = index * this.world.pairs.length + this.pair;
    const [median, upper, scale] = [p50[at]!, p95[at]!, logScale?.[this.pair] ?? 0];
    if (scale <= 0) return Math.max(0, median + s * (upper - median));
    const low = Math.log1p(median / scale);
    return scale * Math.expm1(Math.max(0, low + s * (Math.log1p(upper / scale) - low)));
  }
}

/** What was chosen for each pair, at each slot of a span that begins at `firstOrigin`. */
export function seriesOutlook(firstOrigin: number, pairs: number, seriesAt: (index: number) => readonly PairSeries[]): (slot: number) => Outlook {
  const outlook: Outlook = { p50Mbps: new Float64Array(pairs), openMbps: new Float64Array(pairs), keepMbps: new Float64Array(pairs) };
  return (slot) => {
    const index = slot - firstOrigin;
    for (const [pair, { p50, open, keep }] of seriesAt(index).entries()) {
      outlook.p50Mbps[pair] = p50[index]!;
      outlook.openMbps[pair] = open[index]!;
      outlook.keepMbps[pair] = keep[index]!;
    }
    return outlook;
  };
}

/** The most of each value and those before it, `width` in all. */
export function slidingMost(values: Float64Array, width: number): Float64Array {
  const result = new Float64Array(values.length);
  const queue = new Int32Array(values.length);
  let [head, tail] = [0, 0];
  for (let index = 0; index < values.length; index++) {
    while (tail > head && values[queue[tail - 1]!]! <= values[index]!) tail -= 1;
    queue[tail++] = index;
    if (queue[head]! <= index - width) head += 1;
    result[index] = values[queue[head]!]!;
  }
  return result;
}
