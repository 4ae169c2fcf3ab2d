import type { Rng } from '../../base/index.ts';
import type { Tensor } from './kernels.ts';
import { addColumns, fillGaussian, transpose, type LayerContext, type Parameter } from './layers.ts';

/**
 * Gated recurrent unit (Cho et al. 2014), the reset gate after the product with the state, as in ONNX with
 * `linear_before_reset`, so that one product serves all gates:
 * z = σ(x Wz + h Rz + bz), r = σ(x Wr + h Rr + br), n = tanh(x Wn + bn + r (h Rn + cn)), h ← n + z (h − n).
 */
export class Gru {
  /** [step · batch + row][channel]: fill it before `forward`. */
  readonly input: Tensor;
  /** The state after the last step. */
  readonly output: Tensor;
  readonly inputWeight: Parameter;
  readonly stateWeight: Parameter;
  readonly bias: Parameter;
  /** Only its part of n is learned: in z and r the sum with `bias` is all that counts. */
  readonly stateBias: Parameter;
  private readonly context: LayerContext;
  private readonly steps: number;
  private readonly batch: number;
  private readonly width: number;
  private readonly fromInput: Tensor;
  private readonly fromState: Tensor;
  private readonly gates: Tensor;
  /** States before step 0, 1, … and after the last. */
  private readonly states: Tensor;
  private readonly inputSlope: Tensor;
  private readonly stateSlope: Tensor;
  private readonly turned: Tensor;

  constructor(context: LayerContext, name: string, size: { steps: number; channels: number; batch: number; width: number }) {
    const { steps, channels, batch, width } = size;
    const { heap } = context;
    [this.context, this.steps, this.batch, this.width] = [context, steps, batch, width];
    this.input = heap.allocate(steps * batch, channels);
    this.inputWeight = context.parameter(`${name}.inputWeight`, channels, 3 * width);
    this.stateWeight = context.parameter(`${name}.stateWeight`, width, 3 * width);
    this.bias = context.parameter(`${name}.bias`, 1, 3 * width);
    this.stateBias = context.parameter(`${name}.stateBias`, 1, 3 * width);
    this.fromInput = heap.allocate(steps * batch, 3 * width);
    this.fromState = heap.allocate(steps * batch, 3 * width);
    this.gates = heap.allocate(steps * batch, 3 * width);
    this.states = heap.allocate((steps + 1) * batch, width);
    this.inputSlope = heap.allocate(steps * batch, 3 * width);
    this.stateSlope = heap.allocate(steps * batch, 3 * width);
    this.turned = heap.allocate(3 * width, width);
    this.output = part(this.states, steps * batch, batch);
  }

  start(rng: Rng): void {
    fillGaussian(this.inputWeight.value.values, Math.sqrt(1 / this.inputWeight.value.rows), rng);
    fillGaussian(this.stateWeight.value.values, Math.sqrt(1 / this.width), rng);
    this.bias.value.values.fill(1, 0, this.width); // begins by remembering
  }

  forward(): Tensor {
    const { steps, batch, width, context } = this;
    repeatRow(this.bias.value.values, this.fromInput);
    repeatRow(this.stateBias.value.values, this.fromState);
    context.multiply(this.input, this.inputWeight.value, this.fromInput);
    for (let step = 0; step < steps; step++) {
      const before = part(this.states, step * batch, batch);
      const after = part(this.states, (step + 1) * batch, batch);
      const fromState = part(this.fromState, step * batch, batch);
      if (step > 0) context.multiply(before, this.stateWeight.value, fromState);
      context.heap.kernels.gruForward(part(this.fromInput, step * batch, batch).at, fromState.at, before.at, after.at, part(this.gates, step * batch, batch).at, batch, width);
    }
    return this.output;
  }

  /** @param slope  the loss's slope in the output, overwritten */
  backward(slope: Tensor): void {
    const { steps, batch, width, context } = this;
    transpose(this.stateWeight.value, this.turned);
    for (let step = steps - 1; step >= 0; step--) {
      const at = (tensor: Tensor): number => part(tensor, step * batch, batch).at;
      context.heap.kernels.gruBackward(at(this.gates), at(this.fromState), at(this.states), slope.at, at(this.inputSlope), at(this.stateSlope), batch, width);
      if (step > 0) context.multiply(part(this.stateSlope, step * batch, batch), this.turned, slope);
    }
    context.multiplyTransposed(this.input, this.inputSlope, this.inputWeight.slope);
    context.multiplyTransposed(part(this.states, 0, steps * batch), this.stateSlope, this.stateWeight.slope);
    addColumns(this.inputSlope, this.bias.slope.values);
    addColumns(this.stateSlope, this.stateBias.slope.values);
    this.stateBias.slope.values.fill(0, 0, 2 * width);
  }
}

/** Some rows of a tensor, in place; its values are those of the whole from there on. */
function part(tensor: Tensor, from: number, rows: number): Tensor {
  const { columns } = tensor;
  return { at: tensor.at + 4 * from * columns, rows, columns, values: tensor.values.subarray(from * columns, (from + rows) * columns) };
}

function repeatRow(row: Float32Array, { values, rows, columns }: Tensor): void {
  for (let index = 0; index < rows; index++) values.set(row, index * columns);
}
