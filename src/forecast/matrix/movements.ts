import { f64, f64x2, i32, loop, v128, wasmFunction, when, type Code, type Variable, type WasmFunction } from '../wasm/assembler.ts';
import { growingKernel } from '../wasm/growing-kernel.ts';
import { hourSlots, type PairPast } from './pair-past.ts';

/** How many numbers there are for an origin: six of sizes and rises, then two of squares. */
export const MOVEMENT_MEANS = 6;
export const MOVEMENTS = 8;

/** Where things lie in the kernel's memory: three vectors of rates, the means of two distances, then unknown slots before the known ones. */
const RATES_AT = 0;
const MEANS_AT = 48;
const SLOTS_AT = MEANS_AT + 2 * 8 * MOVEMENTS;

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
  const { perHour, perSix, perDay, perWeek } = movementRates(slotsPerDay);
  new Float64Array(memory.buffer, RATES_AT, 6).set([perHour, perDay, perWeek, perSix, perDay, perWeek]);
  const slots = new Float32Array(memory.buffer, SLOTS_AT, before + known.length);
  slots.fill(Number.NaN, 0, before);
  slots.set(known, before);
  const [one, other] = [first, second].map((steps, place) => ({ begin: firstChange(known, steps), means: new Float64Array(memory.buffer, MEANS_AT + place * 8 * MOVEMENTS, MOVEMENTS), found: new Float32Array(MOVEMENTS * origins.length) })) as [Walked, Walked];
  startMeans(one, known, first);
  startMeans(other, known, second);
  let slot = Math.min(one.begin, other.begin);
  for (let index = 0; index < origins.length; index++) {
    const origin = origins[index]!;
    if (slot <= origin) walkMovements(SLOTS_AT + 4 * (before + slot), SLOTS_AT + 4 * (before + origin + 1), 4 * first, 4 * second);
    slot = Math.max(slot, origin + 1);
    for (const { begin: from, means, found } of [one, other]) if (from <= origin) found.set(means, MOVEMENTS * index);
  }
  return [one.found, other.found];
}

export function movementRates(slotsPerDay: number): { perHour: number; perSix: number; perDay: number; perWeek: number } {
  const hour = hourSlots(slotsPerDay);
  return { perHour: 1 / hour, perSix: 1 / (6 * hour), perDay: 1 / slotsPerDay, perWeek: 1 / (7 * slotsPerDay) };
}

interface Walked {
  /** The first slot whose change is known. */
  begin: number;
  means: Float64Array;
  found: Float32Array;
}

function firstChange(known: Float32Array, steps: number): number {
  let slot = steps;
  while (slot < known.length && Number.isNaN(known[slot]! - known[slot - steps]!)) slot += 1;
  return slot;
}

/** The means begin as the first change is; that it is then met again moves nothing. */
function startMeans({ begin: slot, means }: Walked, known: Float32Array, steps: number): void {
  const change = slot < known.length ? Math.fround(known[slot]! - known[slot - steps]!) : 0;
  const size = Math.abs(change);
  const rise = (change + size) / 2;
  const square = Math.fround(rise * rise);
  means.set([size, size, size, rise, rise, rise, square, square]);
}

interface KernelFunctions {
  walkMovements: (from: number, until: number, firstBack: number, secondBack: number) => void;
}

const kernelFor = growingKernel<KernelFunctions>(() => [walkMovementsFunction()]);

/** mean += rate · (value − mean), for the known changes of the slots [from, until) by two distances. */
const walkMovementsFunction = (): WasmFunction => wasmFunction('walkMovements', ['from', 'until', 'firstBack', 'secondBack'], (p, make) => {
  const slot = make.i32();
  const rates = [make.v128(), make.v128(), make.v128()];
  const rateOf = [0, 1, 2, 2];
  const [change, size, rise] = [make.f64(), make.f64(), make.f64()];
  const walked = [p.firstBack, p.secondBack].map((back, place) => ({ back, at: MEANS_AT + place * 8 * MOVEMENTS, means: [make.v128(), make.v128(), make.v128(), make.v128()] }));
  const follow = (mean: Variable, rate: Variable, values: Code): Code => mean.set(f64x2.add(mean.get, f64x2.multiply(rate.get, f64x2.subtract(values, mean.get))));
  const step = ({ back, means }: (typeof walked)[number]): Code[] => [
    change.set(f64.rounded(f64.subtract(f64.loadFloat(slot.get), f64.loadFloat(i32.subtract(slot.get, back))))),
    when(f64.equal(change.get, change.get), [
      size.set(f64.absolute(change.get)),
      rise.set(f64.multiply(f64.add(change.get, size.get), f64.constant(0.5))),
      ...[
        f64x2.splat(size.get),
        f64x2.replaceSecond(f64x2.splat(size.get), rise.get),
        f64x2.splat(rise.get),
        f64x2.splat(f64.rounded(f64.multiply(rise.get, rise.get))),
      ].map((values, which) => follow(means[which]!, rates[rateOf[which]!]!, values)),
    ]),
  ];
  return [
    ...rates.map((rate, which) => rate.set(v128.load(i32.constant(RATES_AT + 16 * which)))),
    ...walked.flatMap(({ at, means }) => means.map((mean, which) => mean.set(v128.load(i32.constant(at + 16 * which))))),
    loop(slot, p.from, p.until, i32.constant(4), walked.flatMap(step)),
    ...walked.flatMap(({ at, means }) => means.map((mean, which) => v128.store(i32.constant(at + 16 * which), mean.get))),
  ];
});
