import type { DemandMatrix } from './demand-matrix.ts';
import type { MatrixFitTask, MatrixForecasts, MatrixModel, MatrixModelDump } from './matrix-model.ts';

/**
 * The mean of several models, in log1p(y/c): their errors are not the same, so it is better than each. The first
 * learns beside the others, which learn one after another; all must share the scale c of each pair.
 */
export class EnsembleModel implements MatrixModel {
  readonly name = 'ensemble';
  readonly members: readonly MatrixModel[];

  constructor(members: readonly MatrixModel[]) {
    this.members = members;
  }

  async fit(task: MatrixFitTask): Promise<void> {
    const [first, ...others] = this.members;
    // Not all at a time: each has inputs of its own while it learns, and together they would need a gigabyte.
    const inTurn = async (): Promise<void> => {
      for (const member of others) await member.fit(task);
    };
    await Promise.all([first?.fit(task), inTurn()]);
  }

  async forecast(matrix: DemandMatrix, origins: Int32Array, steps: number): Promise<MatrixForecasts> {
    return (await this.forecastAll(matrix, origins, steps)).get(this.name)!;
  }

  /** Every member's forecast by its name, and their mean under this one's. */
  async forecastAll(matrix: DemandMatrix, origins: Int32Array, steps: number): Promise<Map<string, MatrixForecasts>> {
    const all = new Map<string, MatrixForecasts>();
    for (const member of this.members) all.set(member.name, await member.forecast(matrix, origins, steps));
    return all.set(this.name, meanForecasts([...all.values()], matrix.pairs.length));
  }

  dump(): MatrixModelDump {
    const dumps = this.members.map((member) => member.dump!());
    return { settings: { members: dumps.map(({ settings, weights }) => ({ settings, weights: weights.length })) }, weights: dumps.flatMap(({ weights }) => weights) };
  }

  restore({ settings, weights }: MatrixModelDump): void {
    let at = 0;
    (settings as { members: { settings: unknown; weights: number }[] }).members.forEach((member, index) => {
      this.members[index]!.restore!({ settings: member.settings, weights: weights.slice(at, at + member.weights) });
      at += member.weights;
    });
  }

  async close(): Promise<void> {
    for (const member of this.members) await member.close?.();
  }
}

/** Mean of each quantile in log1p(y/c), with the first one's c; what it is made of stays as it is. */
export function meanForecasts(all: readonly MatrixForecasts[], pairs: number): MatrixForecasts {
  const logScale = all[0]!.logScale!;
  const mean = (parts: readonly Float32Array[]): Float32Array =>
    Float32Array.from(parts[0]!, (_, at) => {
      const scale = logScale[at % pairs]!;
      let sum = 0;
      for (const part of parts) sum += Math.log1p(part[at]! / scale);
      return scale * Math.expm1(sum / parts.length);
    });
  return { p50: mean(all.map(({ p50 }) => p50)), p90: mean(all.map(({ p90 }) => p90)), p95: mean(all.map(({ p95 }) => p95)), logScale };
}
