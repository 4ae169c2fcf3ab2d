import type { QuantileBooster } from '../boosting/quantile-booster.ts';
import type { Tree } from '../boosting/tree.ts';
import type { HorizonBoosters } from './boosted-model.ts';
import type { MatrixModelDump } from './matrix-model.ts';

interface Settings {
  horizons: { steps: number; columns: number; boosters: { start: number; learningRate: number; trees: number; nodes: number }[] }[];
}

/**
 * Boosters as plain data: weights hold the pairs' scales, then for each horizon the bins' edges column by column, then
 * for each booster its trees, five arrays of `nodes` numbers a tree.
 */
export function dumpBoosters(scales: Float32Array, horizons: ReadonlyMap<number, HorizonBoosters>): MatrixModelDump {
  const weights: Float32Array[] = [scales];
  const settings: Settings = { horizons: [] };
  for (const [steps, { edges, boosters }] of horizons) {
    weights.push(...edges);
    const sizes = boosters.map(({ start, learningRate, trees }) => {
      const nodes = trees[0]?.value.length ?? 0;
      const flat = new Float32Array(trees.length * nodes * 5);
      trees.forEach((tree, index) => partsOf(tree).forEach((part, at) => flat.set(part, (index * 5 + at) * nodes)));
      weights.push(flat);
      return { start, learningRate, trees: trees.length, nodes };
    });
    settings.horizons.push({ steps, columns: edges.length, boosters: sizes });
  }
  return { settings, weights };
}

/** @throws Error when something is missing, or a tree could not be walked: a child before its parent, an input that is not there */
export function restoreBoosters(dump: MatrixModelDump): { scales: Float32Array; horizons: Map<number, HorizonBoosters> } {
  const { horizons } = dump.settings as Settings;
  const [scales, ...rest] = dump.weights;
  const restored = horizons.map(({ steps, columns, boosters }): [number, HorizonBoosters] => {
    const edges = rest.splice(0, columns);
    return [steps, { edges, boosters: boosters.map((sizes) => restoreBooster(rest.shift(), sizes, columns)) }];
  });
  if (!scales?.every((scale) => scale > 0) || rest.length > 0 || restored.some(([, { edges }], index) => edges.length !== horizons[index]!.columns)) throw new Error('scales or bins are missing');
  return { scales, horizons: new Map(restored) };
}

function restoreBooster(flat: Float32Array | undefined, { start, learningRate, trees, nodes }: Settings['horizons'][0]['boosters'][0], columns: number): QuantileBooster {
  if (!flat || flat.length !== trees * nodes * 5 || !Number.isFinite(start) || !Number.isFinite(learningRate)) throw new Error('trees are missing');
  const part = (tree: number, at: number): Float32Array => flat.subarray((tree * 5 + at) * nodes, (tree * 5 + at + 1) * nodes);
  return {
    start,
    learningRate,
    trees: Array.from({ length: trees }, (_, tree) =>
      walkable({ feature: Int16Array.from(part(tree, 0)), threshold: Uint8Array.from(part(tree, 1)), left: Int16Array.from(part(tree, 2)), right: Int16Array.from(part(tree, 3)), value: part(tree, 4) }, columns),
    ),
  };
}

function walkable(tree: Tree, columns: number): Tree {
  for (let node = 0; node < tree.feature.length; node++) {
    const feature = tree.feature[node]!;
    const isChild = (child: number): boolean => child > node && child < tree.feature.length;
    if (feature >= columns || (feature >= 0 && !(isChild(tree.left[node]!) && isChild(tree.right[node]!)))) throw new Error('a tree leads nowhere');
  }
  return tree;
}

function partsOf({ feature, threshold, left, right, value }: Tree): ArrayLike<number>[] {
  return [feature, threshold, left, right, value];
}
