import { covariateInputs, fillGaps, type Covariate, type DemandMatrix } from './matrix/demand-matrix.ts';
import { hourSlots } from './matrix/pair-past.ts';
import { lossInput, PATH_INPUTS } from './path-covariates.ts';

/** From this loss on a flow gives way to it: what is seen is less than what is wanted. */
const LOSS_MIN = 0.01;

export interface CalmPast {
  /** The past as it might have been if no way had lost anything. */
  matrix: DemandMatrix;
  /** Pairs whose way loses now, or did in the last hour. */
  strained: readonly number[];
}

/**
 * What was wanted rather than what got through. While a way loses 1 % or more, and for an hour after, a demand is taken for
 * at least what it was before (`fillGaps`: the last value for an hour, then the day before), and the way for a calm one. A
 * forecast of this past does not fall because packets are lost, and what is planned with it provides for those who would
 * come back. Looks at nothing but the slots of the matrix, and never lowers one.
 * @returns  null where no way is strained now
 */
export function asIfCalm(matrix: DemandMatrix): CalmPast | null {
  const { covariates = [], pairs, values, length, slotsPerDay } = matrix;
  const losses = covariateInputs({ covariates: covariates.filter(({ name }) => name === 'path:loss'), pairs })[0]?.ofPair ?? [];
  const masks = new Map<Covariate, Uint8Array>();
  const maskOf = (loss: Covariate): Uint8Array => {
    const mask = masks.get(loss) ?? strainedSlots(loss.values, length, hourSlots(slotsPerDay));
    masks.set(loss, mask);
    return mask;
  };
  const strained = [...pairs.keys()].filter((pair) => losses[pair] && maskOf(losses[pair])[length - 1] === 1);
  if (strained.length === 0) return null;
  const isStrained = new Set(strained);
  const calm = values.map((series, pair) => (isStrained.has(pair) ? atLeastBefore(series, maskOf(losses[pair]!), slotsPerDay) : series));
  // Added last, a covariate says what its pairs see of a name.
  const calmWays = PATH_INPUTS.flatMap((name) => {
    const [input] = covariateInputs({ covariates: covariates.filter((each) => each.name === name), pairs });
    return strained.flatMap((pair): Covariate[] => {
      const own = input?.ofPair[pair];
      const mask = maskOf(losses[pair]!);
      return own ? [{ ...own, pairs: [pair], values: own.values.map((value, slot) => (mask[slot] === 1 ? 0 : value)) }] : [];
    });
  });
  return { matrix: { ...matrix, values: calm, covariates: [...covariates, ...calmWays] }, strained };
}

/** 1 from a slot with that much loss until `hold` slots after it. */
function strainedSlots(losses: Float32Array, length: number, hold: number): Uint8Array {
  const threshold = lossInput(LOSS_MIN);
  const mask = new Uint8Array(length);
  let left = 0;
  for (let slot = 0; slot < length; slot++) {
    left = losses[slot]! >= threshold ? hold + 1 : Math.max(0, left - 1);
    mask[slot] = left > 0 ? 1 : 0;
  }
  return mask;
}

function atLeastBefore(values: Float32Array, mask: Uint8Array, slotsPerDay: number): Float32Array {
  const before = fillGaps(values.map((value, slot) => (mask[slot] === 1 ? Number.NaN : value)), slotsPerDay);
  return values.map((value, slot) => (mask[slot] === 1 ? Math.max(value, before[slot]!) : value));
}
