import { f32x4, f64x2, i32, loop, v128, wasmFunction, type Code, type WasmFunction } from '../wasm/assembler.ts';
import { growingKernel } from '../wasm/growing-kernel.ts';
import { CELLS, LEVEL_SERIES, levelCells, RATIO_MAX, setLevels } from './level-of.ts';
import { roundedUp } from './two-pairs.ts';

/** In the kernel's memory: a scale twice, what was met, the table that levels are looked up in, then rows. */
const SCALE_AT = 0;
const MET_AT = 16;
const TABLE_AT = 32;
/** Middle, level and slope of a cell, and eight bytes to keep its place a shift. */
const CELL_BITS = 5;
const ROWS_AT = TABLE_AT + (levelCells.middles.length << CELL_BITS);
/** More than this of sums (32 MB) is not kept for as long as the thread lives. */
const ROWS_BYTES_MAX = 32 << 20;

/** Demand row by row: whether all is known, its levels, and sums over rows; four slots at a time, to the last bit what `setLevels` and additions of float32 give. */
export class LevelRows {
  /** Put a pair's demand here, without gaps, before it is added or levelled. */
  readonly demand: Float32Array;
  readonly level: Float32Array;
  /** Begin at 0. Good until the next object is made. */
  readonly sums: Float32Array[];
  private readonly kernel: ReturnType<typeof kernelFor>;
  private readonly bytes: number;
  private readonly met: Int32Array;
  private readonly scale: Float64Array;

  private constructor(length: number, sums: number) {
    this.bytes = 4 * roundedUp(length, 4);
    this.kernel = kernelFor(ROWS_AT + (2 + sums) * this.bytes);
    const { buffer } = this.kernel.memory;
    const row = (index: number): Float32Array => new Float32Array(buffer, ROWS_AT + index * this.bytes, length);
    [this.demand, this.level] = [row(0), row(1)];
    this.sums = Array.from({ length: sums }, (_, index) => row(2 + index));
    // What lies between the last slot and the next row is computed with, too.
    new Float32Array(buffer, ROWS_AT, ((2 + sums) * this.bytes) / 4).fill(0);
    this.met = new Int32Array(buffer, MET_AT, 1);
    this.scale = new Float64Array(buffer, SCALE_AT, 2);
    const table = new Float64Array(buffer, TABLE_AT, levelCells.middles.length << (CELL_BITS - 3));
    if (table[2] === 0) for (let cell = 0; cell < levelCells.middles.length; cell++) table.set([levelCells.middles[cell]!, levelCells.levels[cell]!, levelCells.slopes[cell]!], cell << (CELL_BITS - 3));
  }

  /** @returns null when so many sums would keep too much memory */
  static of(length: number, sums: number): LevelRows | null {
    return (2 + sums) * 4 * roundedUp(length, 4) > ROWS_BYTES_MAX ? null : new LevelRows(length, sums);
  }

  /** Whether no slot of `demand` is unknown. */
  isKnown(): boolean {
    this.kernel.isKnown(ROWS_AT, ROWS_AT + this.bytes);
    return this.met[0] === 0;
  }

  /** `level` becomes log1p(demand / scale). */
  setLevels(scale: number): void {
    this.scale.fill(scale);
    this.kernel.setLevels(ROWS_AT, ROWS_AT + this.bytes, this.bytes);
    if (this.met[0] !== 0) setLevels(this.demand, scale, this.level);
  }

  /** Adds `demand` to three of the sums. */
  addTo(one: number, two: number, three: number): void {
    const addressOf = (sum: number): number => ROWS_AT + (2 + sum) * this.bytes;
    this.kernel.addToThree(ROWS_AT, ROWS_AT + this.bytes, addressOf(one), addressOf(two), addressOf(three));
  }
}

interface KernelFunctions {
  isKnown: (from: number, until: number) => void;
  setLevels: (from: number, until: number, toLevel: number) => void;
  addToThree: (from: number, until: number, one: number, two: number, three: number) => void;
}

const kernelFor = growingKernel<KernelFunctions>(() => [isKnownFunction(), setLevelsFunction(), addToThreeFunction()]);

const FOUR_FLOATS = i32.constant(16);

/** Leaves something other than 0 at MET_AT when a float of [from, until) is no number. */
const isKnownFunction = (): WasmFunction => wasmFunction('isKnown', ['from', 'until'], (p, make) => {
  const [at, value, unknown] = [make.i32(), make.v128(), make.v128()];
  return [
    unknown.set(f32x4.constant(0)),
    loop(at, p.from, p.until, FOUR_FLOATS, [value.set(v128.load(at.get)), unknown.set(v128.or(unknown.get, f32x4.unequal(value.get, value.get)))]),
    i32.store(i32.constant(MET_AT), v128.anyTrue(unknown.get)),
  ];
});

/** log1p(float / scale) of [from, until), so many bytes further on; leaves something other than 0 at MET_AT when one is beyond the table. */
const setLevelsFunction = (): WasmFunction => wasmFunction('setLevels', ['from', 'until', 'toLevel'], (p, make) => {
  const [at, first, second] = [make.i32(), make.i32(), make.i32()];
  const [scale, ratio, cells, beyond, square, met, one, last] = [make.v128(), make.v128(), make.v128(), make.v128(), make.v128(), make.v128(), make.v128(), make.v128()];
  const terms = LEVEL_SERIES.map((value) => ({ value, variable: make.v128() }));
  const [half, third, fourth, fifth, sixth, seventh] = terms.map(({ variable }) => variable.get) as [Code, Code, Code, Code, Code, Code];
  const { add, multiply, subtract } = f64x2;
  const addressOf = (lane: 0 | 1): Code => i32.add(i32.constant(TABLE_AT), i32.shiftLeft(v128.lane(cells.get, lane), CELL_BITS));
  const found = (offset: number): Code => f64x2.loadTwo(first.get, second.get, offset);
  const body = [
    ratio.set(f64x2.divide(f64x2.loadFloats(at.get), scale.get)),
    met.set(v128.or(met.get, v128.without(v128.ones, f64x2.greater(f64x2.constant(RATIO_MAX), ratio.get)))),
    cells.set(f64x2.truncated(f64x2.leastOf(multiply(ratio.get, one.get), last.get))),
    first.set(addressOf(0)),
    second.set(addressOf(1)),
    beyond.set(multiply(subtract(ratio.get, found(0)), found(16))),
    square.set(multiply(beyond.get, beyond.get)),
    f64x2.storeFloats(
      i32.add(at.get, p.toLevel),
      add(
        found(8),
        add(
          beyond.get,
          multiply(square.get, add(add(half, multiply(beyond.get, third)), multiply(square.get, add(add(fourth, multiply(beyond.get, fifth)), multiply(square.get, add(sixth, multiply(beyond.get, seventh))))))),
        ),
      ),
    ),
  ];
  return [
    scale.set(v128.load(i32.constant(SCALE_AT))),
    met.set(f64x2.constant(0)),
    one.set(f64x2.constant(CELLS)),
    last.set(f64x2.constant(levelCells.middles.length - 1)),
    ...terms.map(({ value, variable }) => variable.set(f64x2.constant(value))),
    loop(at, p.from, p.until, i32.constant(8), body),
    i32.store(i32.constant(MET_AT), v128.anyTrue(met.get)),
  ];
});

const addToThreeFunction = (): WasmFunction => wasmFunction('addToThree', ['from', 'until', 'one', 'two', 'three'], (p, make) => {
  const [at, value] = [make.i32(), make.v128()];
  const sums = [p.one, p.two, p.three].map((address) => ({ address, place: make.i32() }));
  return [
    ...sums.map(({ address, place }) => place.set(address)),
    loop(at, p.from, p.until, FOUR_FLOATS, [
      value.set(v128.load(at.get)),
      ...sums.flatMap(({ place }) => [v128.store(place.get, f32x4.add(v128.load(place.get), value.get)), place.set(i32.add(place.get, FOUR_FLOATS))]),
    ]),
  ];
});
