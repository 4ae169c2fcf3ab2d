import { assembleModule, f32x4, i32, loop, pagesFor, v128, wasmFunction, type Code, type Variable, type WasmFunction } from '../wasm/assembler.ts';

/** The arithmetic that takes nearly all of the time, four floats at a time. Arguments are byte addresses, byte strides and counts. */
export interface Kernels {
  /**
   * C[m × n] += A[m × k] · B[k × n]. A's rows and columns may have any stride, so it may be a transpose; rows of B and C
   * are contiguous. m is a multiple of 4, n of 8; `scratch` holds 8 · k floats.
   */
  multiply(a: number, aRow: number, aColumn: number, b: number, bRow: number, c: number, cRow: number, m: number, n: number, k: number, scratch: number): void;
  /** One step of GRU cells for `rows` rows of `width`: see gru.ts. */
  gruForward(fromInput: number, fromState: number, before: number, after: number, gates: number, rows: number, width: number): void;
  gruBackward(gates: number, fromState: number, before: number, slope: number, inputSlope: number, stateSlope: number, rows: number, width: number): void;
}

/** A heap of float32 that never grows, so that views stay valid, and the kernels that work on it. */
export class TensorHeap {
  readonly kernels: Kernels;
  readonly floats: Float32Array;
  private used = 16 * CONSTANTS.length;

  constructor(bytes: number) {
    const pages = pagesFor(bytes + 4096);
    const memory = new WebAssembly.Memory({ initial: pages });
    const instance = new WebAssembly.Instance(new WebAssembly.Module(assembleModule([matrixMultiply(), gruForward(), gruBackward()], pages)), { env: { memory } });
    this.kernels = instance.exports as unknown as Kernels;
    this.floats = new Float32Array(memory.buffer);
    CONSTANTS.forEach((value, index) => this.floats.fill(value, 4 * index, 4 * index + 4));
  }

  /** Zeroed floats at a multiple of 16 bytes, kept as long as the heap. */
  allocate(rows: number, columns = 1): Tensor {
    const length = rows * columns;
    const at = this.used;
    this.used += Math.ceil(length / 4) * 16;
    const values = this.floats.subarray(at / 4, at / 4 + length);
    if (values.length < length) throw new RangeError(`the heap of ${4 * this.floats.length} bytes has no room for ${4 * length} more`);
    return { at, rows, columns, values };
  }
}

/** Rows after rows of floats on the heap; `at` is the byte address. */
export interface Tensor {
  at: number;
  rows: number;
  columns: number;
  values: Float32Array;
}

const { load, store } = v128;
const { loadSplat, add, subtract, multiply, divide, least, most } = f32x4;
const TILE_ROWS = 4;

/**
 * Tiles of 4 × 8 held in eight registers. The eight columns of B are packed first: read in place, rows whose distance
 * is a power of two would fall on the same few cache lines.
 */
const matrixMultiply = (): WasmFunction => wasmFunction('multiply', ['a', 'aRow', 'aColumn', 'b', 'bRow', 'c', 'cRow', 'm', 'n', 'k', 'scratch'], (p, make) => {
  const [column, row, inner, source, packed, output] = [make.i32(), make.i32(), make.i32(), make.i32(), make.i32(), make.i32()];
  const rowsOfA = Array.from({ length: TILE_ROWS }, () => make.i32());
  const rowsOfC = Array.from({ length: TILE_ROWS }, () => make.i32());
  const sums = Array.from({ length: TILE_ROWS }, () => [make.v128(), make.v128()] as const);
  const [left, right, factor] = [make.v128(), make.v128(), make.v128()];
  const pack = [
    packed.set(p.scratch),
    source.set(i32.add(p.b, i32.shiftLeft(column.get, 2))),
    loop(inner, i32.constant(0), p.k, i32.constant(1), [
      store(packed.get, load(source.get)),
      store(packed.get, load(source.get, 16), 16),
      packed.set(i32.add(packed.get, i32.constant(32))),
      source.set(i32.add(source.get, p.bRow)),
    ]),
  ];
  const sumUp = loop(inner, i32.constant(0), p.k, i32.constant(1), [
    left.set(load(packed.get)),
    right.set(load(packed.get, 16)),
    packed.set(i32.add(packed.get, i32.constant(32))),
    ...rowsOfA.flatMap((address, index) => [
      factor.set(loadSplat(address.get)),
      address.set(i32.add(address.get, p.aColumn)),
      sums[index]![0].set(add(sums[index]![0].get, multiply(factor.get, left.get))),
      sums[index]![1].set(add(sums[index]![1].get, multiply(factor.get, right.get))),
    ]),
  ]);
  const tile = [
    output.set(i32.add(i32.add(p.c, i32.multiply(row.get, p.cRow)), i32.shiftLeft(column.get, 2))),
    ...rowsOfA.flatMap((address, index) => [
      address.set(i32.add(p.a, i32.multiply(i32.add(row.get, i32.constant(index)), p.aRow))),
      rowsOfC[index]!.set(index === 0 ? output.get : i32.add(rowsOfC[index - 1]!.get, p.cRow)),
      sums[index]![0].set(load(rowsOfC[index]!.get)),
      sums[index]![1].set(load(rowsOfC[index]!.get, 16)),
    ]),
    packed.set(p.scratch),
    sumUp,
    ...rowsOfC.flatMap((address, index) => [store(address.get, sums[index]![0].get), store(address.get, sums[index]![1].get, 16)]),
  ];
  return [loop(column, i32.constant(0), p.n, i32.constant(8), [...pack, loop(row, i32.constant(0), p.m, i32.constant(TILE_ROWS), tile)])];
});

/** `fromInput` and `fromState` hold [z r n] before their functions, `gates` afterwards; after = n + z · (before − n). */
const gruForward = (): WasmFunction => wasmFunction('gruForward', ['fromInput', 'fromState', 'before', 'after', 'gates', 'rows', 'width'], (p, make) => {
  const walk = walkGates(make, p);
  const [z, r, n, square] = [make.v128(), make.v128(), make.v128(), make.v128()];
  return walk.each(({ three, one, gate }) => [
    ...sigmoid(z, square, add(load(three(p.fromInput, gate.z)), load(three(p.fromState, gate.z)))),
    ...sigmoid(r, square, add(load(three(p.fromInput, gate.r)), load(three(p.fromState, gate.r)))),
    ...tanh(n, square, add(load(three(p.fromInput, gate.n)), multiply(r.get, load(three(p.fromState, gate.n))))),
    store(three(p.gates, gate.z), z.get),
    store(three(p.gates, gate.r), r.get),
    store(three(p.gates, gate.n), n.get),
    store(one(p.after), add(n.get, multiply(z.get, subtract(load(one(p.before)), n.get)))),
  ]);
});

/**
 * From the loss's slope in the state after a step: the slopes in both sums of the gates, and, in place of `slope`, the
 * part that reaches the state before directly.
 */
const gruBackward = (): WasmFunction => wasmFunction('gruBackward', ['gates', 'fromState', 'before', 'slope', 'inputSlope', 'stateSlope', 'rows', 'width'], (p, make) => {
  const walk = walkGates(make, p);
  const [z, r, n, after, dz, dr, dn] = [make.v128(), make.v128(), make.v128(), make.v128(), make.v128(), make.v128(), make.v128()];
  const unit = constant(1);
  return walk.each(({ three, one, gate }) => [
    z.set(load(three(p.gates, gate.z))),
    r.set(load(three(p.gates, gate.r))),
    n.set(load(three(p.gates, gate.n))),
    after.set(load(one(p.slope))),
    dz.set(multiply(multiply(after.get, subtract(load(one(p.before)), n.get)), multiply(z.get, subtract(unit, z.get)))),
    dn.set(multiply(multiply(after.get, subtract(unit, z.get)), subtract(unit, multiply(n.get, n.get)))),
    dr.set(multiply(multiply(dn.get, load(three(p.fromState, gate.n))), multiply(r.get, subtract(unit, r.get)))),
    store(three(p.inputSlope, gate.z), dz.get),
    store(three(p.inputSlope, gate.r), dr.get),
    store(three(p.inputSlope, gate.n), dn.get),
    store(three(p.stateSlope, gate.z), dz.get),
    store(three(p.stateSlope, gate.r), dr.get),
    store(three(p.stateSlope, gate.n), multiply(dn.get, r.get)),
    store(one(p.slope), multiply(after.get, z.get)),
  ]);
});

interface GateAddresses {
  /** Address of this place in a tensor of three gates a row, or of one value. */
  three: (tensor: Code, gate: Code) => Code;
  one: (tensor: Code) => Code;
  gate: { z: Code; r: Code; n: Code };
}

/** Walks `rows` × `width` cells, four at a time. */
function walkGates(make: { i32(): Variable }, { rows, width }: Record<'rows' | 'width', Code>): { each(body: (addresses: GateAddresses) => Code[]): Code[] } {
  const [bytes, total, place, start, reset, candidate] = [make.i32(), make.i32(), make.i32(), make.i32(), make.i32(), make.i32()];
  const end = make.i32();
  return {
    each: (body) => [
      bytes.set(i32.shiftLeft(width, 2)),
      total.set(i32.multiply(bytes.get, rows)),
      // `start` walks the single values row by row; the three gates lie at 3 · start + place.
      loop(start, i32.constant(0), total.get, bytes.get, [
        end.set(bytes.get),
        loop(place, i32.constant(0), end.get, i32.constant(16), [
          candidate.set(i32.add(i32.multiply(start.get, i32.constant(3)), place.get)),
          reset.set(i32.add(candidate.get, bytes.get)),
          ...body({
            three: (tensor, gate) => i32.add(tensor, gate),
            one: (tensor) => i32.add(tensor, i32.add(start.get, place.get)),
            gate: { z: candidate.get, r: reset.get, n: i32.add(reset.get, bytes.get) },
          }),
        ]),
      ]),
    ],
  };
}

/** Rational approximation of tanh on ±7.9, where float32 reaches 1 (as in Eigen); a few units in the last place. */
const TANH_ODD = [4.89352455891786e-3, 6.37261928875436e-4, 1.48572235717979e-5, 5.12229709037114e-8, -8.60467152213735e-11, 2.00018790482477e-13, -2.76076847742355e-16];
const TANH_EVEN = [4.89352518554385e-3, 2.26843463243900e-3, 1.18534705686654e-4, 1.19825839466702e-6];
const TANH_MAX = 7.90531110763549805;
/** Constants lie at the heap's beginning, four times each: V8 builds one in the code from five instructions, a load is one. */
const CONSTANTS = [0.5, 1, TANH_MAX, -TANH_MAX, ...TANH_ODD, ...TANH_EVEN];

function constant(value: number): Code {
  return load(i32.constant(16 * CONSTANTS.indexOf(value)));
}

function tanh(result: Variable, square: Variable, value: Code): Code[] {
  const polynomial = (factors: readonly number[]): Code => factors.reduceRight<Code>((sum, factor) => (sum.length === 0 ? constant(factor) : add(constant(factor), multiply(square.get, sum))), []);
  return [
    result.set(most(constant(-TANH_MAX), least(constant(TANH_MAX), value))),
    square.set(multiply(result.get, result.get)),
    result.set(divide(multiply(result.get, polynomial(TANH_ODD)), polynomial(TANH_EVEN))),
  ];
}

/** σ(x) = (1 + tanh(x / 2)) / 2. */
function sigmoid(result: Variable, square: Variable, value: Code): Code[] {
  return [...tanh(result, square, multiply(constant(0.5), value)), result.set(add(constant(0.5), multiply(constant(0.5), result.get)))];
}
