import { f64, f64x2, i32, loop, v128, wasmFunction, when, type Code, type Variable, type WasmFunction } from '../wasm/assembler.ts';
import { growingKernel } from '../wasm/growing-kernel.ts';
import { hourSlots, type PairPast } from './pair-past.ts';

/** How many numbers there are for an origin: six of sizes and rises, then two of squares. */
export const MOVEMENT_MEANS = 6;
export const MOVEMENTS = 8;

/** Where things lie in the kernel's memory: three vectors of what is kept a slot, the sums of two distances, then unknown slots before the known ones. */
const KEPT_AT = 0;
const SUMS_AT = 48;
const SLOTS_AT = SUMS_AT + 2 * 8 * MOVEMENTS;

/**
 * How much a pair's z moved over each horizon, up to each of some origins: exponentially weighted means of its size over an
 * hour, a day and a week, of rises over six hours, a day and a week, of the squares of rises over a day and a week.
 * @param origins  ascending
 * @returns by horizon `[origin · MOVEMENTS + which]`
 */
export function movementsOf(past: Pick<PairPast, 'known'>, horizons: readonly number[], slotsPerDay: number, origins: Int32Array): Map<number, Float32Array> {
  const found = new Map<number, Float32Array>();
  // Two at a time: a mean waits for what it was a slot before, and meanwhile the other distance's move.
  for (let index = 0; index < horizons.length; index += 2) {
    const [first, second] = [horizons[index]!, horizons[index + 1] ?? horizons[index]!];
    const [ofFirst, ofSecond] = movementsOfTwo(past.known, first, second, slotsPerDay, origins);
    found.set(first, ofFirst).set(second, ofSecond);
  }
  return found;
}

function movementsOfTwo(known: Float32Array, first: number, second: number, slotsPerDay: number, origins: Int32Array): [Float32Array, Float32Array] {
  const before = Math.max(first, second);
  const { memory, walkMovements } = kernelFor(SLOTS_AT + 4 * (before + known.length));
  const rates = movementRates(slotsPerDay);
  new Float64Array(memory.buffer, KEPT_AT, 6).set(rates.slice(0, 6).map((rate) => 1 - rate));
  const slots = new Float32Array(memory.buffer, SLOTS_AT, before + known.length);
  slots.fill(Number.NaN, 0, before);
  slots.set(known, before);
  const [one, other] = [first, second].map((steps, place) => ({ begin: firstChange(known, steps), sums: new Float64Array(memory.buffer, SUMS_AT + place * 8 * MOVEMENTS, MOVEMENTS), found: new Float32Array(MOVEMENTS * origins.length) })) as [Walked, Walked];
  startSums(known, one.begin, first, rates, one.sums);
  startSums(known, other.begin, second, rates, other.sums);
  let slot = Math.min(one.begin, other.begin);
  for (let index = 0; index < origins.length; index++) {
    const origin = origins[index]!;
    if (slot <= origin) walkMovements(SLOTS_AT + 4 * (before + slot), SLOTS_AT + 4 * (before + origin + 1), 4 * first, 4 * second);
    slot = Math.max(slot, origin + 1);
    for (const { begin: from, sums, found } of [one, other]) if (from <= origin) sums.forEach((sum, which) => (found[MOVEMENTS * index + which] = rates[which]! * sum));
  }
  return [one.found, other.found];
}

/** How much the newest value counts in each of the means. */
export function movementRates(slotsPerDay: number): number[] {
  const hour = hourSlots(slotsPerDay);
  const [perHour, perSix, perDay, perWeek] = [1 / hour, 1 / (6 * hour), 1 / slotsPerDay, 1 / (7 * slotsPerDay)];
  return [perHour, perDay, perWeek, perSix, perDay, perWeek, perDay, perWeek];
}

/** The first slot whose change over so many is known, or the end. */
export function firstChange(known: Float32Array, steps: number): number {
  let slot = steps;
  while (slot < known.length && Number.isNaN(known[slot]! - known[slot - steps]!)) slot += 1;
  return slot;
}

/**
 * The means, over their rates, begin as the first change is; that it is then met again moves nothing.
 * @param sums  gets them at `place`, `place + every`, …
 */
export function startSums(known: Float32Array, slot: number, steps: number, rates: readonly number[], sums: Float64Array, place = 0, every = 1): void {
  const change = slot < known.length ? Math.fround(known[slot]! - known[slot - steps]!) : 0;
  const rise = Math.max(0, change);
  for (let which = 0; which < MOVEMENTS; which++) sums[place + every * which] = (which < 3 ? Math.abs(change) : which < MOVEMENT_MEANS ? rise : Math.fround(rise * rise)) / rates[which]!;
}

interface Walked {
  /** The first slot whose change is known. */
  begin: number;
  /** Means over their rates. */
  sums: Float64Array;
  found: Float32Array;
}

interface KernelFunctions {
  walkMovements: (from: number, until: number, firstBack: number, secondBack: number) => void;
}

const kernelFor = growingKernel<KernelFunctions>(() => [walkMovementsFunction()]);

/** sum = kept · sum + value, for the known changes of the slots [from, until) by two distances. */
const walkMovementsFunction = (): WasmFunction => wasmFunction('walkMovements', ['from', 'until', 'firstBack', 'secondBack'], (p, make) => {
  const slot = make.i32();
  const kept = [make.v128(), make.v128(), make.v128()];
  const keptOf = [0, 1, 2, 2];
  const [change, size, rise] = [make.f64(), make.f64(), make.f64()];
  const walked = [p.firstBack, p.secondBack].map((back, place) => ({ back, at: SUMS_AT + place * 8 * MOVEMENTS, sums: [make.v128(), make.v128(), make.v128(), make.v128()] }));
  const follow = (sum: Variable, of: Variable, values: Code): Code => sum.set(f64x2.add(f64x2.multiply(of.get, sum.get), values));
  const step = ({ back, sums }: (typeof walked)[number]): Code[] => [
    change.set(f64.rounded(f64.subtract(f64.loadFloat(slot.get), f64.loadFloat(i32.subtract(slot.get, back))))),
    when(f64.equal(change.get, change.get), [
      size.set(f64.absolute(change.get)),
      rise.set(f64.multiply(f64.add(change.get, size.get), f64.constant(0.5))),
      ...[
        f64x2.splat(size.get),
        f64x2.replaceSecond(f64x2.splat(size.get), rise.get),
        f64x2.splat(rise.get),
        f64x2.splat(f64.rounded(f64.multiply(rise.get, rise.get))),
      ].map((values, which) => follow(sums[which]!, kept[keptOf[which]!]!, values)),
    ]),
  ];
  return [
    ...kept.map((each, which) => each.set(v128.load(i32.constant(KEPT_AT + 16 * which)))),
    ...walked.flatMap(({ at, sums }) => sums.map((sum, which) => sum.set(v128.load(i32.constant(at + 16 * which))))),
    loop(slot, p.from, p.until, i32.constant(4), walked.flatMap(step)),
    ...walked.flatMap(({ at, sums }) => sums.map((sum, which) => v128.store(i32.constant(at + 16 * which), sum.get))),
  ];
});
