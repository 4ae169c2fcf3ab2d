import type { Gru } from './gru.ts';
import { OnnxGraph } from './onnx-graph.ts';
import { QUANTILES, type QuantileNetwork } from './quantile-network.ts';
import { INPUT_BOUND, type Standardiser } from './standardiser.ts';

/**
 * The trained network as an ONNX model. Inputs: `tabular` [rows, inputs], NaN where unknown, `recent` and `daily`
 * [rows, steps, channels], `scales` [rows, horizons]. Output: `quantiles` [rows, horizons, 3], to be added to the level z.
 */
export function exportOnnx(network: QuantileNetwork, standardiser: Standardiser, about: Record<string, string>): Uint8Array {
  const { shape } = network;
  const graph = new OnnxGraph();
  const scalar = (value: number): string => graph.floats([1], Float32Array.of(value));
  const inputs = shape.inputs;
  const centred = graph.node('Div', [graph.node('Sub', ['tabular', graph.floats([inputs], standardiser.means)]), graph.floats([inputs], standardiser.deviations)]);
  const known = graph.node('Where', [graph.node('IsNaN', [centred]), scalar(0), centred]);
  const tabular = graph.node('Min', [graph.node('Max', [known, scalar(-INPUT_BOUND)]), scalar(INPUT_BOUND)]);
  const branches = [exportGru(graph, network.recent, 'recent', shape.recent.channels), exportGru(graph, network.daily, 'daily', shape.daily.channels)].filter((each) => each !== null);

  let sources = [tabular, ...branches];
  for (const layer of network.layers) {
    const rows = layer.weights.map(({ value }, index) => (index === 0 && sources[0] === tabular ? value.values.subarray(0, inputs * value.columns) : value.values));
    const sum = linear(graph, sources, rows, layer.bias.value.values, layer.output.columns);
    sources = [graph.node('Relu', [sum])];
  }

  const { weights, bias, output } = network.head;
  const height = weights[0]!.value.rows;
  const part = (quantile: number): string => {
    const columns = Array.from({ length: shape.horizons }, (_, horizon) => 3 * horizon + quantile);
    const pick = (values: Float32Array, rows: number): Float32Array => Float32Array.from({ length: rows * columns.length }, (_, at) => values[Math.floor(at / columns.length) * output.columns + columns[at % columns.length]!]!);
    return linear(graph, [sources[0]!, tabular], [pick(weights[0]!.value.values, height), pick(weights[1]!.value.values, inputs)], pick(bias.value.values, 1), shape.horizons);
  };
  const p50 = part(0);
  const p90 = graph.node('Add', [p50, graph.node('Softplus', [part(1)])]);
  const p95 = graph.node('Add', [p90, graph.node('Softplus', [part(2)])]);
  const axis = graph.integers(2);
  const scaled = [p50, p90, p95].map((each) => graph.node('Unsqueeze', [graph.node('Mul', [each, 'scales']), axis]));
  const quantiles = graph.node('Concat', scaled, { axis: 2 });
  return graph.model(
    [
      { name: 'tabular', size: [inputs] },
      ...(network.recent ? [{ name: 'recent', size: [shape.recent.steps, shape.recent.channels] }, { name: 'daily', size: [shape.daily.steps, shape.daily.channels] }] : []),
      { name: 'scales', size: [shape.horizons] },
    ],
    { name: 'quantiles', size: [shape.horizons, QUANTILES.length] },
    quantiles,
    about,
  );
}

/** Σ source · weight + bias, the sources joined as ONNX joins them. */
function linear(graph: OnnxGraph, sources: readonly string[], weights: readonly Float32Array[], bias: Float32Array, width: number): string {
  const joined = new Float32Array(weights.reduce((sum, each) => sum + each.length, 0));
  let at = 0;
  for (const each of weights) {
    joined.set(each, at);
    at += each.length;
  }
  const source = sources.length > 1 ? graph.node('Concat', sources, { axis: 1 }) : sources[0]!;
  return graph.node('Add', [graph.node('MatMul', [source, graph.floats([joined.length / width, width], joined)]), graph.floats([width], bias)]);
}

/** ONNX's gates come in the same order z, r, n; its weights are transposed. */
function exportGru(graph: OnnxGraph, gru: Gru | null, input: string, channels: number): string | null {
  if (!gru) return null;
  const width = gru.output.columns;
  const turned = (values: Float32Array, rows: number): Float32Array => Float32Array.from({ length: 3 * width * rows }, (_, at) => values[(at % rows) * 3 * width + Math.floor(at / rows)]!);
  const bias = new Float32Array(6 * width);
  bias.set(gru.bias.value.values);
  bias.set(gru.stateBias.value.values, 3 * width);
  const state = graph.node(
    'GRU',
    [
      graph.node('Transpose', [input], { perm: [1, 0, 2] }),
      graph.floats([1, 3 * width, channels], turned(gru.inputWeight.value.values, channels)),
      graph.floats([1, 3 * width, width], turned(gru.stateWeight.value.values, width)),
      graph.floats([1, 6 * width], bias),
    ],
    { hidden_size: width, linear_before_reset: 1 },
    1,
  );
  return graph.node('Squeeze', [state, graph.integers(0)]);
}
