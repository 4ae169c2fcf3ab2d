import type { ReplayModel, ReplaySpan } from '../../forecast/index.ts';
import { PairSignals, type PairSettings } from './pair-outlook.ts';
import { sumOf, unitsFor, WORLD, type World } from './world.ts';

/** What may be taken, and what losses are measured by: the reactive rule's over the same span. */
export interface Budget {
  tunnelHours: number;
  tunnelChanges: number;
  unservedMbit: number;
  slaMinutes: number;
}

const OPEN_S = [null, -0.3, 0, 0.2, 0.4, 0.7, 1, 1.5];
const OPEN_FILLS = [0.8, 0.9, 0.95];
const KEEP_FILLS = [0.7, 0.85, 0.95];
const HOLD_HOURS = [0.25, 1, 3, 6, 12, 24];
const LOOKS = [false, true];
/** Rounds of halving for each of the two prices. */
const ROUNDS = 14;

/**
 * Chooses each pair's settings by what they would have led to over a span: least loss for a price of a tunnel-hour and one of
 * a change, the same for all pairs, as high as makes their sums stay within the budget (Lagrange; the pairs share nothing else).
 */
export function choosePairs(world: World, span: ReplaySpan, model: ReplayModel, budget: Budget): PairSettings[] {
  const trials = tryAll(world, span, model, budget);
  const within = (hourPrice: number, changePrice: number): { chosen: number[]; hours: number; changes: number } => {
    const chosen = trials.map((own) => own.cheapest(hourPrice, changePrice));
    return { chosen, hours: sum(chosen.map((at, pair) => trials[pair]!.hours[at]!)), changes: sum(chosen.map((at, pair) => trials[pair]!.changes[at]!)) };
  };
  // prices in losses per share of the budget
  let best = within(1e6 / budget.tunnelHours, 1e6 / budget.tunnelChanges).chosen;
  let least = Infinity;
  for (let step = -4; step <= 4; step += 0.25) {
    const changePrice = 10 ** step / Math.max(1, budget.tunnelChanges);
    let [low, high] = [1e-5, 1e5];
    for (let round = 0; round < ROUNDS; round++) {
      const price = Math.sqrt(low * high);
      const found = within(price / Math.max(1e-9, budget.tunnelHours), changePrice);
      if (found.hours > budget.tunnelHours) {
        low = price;
        continue;
      }
      high = price;
      if (found.changes > budget.tunnelChanges) continue;
      const loss = sum(found.chosen.map((at, pair) => trials[pair]!.losses[at]!));
      if (loss >= least) continue;
      least = loss;
      best = found.chosen;
    }
  }
  return best.map((at, pair) => trials[pair]!.settings[at]!);
}

interface Trials {
  settings: PairSettings[];
  losses: number[];
  hours: number[];
  changes: number[];
  cheapest: (hourPrice: number, changePrice: number) => number;
}

function tryAll(world: World, span: ReplaySpan, model: ReplayModel, budget: Budget): Trials[] {
  return world.pairs.map((_, pair) => {
    const signals = new PairSignals(world, span, model, pair);
    const demand = sumOf(world.pairs[pair]!, span.firstOrigin + span.origins + 1).subarray(span.firstOrigin);
    const own: Trials = { settings: [], losses: [], hours: [], changes: [], cheapest: (hourPrice, changePrice) => leastOf(own, hourPrice, changePrice) };
    const keeps = LOOKS.flatMap((looksAhead) => HOLD_HOURS.flatMap((hours) => KEEP_FILLS.map((keepFill) => ({ keepFill, holdMs: hours * 3_600_000, looksAhead }))));
    const kept = keeps.map((settings) => inUnits(signals.keep(settings), world));
    for (const openS of OPEN_S) {
      const provision = openS === null ? null : signals.provision(openS);
      for (const openFill of OPEN_FILLS) {
        const wanted = inUnits(Float64Array.from({ length: signals.origins }, (_, index) => Math.max((demand[index]! || 0) * (WORLD.fullAt / openFill), provision?.[index] ?? 0)), world);
        for (const [at, settings] of keeps.entries()) {
          if (settings.keepFill > openFill) continue;
          const { unservedMbit, slaMinutes, hours, changes } = follow(world, demand, wanted, kept[at]!);
          own.settings.push({ openS, openFill, ...settings });
          own.losses.push(unservedMbit / Math.max(1e-9, budget.unservedMbit) + slaMinutes / Math.max(1e-9, budget.slaMinutes));
          own.hours.push(hours);
          own.changes.push(changes);
        }
      }
    }
    return own;
  });
}

/** One pair alone, without uplinks and approvals. `wanted[i]` and `kept[i]` are said after slot i and hold in slot i + 1. */
export function follow(world: World, demand: Float32Array, wanted: Int32Array, kept: Int32Array): { unservedMbit: number; slaMinutes: number; hours: number; changes: number } {
  const slotSeconds = world.slotMs / 1000;
  const reported = Math.min(WORLD.reportedAfterMs / 1000, slotSeconds / 2);
  const lateSeconds = Math.min(slotSeconds, reported + WORLD.setUpMs / 1000);
  const unit = world.unitMbps;
  let units = unitsFor(demand[0]! || 0, unit);
  let [unservedMbit, slaSeconds, tunnelSeconds, changes] = [0, 0, 0, 0];
  for (let index = 0; index + 1 < demand.length; index++) {
    const next = Math.max(wanted[index]!, Math.min(units, kept[index]!));
    changes += Math.abs(next - units);
    const late = next > units ? lateSeconds : reported;
    tunnelSeconds += late * units + (slotSeconds - late) * next;
    const mbps = demand[index + 1]!;
    if (mbps > WORLD.fullAt * unit * units) {
      unservedMbit += late * Math.max(0, mbps - unit * units);
      slaSeconds += late;
    }
    if (mbps > WORLD.fullAt * unit * next) {
      unservedMbit += (slotSeconds - late) * Math.max(0, mbps - unit * next);
      slaSeconds += slotSeconds - late;
    }
    units = next;
  }
  return { unservedMbit, slaMinutes: slaSeconds / 60, hours: tunnelSeconds / 3600, changes };
}

function leastOf({ losses, hours, changes }: Trials, hourPrice: number, changePrice: number): number {
  let best = 0;
  let least = Infinity;
  for (let at = 0; at < losses.length; at++) {
    const cost = losses[at]! + hourPrice * hours[at]! + changePrice * changes[at]!;
    if (cost >= least) continue;
    least = cost;
    best = at;
  }
  return best;
}

function inUnits(mbps: Float64Array, world: World): Int32Array {
  return Int32Array.from(mbps, (each) => unitsFor(each, world.unitMbps));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
