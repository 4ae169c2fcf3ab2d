import type { ReplayModel, ReplaySpan } from '../../forecast/index.ts';
import { PairSignals, slidingMost, type PairSettings } from './pair-outlook.ts';
import type { ReactiveSettings } from './reactive.ts';
import { sumOf, unitsFor, WORLD, type World } from './world.ts';

/** What a pair's tunnels came to: four numbers a trial. */
export const TALLY = { unservedMbit: 0, slaMinutes: 1, hours: 2, changes: 3, width: 4 } as const;

const OPEN_S = [null, -0.3, 0, 0.2, 0.4, 0.7, 1, 1.5];
const OPEN_FILLS = [0.8, 0.9, 0.95];
const KEEP_FILLS = [0.7, 0.85, 0.95];
const HOLD_HOURS = [0.25, 1, 3, 6, 12, 24];
/** What Int16Array holds: half the memory of all settings. */
const UNITS_MAX = 32_767;
const LOOKS = [false, true];

const OPENS = OPEN_S.flatMap((openS) => OPEN_FILLS.map((openFill) => ({ openS, openFill })));
const KEEPS = LOOKS.flatMap((looksAhead) => HOLD_HOURS.flatMap((hours) => KEEP_FILLS.map((keepFill) => ({ keepFill, holdMs: hours * 3_600_000, looksAhead }))));

/** All settings that a pair may have. */
export const PAIR_SETTINGS: readonly PairSettings[] = OPENS.flatMap((open) => KEEPS.map((keep) => ({ ...open, ...keep })));

/** One pair under all settings at once, and under the rule that sets the budget, along a span; alone, without uplinks, and with approvals that take their median. */
export class PairTrials {
  readonly demand: Float32Array;
  readonly signals: PairSignals;
  private readonly world: World;
  private readonly wanted: Int16Array[];
  private readonly kept: Int16Array[];
  private readonly rule: ReturnType<typeof unitsOfRule>;

  constructor(world: World, span: ReplaySpan, model: ReplayModel, pair: number, rule: ReactiveSettings) {
    this.world = world;
    this.signals = new PairSignals(world, span, model, pair);
    this.demand = sumOf(world.pairs[pair]!, span.firstOrigin + span.origins + 1).subarray(span.firstOrigin);
    const seen = Float64Array.from({ length: span.origins }, (_, index) => this.demand[index]! || 0);
    const inUnits = (mbps: Float64Array): Int16Array => Int16Array.from(mbps, (each) => Math.min(UNITS_MAX, unitsFor(each, world.unitMbps)));
    const full = (fill: number): number => WORLD.fullAt / fill;
    this.wanted = OPENS.map(({ openS, openFill }) => {
      const provision = openS === null ? null : this.signals.provision(openS);
      return inUnits(seen.map((mbps, index) => Math.max(mbps * full(openFill), provision?.[index] ?? 0)));
    });
    this.kept = KEEPS.map((settings) => inUnits(this.signals.keep(settings)));
    this.rule = unitsOfRule(world, seen, rule);
  }

  /**
   * Goes on with decisions [from, until) of the span and adds to the tallies.
   * @param units    tunnels by setting; goes on from there
   * @param tallies  by [setting × TALLY.width]
   */
  tryAll(from: number, until: number, units: Int32Array, tallies: Float64Array): void {
    let trial = 0;
    for (const wanted of this.wanted) for (const kept of this.kept) {
      units[trial] = follow(this.world, this.demand, wanted, kept, from, until, units[trial]!, tallies, TALLY.width * trial);
      trial += 1;
    }
  }

  /** The same for one setting. @returns tunnels at the end */
  tryOne(setting: number, from: number, until: number, units: number, tally: Float64Array): number {
    return follow(this.world, this.demand, this.wanted[Math.floor(setting / KEEPS.length)]!, this.kept[setting % KEEPS.length]!, from, until, units, tally, 0);
  }

  tryRule(from: number, until: number, units: number, tally: Float64Array): number {
    return follow(this.world, this.demand, this.rule.wanted, this.rule.kept, from, until, units, tally, 0);
  }
}

/** One pair along all its slots under a threshold rule. */
export function followRule(world: World, demand: Float32Array, rule: ReactiveSettings, tally: Float64Array): void {
  const { wanted, kept } = unitsOfRule(world, Float64Array.from(demand, (mbps) => mbps || 0), rule);
  follow(world, demand, wanted, kept, 0, demand.length - 1, unitsFor(demand[0]! || 0, world.unitMbps), tally, 0);
}

function unitsOfRule(world: World, seen: Float64Array, { openAbove, closeBelow, holdMs }: ReactiveSettings): { wanted: Int32Array; kept: Int32Array } {
  const held = slidingMost(seen, Math.max(1, Math.round(holdMs / world.slotMs)));
  const inUnits = (mbps: Float64Array, fill: number): Int32Array => Int32Array.from(mbps, (each) => unitsFor((each * WORLD.fullAt) / fill, world.unitMbps));
  return { wanted: inUnits(seen, openAbove), kept: inUnits(held, closeBelow) };
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
    // nobody knows what a pair wants: its tunnels are left alone
    let next = Number.isNaN(demand[index]!) ? units : least > stay ? least : stay;
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
