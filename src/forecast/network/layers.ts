import type { Rng } from '../../base/index.ts';
import type { Tensor, TensorHeap } from './kernels.ts';

/** A matrix of weights and the loss's slope in each of them. */
export interface Parameter {
  name: string;
  value: Tensor;
  slope: Tensor;
}

/** Sizes that the kernels work on are multiples of this. */
export const LANES = 8;
/** So long a part of an inner sum stays in the nearest cache. */
const INNER_MAX = 512;

/** What layers share: the heap and the matrix product. */
export class LayerContext {
  readonly heap: TensorHeap;
  readonly parameters: Parameter[] = [];
  private readonly scratch: Tensor;

  constructor(heap: TensorHeap) {
    this.heap = heap;
    this.scratch = heap.allocate(LANES, INNER_MAX);
  }

  parameter(name: string, rows: number, columns: number): Parameter {
    const parameter = { name, value: this.heap.allocate(rows, columns), slope: this.heap.allocate(rows, columns) };
    this.parameters.push(parameter);
    return parameter;
  }

  /** c += a · b. */
  multiply(a: Tensor, b: Tensor, c: Tensor): void {
    this.heap.kernels.multiply(a.at, 4 * a.columns, 4, b.at, 4 * b.columns, c.at, 4 * c.columns, a.rows, b.columns, a.columns, this.scratch.at);
  }

  /** c += aᵀ · b, in parts that fit the cache. */
  multiplyTransposed(a: Tensor, b: Tensor, c: Tensor): void {
    for (let from = 0; from < a.rows; from += INNER_MAX) {
      const inner = Math.min(INNER_MAX, a.rows - from);
      this.heap.kernels.multiply(a.at + 4 * a.columns * from, 4, 4 * a.columns, b.at + 4 * b.columns * from, 4 * b.columns, c.at, 4 * c.columns, a.columns, b.columns, inner, this.scratch.at);
    }
  }
}

/** y = f(x₁ W₁ + x₂ W₂ + … + b), f = max(0, ·) or nothing. Several sources save joining them. */
export class Dense {
  readonly output: Tensor;
  readonly weights: Parameter[];
  readonly bias: Parameter;
  private readonly context: LayerContext;
  private readonly sources: readonly Tensor[];
  private readonly isRectified: boolean;
  private readonly turned: Tensor[];

  constructor(context: LayerContext, name: string, sources: readonly Tensor[], width: number, isRectified: boolean) {
    this.context = context;
    this.sources = sources;
    this.isRectified = isRectified;
    this.weights = sources.map((source, index) => context.parameter(`${name}.weight${index}`, source.columns, width));
    this.bias = context.parameter(`${name}.bias`, 1, width);
    this.turned = sources.map((source) => context.heap.allocate(width, source.columns));
    this.output = context.heap.allocate(sources[0]!.rows, width);
  }

  /** He et al. 2015: keeps the variance through max(0, ·). */
  start(rng: Rng): void {
    const inputs = this.sources.reduce((sum, source) => sum + source.columns, 0);
    for (const { value } of this.weights) fillGaussian(value.values, Math.sqrt(2 / inputs), rng);
  }

  forward(): Tensor {
    const { values, rows, columns } = this.output;
    for (let row = 0; row < rows; row++) values.set(this.bias.value.values, row * columns);
    this.sources.forEach((source, index) => this.context.multiply(source, this.weights[index]!.value, this.output));
    if (this.isRectified) for (let at = 0; at < values.length; at++) if (values[at]! < 0) values[at] = 0;
    return this.output;
  }

  /** @param slope  the loss's slope in the output, overwritten; `sourceSlopes[i]`, unless null, grows by that in source i */
  backward(slope: Tensor, sourceSlopes: readonly (Tensor | null)[]): void {
    const { values } = slope;
    const out = this.output.values;
    if (this.isRectified) for (let at = 0; at < values.length; at++) if (out[at]! <= 0) values[at] = 0;
    addColumns(slope, this.bias.slope.values);
    this.sources.forEach((source, index) => {
      const weight = this.weights[index]!;
      this.context.multiplyTransposed(source, slope, weight.slope);
      const sourceSlope = sourceSlopes[index];
      if (!sourceSlope) return;
      transpose(weight.value, this.turned[index]!);
      this.context.multiply(slope, this.turned[index]!, sourceSlope);
    });
  }
}

export function fillGaussian(values: Float32Array, deviation: number, rng: Rng): void {
  for (let at = 0; at < values.length; at++) values[at] = deviation * rng.gaussian();
}

export function addColumns({ values, rows, columns }: Tensor, sums: Float32Array): void {
  for (let row = 0, at = 0; row < rows; row++) for (let column = 0; column < columns; column++, at++) sums[column]! += values[at]!;
}

export function transpose(from: Tensor, to: Tensor): void {
  const { values, rows, columns } = from;
  for (let row = 0, at = 0; row < rows; row++) for (let column = 0; column < columns; column++, at++) to.values[column * rows + row] = values[at]!;
}
