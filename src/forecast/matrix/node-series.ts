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

/** @param onFilled  sees each pair's demand without gaps; good until the next one's */
export function nodeSeries(matrix: DemandMatrix, onFilled: (filled: Float32Array, pair: number) => void = () => undefined): NodeSeries {
  const numbers = new Map<string, number>();
  const numberOf = (name: string): number => numbers.get(name) ?? numbers.set(name, numbers.size).size - 1;
  const source = Int32Array.from(matrix.pairs, (pair) => numberOf(endsOf(pair).from));
  const target = Int32Array.from(matrix.pairs, (pair) => numberOf(endsOf(pair).to));
  const sums = (): Float32Array[] => Array.from({ length: numbers.size }, () => new Float32Array(matrix.length));
  const [out, into, total] = [sums(), sums(), new Float32Array(matrix.length)];
  const filled = new Float32Array(matrix.length);
  matrix.values.forEach((values, pair) => {
    fillGaps(values, matrix.slotsPerDay, filled);
    onFilled(filled, pair);
    const outOf = out[source[pair]!]!;
    const toward = into[target[pair]!]!;
    for (let slot = 0; slot < filled.length; slot++) {
      outOf[slot]! += filled[slot]!;
      toward[slot]! += filled[slot]!;
      total[slot]! += filled[slot]!;
    }
  });
  const smallest = 1e-3;
  for (const series of [...out, ...into, total]) for (let slot = 0; slot < series.length; slot++) series[slot] = Math.log(series[slot]! + smallest);
  return { source, target, out, in: into, total };
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
