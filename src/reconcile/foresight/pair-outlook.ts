import type { ReplayModel, ReplaySpan } from '../../forecast/index.ts';
import type { Outlook } from './planned.ts';
import { sumOf, WORLD, type World } from './world.ts';

/** How one pair's tunnels follow what is expected of it; chosen pair by pair on the past. */
export interface PairSettings {
  /** Whose forecasts. */
  model: ReplayModel;
  /** Opens for P50 + s · (P95 − P50) of the slots soon, in the scale in which the model spreads its quantiles; null: for none. */
  openS: number | null;
  /** …and for what was seen last, were tunnels to be this full… */
  openFill: number;
  /** …and for the most of so long, if it is longer than a slot: what waits for a person then outlives the burst that it was asked for, and is there for the next. */
  askMs: number;
  /** Keeps what was seen needs, were they to be this full, for so long… */
  keepFill: number;
  holdMs: number;
  /** …unless neither the forecast nor the hours ahead of a day and a week ago need it. */
  looksAhead: boolean;
}

/** What a setting opens for, and what it keeps tunnels for: the halves of it, which do not depend on each other. */
export type OpenSettings = Pick<PairSettings, 'model' | 'openS' | 'openFill' | 'askMs'>;
export type KeepSettings = Pick<PairSettings, 'model' | 'keepFill' | 'holdMs' | 'looksAhead'>;

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

type Horizon = readonly [steps: number, forecasts: ReplaySpan['of']['auto'] extends Map<number, infer F> ? F : never];

/** All that is known of one pair along a span, each slot's from nothing later: what settings are made of. Stretches are slots [from, until) of the span. */
export class PairSignals {
  readonly origins: number;
  private readonly world: World;
  private readonly span: ReplaySpan;
  private readonly pair: number;
  /** Ascending. */
  private readonly horizons: Record<ReplayModel, Horizon[]>;
  /** From the first slot of all until the last origin; unknown is 0. */
  private readonly seen: Float32Array;
  private readonly isUnknown: Uint8Array;

  constructor(world: World, span: ReplaySpan, pair: number) {
    this.world = world;
    this.span = span;
    this.pair = pair;
    this.origins = span.origins;
    const ascending = (model: ReplayModel): Horizon[] => [...span.of[model]].sort(([one], [other]) => one - other);
    this.horizons = { auto: ascending('auto'), ewma: ascending('ewma') };
    this.seen = sumOf(world.pairs[pair]!, span.firstOrigin + span.origins);
    this.isUnknown = Uint8Array.from(this.seen, (mbps) => (Number.isNaN(mbps) ? 1 : 0));
    for (let slot = 0; slot < this.seen.length; slot++) if (this.isUnknown[slot]) this.seen[slot] = 0;
  }

  empty(): PairSeries {
    return { p50: new Float64Array(this.origins), open: new Float64Array(this.origins), keep: new Float64Array(this.origins) };
  }

  /** What settings say in a stretch. */
  write(settings: PairSettings, from: number, until: number, into: PairSeries): void {
    for (let index = from; index < until; index++) into.p50[index] = this.quantile(settings.model, 0, index, 0);
    into.open.set(this.open(settings, from, until), from);
    into.keep.set(this.keep(settings, from, until), from);
  }

  open({ model, openS, openFill, askMs }: OpenSettings, from: number, until: number, provision = openS === null ? null : this.provision(model, openS, from, until)): Float64Array {
    const scale = WORLD.fullAt / openFill;
    const wanted = this.mostSeen(askMs, from, until).map((mbps, at) => Math.max(scale * mbps, provision?.[at] ?? 0));
    return this.whereUnknown(wanted, from, () => this.provision(model, 0, from, until));
  }

  /** The most that is provided for in the slots soon. */
  provision(model: ReplayModel, s: number, from: number, until: number): Float64Array {
    const horizons = this.horizons[model];
    const opening = Math.max(OPEN_AHEAD_SLOTS, Math.round(OPEN_AHEAD_MS / this.world.slotMs));
    const last = Math.max(0, horizons.findLastIndex(([steps]) => steps <= opening));
    const next = horizons[last + 1];
    const share = next === undefined ? 0 : (opening - horizons[last]![0]) / (next[0] - horizons[last]![0]);
    return Float64Array.from({ length: until - from }, (_, at) => {
      let most = 0;
      for (let near = 0; near <= last; near++) most = Math.max(most, this.quantile(model, near, from + at, s));
      return share > 0 ? Math.max(most, (1 - share) * this.quantile(model, last, from + at, s) + share * this.quantile(model, last + 1, from + at, s)) : most;
    });
  }

  keep({ model, keepFill, holdMs, looksAhead }: KeepSettings, from: number, until: number): Float64Array {
    const kept = this.keepSeen({ model, keepFill, holdMs, looksAhead }, from, until);
    return this.whereUnknown(kept, from, () => this.provision(model, 1, from, until));
  }

  private keepSeen({ model, keepFill, holdMs, looksAhead }: KeepSettings, from: number, until: number): Float64Array {
    const scale = WORLD.fullAt / keepFill;
    const held = this.mostSeen(holdMs, from, until);
    if (!looksAhead) return held.map((mbps) => scale * mbps);
    const ahead = this.mostLater(from, until);
    return held.map((mbps, at) => {
      let later = ahead[at]! * (WORLD.fullAt / LOOK_FILL);
      for (let near = 0; near < this.horizons[model].length; near++) later = Math.max(later, this.quantile(model, near, from + at, 1));
      return Math.min(scale * mbps, later);
    });
  }

  /** While nobody measures a pair, it is opened for what is forecast in the median, and what even P95 does not need is closed: what was seen last says less by the hour. */
  private whereUnknown(series: Float64Array, from: number, blind: () => Float64Array): Float64Array {
    const first = this.span.firstOrigin + from;
    if (!this.isUnknown.subarray(first, first + series.length).includes(1)) return series;
    const instead = blind();
    return series.map((mbps, at) => (this.isUnknown[first + at] ? instead[at]! : mbps));
  }

  /** The most of so long until then, one slot at least. */
  private mostSeen(durationMs: number, from: number, until: number): Float64Array {
    const width = Math.max(1, Math.round(durationMs / this.world.slotMs));
    const first = this.span.firstOrigin + from;
    const before = Math.min(first, width - 1);
    return slidingMost(Float64Array.from(this.seen.subarray(first - before, this.span.firstOrigin + until)), width).subarray(before);
  }

  /** What came in the hours after this time a day ago, and a week ago. */
  private mostLater(from: number, until: number): Float64Array {
    const ahead = Math.max(1, Math.round(LOOK_AHEAD_MS / this.world.slotMs));
    const day = Math.max(ahead, Math.round(DAY_MS / this.world.slotMs));
    return Float64Array.from({ length: until - from }, (_, at) => {
      let most = 0;
      for (const days of [1, 7]) {
        const start = this.span.firstOrigin + from + at + 1 - days * day;
        for (let slot = Math.max(0, start); slot < start + ahead; slot++) most = Math.max(most, this.seen[slot]!);
      }
      return most;
    });
  }

  private quantile(model: ReplayModel, horizon: number, index: number, s: number): number {
    const { p50, p95, logScale } = this.horizons[model][horizon]![1];
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
