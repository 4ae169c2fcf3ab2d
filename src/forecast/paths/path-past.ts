import { severityAt, sharedUplinks, type PathBounds, type PathTable } from './path-table.ts';

/** What is to be forecast: whether a bound is broken in any of the next `horizon` slots. */
export interface PathTask {
  table: PathTable;
  /** One a class. */
  bounds: readonly PathBounds[];
  /** Slots. */
  horizon: number;
}

/** Of flags and labels: 0 kept, 1 broken. */
export const UNKNOWN = 2;

/** Least share of a horizon's slots that must be known before it counts as kept. */
const KNOWN_MIN = 0.5;

/** Windows of a horizon's length that a wider group's rate counts for, when a narrower one's is made. */
const PRIOR_WINDOWS = 3;

/**
 * What forecasts look up in the past of all paths: for each path and bounds which slots broke them and which horizons
 * did, and the same counted over the paths of an uplink and over all. Who asks at slot t gets what lies before t only:
 * slots up to t − 1, and horizons that are over by then.
 */
export class PathPast {
  readonly task: PathTask;
  readonly #uplinksOfPath: number[][];
  /** [bounds][path] → for each slot whether a bound was broken in it: 0, 1 or `UNKNOWN`. */
  readonly broken: Uint8Array[][];
  /** [bounds][path] → for each slot whether a bound was broken in the horizon that begins with it; likewise. */
  readonly labels: Uint8Array[][];
  readonly #own: Tally;
  readonly #pool: Tally[];
  /** [bounds][uplink] */
  readonly #uplinks: Tally[][];

  constructor(task: PathTask) {
    this.task = task;
    const { table, bounds, horizon } = task;
    const { count, ofPath } = sharedUplinks(table);
    this.#uplinksOfPath = ofPath;
    this.broken = bounds.map((each) => table.series.map((series) => brokenSlots(each, series, table.length)));
    this.labels = this.broken.map((paths) => paths.map((flags) => labelsOf(flags, horizon)));
    this.#own = new Tally(table.length);
    this.#pool = bounds.map(() => new Tally(table.length));
    this.#uplinks = bounds.map(() => Array.from({ length: count }, () => new Tally(table.length)));
    for (const [index, paths] of this.broken.entries()) {
      for (const [path, flags] of paths.entries()) {
        const labels = this.labels[index]![path]!;
        this.#pool[index]!.add(flags, labels);
        for (const uplink of ofPath[path]!) this.#uplinks[index]![uplink]!.add(flags, labels);
      }
      this.#pool[index]!.sumUp();
      for (const tally of this.#uplinks[index]!) tally.sumUp();
    }
  }

  /** One path under one of the bounds; good until the next one is asked for. */
  view(bounds: number, path: number): PathView {
    const own = this.#own;
    own.clear();
    own.add(this.broken[bounds]![path]!, this.labels[bounds]![path]!);
    own.sumUp();
    const uplinks = this.#uplinksOfPath[path]!.map((uplink) => this.#uplinks[bounds]![uplink]!);
    return new PathView(this.task.horizon, own, uplinks, this.#pool[bounds]!);
  }
}

export class PathView {
  readonly #horizon: number;
  readonly #own: Tally;
  readonly #uplinks: Tally[];
  readonly #pool: Tally;

  constructor(horizon: number, own: Tally, uplinks: Tally[], pool: Tally) {
    this.#horizon = horizon;
    this.#own = own;
    this.#uplinks = uplinks;
    this.#pool = pool;
  }

  /** Known horizons that are over at `slot`, those that overlap counted once. */
  windowsSeen(slot: number): number {
    return this.#own.known[this.#labelsBefore(slot)]! / this.#horizon;
  }

  /**
   * Share of the horizons that are over at `slot` in which a bound was broken: of the path, drawn to that of the paths it
   * shares uplinks with, drawn to that of all, drawn to one half, each as if `PRIOR_WINDOWS` more had been seen.
   */
  rate(slot: number): number {
    const until = this.#labelsBefore(slot);
    const drawn = (tally: Tally, prior: number): number => (tally.events[until]! / this.#horizon + PRIOR_WINDOWS * prior) / (tally.known[until]! / this.#horizon + PRIOR_WINDOWS);
    const pool = drawn(this.#pool, 0.5);
    const shared = this.#uplinks.length === 0 ? pool : this.#uplinks.reduce((sum, uplink) => sum + drawn(uplink, pool), 0) / this.#uplinks.length;
    return drawn(this.#own, shared);
  }

  /** Share of the last `slots` slots before `slot` that broke the bounds; NaN when none is known. */
  brokenShare(slot: number, slots: number): number {
    return share(this.#own, Math.max(0, slot - slots), slot);
  }

  knownShare(slot: number, slots: number): number {
    return (this.#own.measured[slot]! - this.#own.measured[Math.max(0, slot - slots)]!) / slots;
  }

  /** Share of broken slots of the other paths of an uplink from `from` until before `until`, of the worse uplink; NaN when there are none. */
  neighbours(from: number, until: number): number {
    if (from < 0 || this.#uplinks.length === 0) return Number.NaN;
    let worst = Number.NaN;
    for (const uplink of this.#uplinks) {
      const others = share(uplink, from, until, this.#own);
      if (others >= 0 && !(others <= worst)) worst = others;
    }
    return worst;
  }

  #labelsBefore(slot: number): number {
    return Math.max(0, slot - this.#horizon + 1);
  }
}

function share(tally: Tally, from: number, until: number, without: Tally | null = null): number {
  const count = (figure: 'broken' | 'measured'): number => tally[figure][until]! - tally[figure][from]! - (without ? without[figure][until]! - without[figure][from]! : 0);
  const measured = count('measured');
  return measured > 0 ? count('broken') / measured : Number.NaN;
}

/** A flag's or label's two counts in one number: what is known, and `BROKEN` times what is broken. */
const BROKEN = 65_536;
const COUNTS = Int32Array.of(1, 1 + BROKEN, 0);

/** How many slots and horizons were broken, and known, before each slot; after `sumUp`. One longer than the table; of 32,767 paths at most. */
class Tally {
  readonly broken: Int32Array;
  readonly measured: Int32Array;
  readonly events: Int32Array;
  readonly known: Int32Array;
  /** By slot, of all that were added. */
  readonly #flags: Int32Array;
  readonly #labels: Int32Array;

  constructor(length: number) {
    this.broken = new Int32Array(length + 1);
    this.measured = new Int32Array(length + 1);
    this.events = new Int32Array(length + 1);
    this.known = new Int32Array(length + 1);
    this.#flags = new Int32Array(length);
    this.#labels = new Int32Array(length);
  }

  clear(): void {
    this.#flags.fill(0);
    this.#labels.fill(0);
  }

  add(flags: Uint8Array, labels: Uint8Array): void {
    const [flagCounts, labelCounts] = [this.#flags, this.#labels];
    for (let slot = 0; slot < flags.length; slot++) {
      flagCounts[slot]! += COUNTS[flags[slot]!]!;
      labelCounts[slot]! += COUNTS[labels[slot]!]!;
    }
  }

  sumUp(): void {
    const { broken, measured, events, known } = this;
    const [flagCounts, labelCounts] = [this.#flags, this.#labels];
    for (let slot = 0; slot < flagCounts.length; slot++) {
      const [flag, label] = [flagCounts[slot]!, labelCounts[slot]!];
      broken[slot + 1] = broken[slot]! + (flag >>> 16);
      measured[slot + 1] = measured[slot]! + (flag & 0xffff);
      events[slot + 1] = events[slot]! + (label >>> 16);
      known[slot + 1] = known[slot]! + (label & 0xffff);
    }
  }
}

function brokenSlots(bounds: PathBounds, series: PathTable['series'][number], length: number): Uint8Array {
  const flags = new Uint8Array(length);
  for (let slot = 0; slot < length; slot++) {
    const severity = severityAt(series, bounds, slot);
    flags[slot] = severity > 1 ? 1 : severity >= 0 ? 0 : UNKNOWN;
  }
  return flags;
}

function labelsOf(flags: Uint8Array, horizon: number): Uint8Array {
  const labels = new Uint8Array(flags.length).fill(UNKNOWN);
  let broken = 0;
  let known = 0;
  for (let slot = flags.length - 1; slot >= 0; slot--) {
    if (flags[slot] === 1) broken++;
    if (flags[slot] !== UNKNOWN) known++;
    const leaving = slot + horizon < flags.length ? flags[slot + horizon]! : UNKNOWN;
    if (leaving === 1) broken--;
    if (leaving !== UNKNOWN) known--;
    if (slot + horizon > flags.length) continue; // not over yet
    if (broken > 0) labels[slot] = 1;
    else if (known >= KNOWN_MIN * horizon) labels[slot] = 0;
  }
  return labels;
}
