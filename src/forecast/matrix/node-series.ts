import { fillGaps, type DemandMatrix } from './demand-matrix.ts';

/** Logarithms of what goes out of and into each node, and of all together; gaps filled from the past. */
export interface NodeSeries {
  /** Node numbers of each pair. */
  source: Int32Array;
  target: Int32Array;
  out: Float32Array[];
  in: Float32Array[];
  total: Float32Array;
}

export function nodeSeries(matrix: DemandMatrix): NodeSeries {
  const { source, target, nodes } = nodesOf(matrix);
  const sums = (): Float32Array[] => Array.from({ length: nodes }, () => new Float32Array(matrix.length));
  const [out, into, total] = [sums(), sums(), new Float32Array(matrix.length)];
  const filled = new Float32Array(matrix.length);
  matrix.values.forEach((values, pair) => {
    fillGaps(values, matrix.slotsPerDay, filled);
    const outOf = out[source[pair]!]!;
    const toward = into[target[pair]!]!;
    for (let slot = 0; slot < filled.length; slot++) {
      outOf[slot]! += filled[slot]!;
      toward[slot]! += filled[slot]!;
      total[slot]! += filled[slot]!;
    }
  });
  return logarithmic({ source, target, out, in: into, total });
}

/** Numbers of the nodes of each pair, and how many there are. */
export function nodesOf({ pairs }: Pick<DemandMatrix, 'pairs'>): Pick<NodeSeries, 'source' | 'target'> & { nodes: number } {
  const numbers = new Map<string, number>();
  const numberOf = (name: string): number => numbers.get(name) ?? numbers.set(name, numbers.size).size - 1;
  const source = Int32Array.from(pairs, (pair) => numberOf(endsOf(pair).from));
  const target = Int32Array.from(pairs, (pair) => numberOf(endsOf(pair).to));
  return { source, target, nodes: numbers.size };
}

const SMALLEST = 1e-3;

/** In place of the sums. */
export function logarithmic(sums: NodeSeries): NodeSeries {
  for (const series of [...sums.out, ...sums.in, sums.total]) for (let slot = 0; slot < series.length; slot++) series[slot] = Math.log(series[slot]! + SMALLEST);
  return sums;
}

/** The parts of a pair's name: `from>to`, or `from>to#class` where the classes of a pair are series of their own. */
export function endsOf(pair: string): { from: string; to: string; suffix: string } {
  const [from, rest = ''] = pair.split('>');
  const at = rest.indexOf('#');
  return { from: from!, to: at < 0 ? rest : rest.slice(0, at), suffix: at < 0 ? '' : rest.slice(at) };
}

/** The name of the other direction. */
export function reverseOf(pair: string): string {
  const { from, to, suffix } = endsOf(pair);
  return `${to}>${from}${suffix}`;
}
