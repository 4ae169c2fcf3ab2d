import type { ReplayModel, ReplaySpan } from '../../forecast/index.ts';
import { PairSignals, slidingMost, type KeepSettings, type OpenSettings, type PairSettings } from './pair-outlook.ts';
import type { ReactiveSettings } from './reactive.ts';
import { sumOf, unitsFor, WORLD, type World } from './world.ts';

/** What a pair's tunnels came to: four numbers a trial. */
export const TALLY = { unservedMbit: 0, slaMinutes: 1, hours: 2, changes: 3, width: 4 } as const;

const HOUR_MS = 3_600_000;
const EVERY_UNIT = 2 ** 31 - 1;
const OPEN_S = [-0.3, 0, 0.2, 0.4, 0.7, 1, 1.5];
const OPEN_FILLS = [0.8, 0.9, 0.95];
/** What waits for a person is asked for so long after it was needed last; there with fewer of the others: who has such bursts is foreseen badly anyway. */
const ASK_HOURS = [0.5, 1, 3];
const ASK_S = [0.4, 1];
const ASK_FILL = 0.9;
const KEEP_FILLS = [0.7, 0.85, 0.95];
const HOLD_HOURS = [0.25, 1, 3, 6, 12, 24];

/** All settings that a pair may have, as pairs of what opens and what keeps. */
export class SettingsGrid {
  readonly opens: readonly OpenSettings[];
  readonly keeps: readonly KeepSettings[];
  /** By setting. */
  readonly openOf: readonly number[];
  readonly keepOf: readonly number[];

  /** @param models  whose forecasts a pair may be planned on; where none matters the first is named */
  constructor(models: readonly ReplayModel[]) {
    this.opens = [...opensWithout(models[0]!), ...models.flatMap(opensWith)];
    this.keeps = models.flatMap((model, at) => (at === 0 ? [false, true] : [true]).flatMap((looksAhead) => HOLD_HOURS.flatMap((hours) => KEEP_FILLS.map((keepFill) => ({ model, keepFill, holdMs: hours * HOUR_MS, looksAhead })))));
    const both = this.opens.flatMap((open, openAt) => this.keeps.flatMap((keep, keepAt) => (!keep.looksAhead || keep.model === open.model ? [[openAt, keepAt] as const] : [])));
    this.openOf = both.map(([openAt]) => openAt);
    this.keepOf = both.map(([, keepAt]) => keepAt);
  }

  get size(): number {
    return this.openOf.length;
  }

  settings(at: number): PairSettings {
    return { ...this.keeps[this.keepOf[at]!]!, ...this.opens[this.openOf[at]!]! };
  }
}

function opensWithout(model: ReplayModel): OpenSettings[] {
  return [...OPEN_FILLS.map((openFill) => ({ model, openS: null, openFill, askMs: 0 })), ...ASK_HOURS.map((hours) => ({ model, openS: null, openFill: ASK_FILL, askMs: hours * HOUR_MS }))];
}

function opensWith(model: ReplayModel): OpenSettings[] {
  return [...OPEN_S.flatMap((openS) => OPEN_FILLS.map((openFill) => ({ model, openS, openFill, askMs: 0 }))), ...ASK_S.flatMap((openS) => ASK_HOURS.map((hours) => ({ model, openS, openFill: ASK_FILL, askMs: hours * HOUR_MS })))];
}

/** One pair under all settings at once, and under the rule that sets the budget, along a span; alone, without uplinks, and with approvals that take their median. */
export class PairTrials {
  readonly demand: Float32Array;
  readonly signals: PairSignals;
  private readonly world: World;
  private readonly grid: SettingsGrid;
  private readonly rule: ReturnType<typeof unitsOfRule>;

  constructor(world: World, span: ReplaySpan, grid: SettingsGrid, pair: number, rule: ReactiveSettings) {
    this.world = world;
    this.grid = grid;
    this.signals = new PairSignals(world, span, pair);
    this.demand = sumOf(world.pairs[pair]!, span.firstOrigin + span.origins + 1).subarray(span.firstOrigin);
    this.rule = unitsOfRule(world, this.demand.subarray(0, span.origins), rule);
  }

  /**
   * Goes on with decisions [from, until) of the span and adds to the tallies.
   * @param units    tunnels by setting; goes on from there
   * @param tallies  by [setting × TALLY.width]
   */
  tryAll(from: number, until: number, units: Int32Array, tallies: Float64Array): void {
    const { world, grid, signals, demand } = this;
    const provisions = new Map<string, Float64Array>();
    const wanted = grid.opens.map((open) => {
      if (open.openS === null) return this.inUnits(signals.open(open, from, until));
      const key = `${open.model} ${open.openS}`;
      const provision = provisions.get(key) ?? signals.provision(open.model, open.openS, from, until);
      provisions.set(key, provision);
      return this.inUnits(signals.open(open, from, until, provision));
    });
    const kept = grid.keeps.map((keep) => this.inUnits(signals.keep(keep, from, until)));
    const stretch = demand.subarray(from, until + 1);
    for (let at = 0; at < grid.size; at++) units[at] = follow(world, stretch, wanted[grid.openOf[at]!]!, kept[grid.keepOf[at]!]!, 0, until - from, units[at]!, tallies, TALLY.width * at);
  }

  tryRule(from: number, until: number, units: number, tally: Float64Array): number {
    return follow(this.world, this.demand, this.rule.wanted, this.rule.kept, from, until, units, tally, 0);
  }

  private inUnits(mbps: Float64Array): Int32Array {
    return Int32Array.from(mbps, (each) => unitsFor(each, this.world.unitMbps));
  }
}

/** One pair along all its slots under a threshold rule. */
export function followRule(world: World, demand: Float32Array, rule: ReactiveSettings, tally: Float64Array): void {
  const { wanted, kept } = unitsOfRule(world, demand, rule);
  follow(world, demand, wanted, kept, 0, demand.length - 1, unitsFor(demand[0]! || 0, world.unitMbps), tally, 0);
}

/** It sees load alone: where that is unknown, NaN, it leaves a pair's tunnels as they are. */
function unitsOfRule(world: World, demand: Float32Array, { openAbove, closeBelow, holdMs }: ReactiveSettings): { wanted: Int32Array; kept: Int32Array } {
  const seen = Float64Array.from(demand, (mbps) => mbps || 0);
  const held = slidingMost(seen, Math.max(1, Math.round(holdMs / world.slotMs)));
  const inUnits = (mbps: Float64Array, fill: number): Int32Array => Int32Array.from(mbps, (each) => unitsFor((each * WORLD.fullAt) / fill, world.unitMbps));
  return { wanted: inUnits(seen, openAbove), kept: inUnits(held, closeBelow).map((units, index) => (Number.isNaN(demand[index]!) ? EVERY_UNIT : units)) };
}

/** `wanted[i]` and `kept[i]` are said after slot i and hold in slot i + 1; a rise beyond what one decision may open waits for a person, as it does for the pair that rises most. */
export function follow(world: World, demand: Float32Array, wanted: ArrayLike<number>, kept: ArrayLike<number>, from: number, until: number, units: number, tally: Float64Array, at: number): number {
  const slotSeconds = world.slotMs / 1000;
  const reported = Math.min(WORLD.reportedAfterMs / 1000, slotSeconds / 2);
  const lateSeconds = Math.min(slotSeconds, reported + WORLD.setUpMs / 1000);
  const unit = world.unitMbps;
  const full = WORLD.fullAt * unit * (1 + 1e-12);
  const { perDecision, perHour } = world.autoApply;
  const closeMost = Math.max(1, Math.min(perDecision, Math.round((perHour * world.slotMs) / 3_600_000)));
  const approvalSlots = Math.ceil(WORLD.approvalMedianMs / world.slotMs);
  let [unservedMbit, slaSeconds, tunnelSeconds, changes, waited] = [0, 0, 0, 0, 0];
  for (let index = from; index < until; index++) {
    const least = wanted[index]!;
    const most = kept[index]!;
    const stay = units < most ? units : most;
    let next = least > stay ? least : stay;
    // what one decision may not open waits for a person
    if (next - units > perDecision && waited < approvalSlots) {
      waited += 1;
      next = units + perDecision;
    } else waited = 0;
    if (units - next > closeMost) next = units - closeMost;
    const late = next > units ? lateSeconds : reported;
    changes += next > units ? next - units : units - next;
    tunnelSeconds += late * units + (slotSeconds - late) * next;
    const mbps = demand[index + 1]!;
    if (mbps > full * units) {
      slaSeconds += late;
      if (mbps > unit * units) unservedMbit += late * (mbps - unit * units);
    }
    if (mbps > full * next) {
      slaSeconds += slotSeconds - late;
      if (mbps > unit * next) unservedMbit += (slotSeconds - late) * (mbps - unit * next);
    }
    units = next;
  }
  tally[at + TALLY.unservedMbit]! += unservedMbit;
  tally[at + TALLY.slaMinutes]! += slaSeconds / 60;
  tally[at + TALLY.hours]! += tunnelSeconds / 3600;
  tally[at + TALLY.changes]! += changes;
  return units;
}
