import { createRng } from '../../base/index.ts';
import { scalesOf } from '../matrix/boosted-model.ts';
import type { DemandMatrix } from '../matrix/demand-matrix.ts';
import type { FittedNetwork } from './fitted-network.ts';
import { NetworkInputs } from './network-inputs.ts';
import { QuantileNetwork } from './quantile-network.ts';
import { fitStandardiser } from './standardiser.ts';
import { trainNetwork, type TrainingOptions } from './training.ts';
import { drawRows, type SamplingOptions, type TrainingRows } from './training-rows.ts';

/** Sizes that trade accuracy for training time; see docs/network.md for what was measured. */
export interface NetworkOptions extends TrainingOptions, SamplingOptions {
  /** Steps of each sequence. */
  window: number;
  /** Width of each GRU's state, a multiple of 8; 0 leaves them out. */
  state: number;
  /** Widths of the dense layers, multiples of 8. */
  dense: readonly number[];
  /** Rows at a time, a multiple of 4. */
  batch: number;
  /** Rows drawn for an epoch, from all pairs together. */
  rowsPerEpoch: number;
  /** Epochs, and the learning rate, when it goes on from earlier weights. */
  warmEpochs: number;
  warmLearningRate: number;
  /** The newest part, which decides what epoch's weights are kept; not learned from. 0: the last epoch's are. */
  validationShare: number;
}

export const NETWORK_DEFAULTS: NetworkOptions = {
  window: 12,
  state: 16,
  dense: [256, 128],
  batch: 256,
  rowsPerEpoch: 100_000,
  epochs: 18,
  learningRate: 2e-3,
  weightDecay: 0,
  averaging: 0.998,
  weightPower: 0.8,
  samplingPower: 0.5,
  warmEpochs: 6,
  warmLearningRate: 5e-4,
  validationShare: 0.04,
};

/** For less than `SMALL_CELLS` of slots times pairs: less to learn with less, and the newest part is too dear to validate on. */
export const SMALL_NETWORK: Partial<NetworkOptions> = { dense: [32], batch: 64, epochs: 4, learningRate: 4e-3, weightDecay: 2, warmEpochs: 2, warmLearningRate: 1e-3, validationShare: 0 };
const SMALL_CELLS = 100_000;
/** Going on from earlier weights needs something to judge by. */
const WARM_VALIDATION_SHARE = 0.04;
const VALIDATION_ROWS = 12_000;
const STANDARD_ROWS = 20_000;

/** The usual sizes for as much data, unless others are asked for. */
export function sizesFor(matrix: DemandMatrix, options: Partial<NetworkOptions>): NetworkOptions {
  return { ...NETWORK_DEFAULTS, ...(matrix.length * matrix.pairs.length < SMALL_CELLS && SMALL_NETWORK), ...options };
}

/** What a fit needs; plain data, so that a thread can be given it. */
export interface NetworkFitTask {
  matrix: DemandMatrix;
  /** Slots ahead, ascending. */
  horizons: readonly number[];
  seed: string;
  options: NetworkOptions;
}

/** @param previous  weights to go on from, when their shape is still the one asked for */
export function fitNetwork({ matrix, horizons, seed, options }: NetworkFitTask, previous: FittedNetwork | null, onProgress: (text: string) => void): FittedNetwork {
  const scales = scalesOf(matrix);
  const inputs = new NetworkInputs(matrix, horizons, scales, options.window);
  const network = new QuantileNetwork({ inputs: inputs.count, recent: inputs.recent, daily: inputs.daily, state: options.state, dense: options.dense, horizons: horizons.length, batch: options.batch });
  const isWarm = previous !== null && isSame(previous.network.shape, network.shape) && isSame(previous.horizons, horizons);

  // Enough past for the inputs of a week where there are several, else of a day.
  const day = matrix.slotsPerDay;
  const from = matrix.length >= 28 * day ? 7 * day : Math.min(day, Math.floor(matrix.length / 3));
  const until = Math.max(from, matrix.length - horizons[0]!);
  const validationShare = isWarm ? Math.max(WARM_VALIDATION_SHARE, options.validationShare) : options.validationShare;
  const split = splitOf(matrix, { from, until }, horizons[0]!, validationShare);
  // What is validated on begins where the last target that was learned ends.
  const learned = validationShare > 0 ? { from, until: Math.max(from, split - horizons[0]!), known: split } : { from, until, known: matrix.length };
  const rng = createRng(seed).fork('network');
  let drawn: TrainingRows | null = null;
  const draw = (wanted: number, purpose: string): TrainingRows => (drawn = drawRows(inputs, scales, horizons, learned, wanted, options, rng.fork(purpose), drawn));
  const validation = drawRows(inputs, scales, horizons, { from: split, until, known: matrix.length }, VALIDATION_ROWS, options, rng.fork('validation'));
  if (isWarm) network.parameters.forEach(({ value }, index) => value.values.set(previous.network.parameters[index]!.value.values));
  else network.start(`${seed}/network`);
  const standardiser = isWarm ? previous.standardiser : fitStandardiser(draw(STANDARD_ROWS, 'standard'), inputs.count);
  const training = isWarm ? { ...options, epochs: options.warmEpochs, learningRate: options.warmLearningRate } : options;
  trainNetwork(network, standardiser, (epoch) => draw(options.rowsPerEpoch, `rows/${epoch}`), validation, seed, training, (epoch, loss) => {
    onProgress(`network: epoch ${epoch} of ${training.epochs}, loss ${loss.toFixed(5)}`);
  });
  return { horizons, scales, standardiser, network };
}

/** Where the newest share of those slots begins whose target is known of any pair: a long gap at the end must not be all there is to judge by. */
function splitOf(matrix: DemandMatrix, { from, until }: { from: number; until: number }, steps: number, share: number): number {
  const known: number[] = [];
  for (let slot = from; slot < until; slot++) if (matrix.values.some((values) => !Number.isNaN(values[slot + steps]!))) known.push(slot);
  return share > 0 && known.length > 0 ? known[Math.min(known.length - 1, Math.floor((1 - share) * known.length))]! : until;
}

function isSame(left: unknown, right: unknown): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}
