import { emptyForecasts, QUANTILES, type FitTask, type ForecastModel, type ModelDump, type Origin, type QuantileForecasts } from './forecast-model.ts';
import { rollingOrigins } from './backtest.ts';
import { loadTensorFlow } from './lstm-backend.ts';
import { hasDayOfSameKind, makeFeatures, makeTargets } from './lstm-features.ts';
import { LstmNetwork } from './lstm-network.ts';
import { firstKnownSlot, meanOf, type SeriesTable } from './series-table.ts';

/** Sizes that trade accuracy for training time; see docs/forecasting.md for what was measured. */
export interface LstmOptions {
  /** Slots the LSTM reads. */
  window: number;
  hidden: number;
  dense: number;
  epochs: number;
  batchSize: number;
  learningRate: number;
  /** Training rows at most; with more, slots are skipped evenly. */
  rowsMax: number;
}

export const DEFAULT_LSTM_OPTIONS: LstmOptions = { window: 12, hidden: 16, dense: 32, epochs: 6, batchSize: 256, learningRate: 0.01, rowsMax: 5000 };

/** Rows forecast in one go: bounds the memory. */
const CHUNK = 1024;

/** One global LSTM for all demands: what it learns of one it knows of all. Needs a day before the origin. */
export class LstmModel implements ForecastModel {
  readonly name = 'lstm';
  readonly #options: LstmOptions;
  #network: LstmNetwork | null = null;

  constructor(options: Partial<LstmOptions> = {}) {
    this.#options = { ...DEFAULT_LSTM_OPTIONS, ...options };
  }

  canForecast(table: SeriesTable, origin: Origin): boolean {
    return this.#network !== null && firstKnownSlot(table, origin) <= origin.slot - table.slotsPerDay;
  }

  async fit(task: FitTask): Promise<void> {
    const { table, horizon, untilSlot, seed } = task;
    const { window, hidden, dense, rowsMax } = this.#options;
    const possible = rollingOrigins(table, table.slotsPerDay, untilSlot, horizon, 1);
    // The first weekend (or the first working day after one) has nothing to compare with; it would teach to distrust the past.
    const comparable = possible.filter((origin) => hasDayOfSameKind(table, origin.slot, horizon));
    const usable = comparable.length >= possible.length / 3 ? comparable : possible;
    const origins = usable.filter(skipEvenly(usable.length, rowsMax));
    if (origins.length < 64) throw new Error(`${origins.length} rows are too few to learn from`);
    const runtime = await loadTensorFlow();
    this.#network?.dispose();
    this.#network = new LstmNetwork(runtime, { window, hidden, dense, horizon }, seed);
    const features = makeFeatures(table, origins, window, horizon);
    const { epochs, batchSize, learningRate } = this.#options;
    await this.#network.train(features, makeTargets(table, origins, features, horizon), rowWeights(table, origins, untilSlot), {
      epochs,
      batchSize: Math.min(batchSize, origins.length),
      learningRate,
      seed,
      onEpoch: (epoch, loss) => Promise.resolve(task.onProgress(epoch, epochs, `lstm on ${runtime.backend}: epoch ${epoch}, loss ${loss.toFixed(4)}`)),
    });
  }

  forecast(table: SeriesTable, origins: readonly Origin[], horizon: number): Promise<QuantileForecasts> {
    const network = this.#network;
    if (!network || network.size.horizon < horizon) return Promise.reject(new Error('not trained for this horizon'));
    const result = emptyForecasts(origins.length, horizon);
    for (let from = 0; from < origins.length; from += CHUNK) {
      const part = origins.slice(from, from + CHUNK);
      const features = makeFeatures(table, part, network.size.window, network.size.horizon);
      const predicted = network.predict(features);
      part.forEach((_, row) => {
        for (let cell = 0; cell < horizon * QUANTILES.length; cell++) {
          const scaled = predicted[row * network.size.horizon * QUANTILES.length + cell]! + features.anchors[row]!;
          result.values[(from + row) * horizon * QUANTILES.length + cell] = Math.max(0, features.levels[row]! * Math.expm1(scaled));
        }
      });
    }
    return Promise.resolve(result);
  }

  dump(): ModelDump | null {
    return this.#network && { settings: { ...this.#network.size }, weights: this.#network.weights() };
  }

  async restore(dump: ModelDump): Promise<void> {
    const { window, hidden, dense, horizon } = dump.settings;
    if (!window || !hidden || !dense || !horizon) throw new Error('the sizes of the network are missing');
    const network = new LstmNetwork(await loadTensorFlow(), { window, hidden, dense, horizon }, 'restored');
    network.setWeights(dump.weights);
    this.#network?.dispose();
    this.#network = network;
  }

  close(): void {
    this.#network?.dispose();
    this.#network = null;
  }
}

/** Keeps about `wanted` of `all` items, evenly spread, from the same places every time. */
function skipEvenly(all: number, wanted: number): (item: unknown, index: number) => boolean {
  const step = all / wanted;
  return step <= 1 ? () => true : (_, index) => Math.floor(index / step) !== Math.floor((index - 1) / step);
}

/** Heavy demands count more, by the root of their share, so that the sum of errors is what falls. */
function rowWeights(table: SeriesTable, origins: readonly Origin[], untilSlot: number): Float32Array {
  const means = table.series.map((series) => meanOf(series, 0, untilSlot));
  const overall = means.reduce((sum, mean) => sum + mean, 0) / Math.max(1, means.length) || 1;
  return Float32Array.from(origins, (origin) => Math.min(10, Math.max(0.05, Math.sqrt(means[origin.series]! / overall))));
}
