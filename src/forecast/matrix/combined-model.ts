import type { DemandMatrix } from './demand-matrix.ts';
import type { MatrixFitTask, MatrixForecasts, MatrixModel, MatrixModelDump } from './matrix-model.ts';

/** A model that is made of what others say, cell by cell. It learns nothing itself. */
export abstract class CombinedModel implements MatrixModel {
  abstract readonly name: string;
  readonly members: readonly MatrixModel[];

  constructor(members: readonly MatrixModel[]) {
    this.members = members;
  }

  /** One forecast of those of all members, in their order, before any is calibrated; leaves them as they are. @param pairs  of the matrix */
  abstract combine(all: readonly MatrixForecasts[], pairs: number): MatrixForecasts;

  /** The same of other members. */
  abstract withMembers(members: readonly MatrixModel[]): CombinedModel;

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

  /** Every member's forecast by its name, and what is made of them under this one's. */
  async forecastAll(matrix: DemandMatrix, origins: Int32Array, steps: number): Promise<Map<string, MatrixForecasts>> {
    const all = new Map<string, MatrixForecasts>();
    for (const member of this.members) all.set(member.name, await member.forecast(matrix, origins, steps));
    return all.set(this.name, this.combine([...all.values()], matrix.pairs.length));
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
