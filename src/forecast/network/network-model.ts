import { Worker } from 'node:worker_threads';
import type { DemandMatrix } from '../matrix/demand-matrix.ts';
import type { MatrixFitTask, MatrixForecasts, MatrixModel, MatrixModelDump } from '../matrix/matrix-model.ts';
import { exportOnnx } from './export-onnx.ts';
import { fitNetwork, sizesFor, type NetworkFitTask, type NetworkOptions } from './fit-network.ts';
import { dumpNetwork, forecastNetwork, resizedNetwork, restoreNetwork, type FittedNetwork } from './fitted-network.ts';
import { forecastInHelper, leaveHelper } from './network-helper.ts';
import type { FitReply, FitRequest } from './network-worker.ts';

/**
 * One recurrent network for all pairs, horizons and quantiles; what it learns of one pair it knows of all. It learns in a
 * thread of its own (from TypeScript sources, which Node 20 cannot load in a thread, in this one); one origin of many pairs is
 * forecast in another thread, too, so that trees can do the same here.
 */
export class NetworkModel implements MatrixModel {
  readonly name: string;
  private readonly options: Partial<NetworkOptions>;
  private fitted: FittedNetwork | null = null;
  private worker: Worker | null = null;

  /** @param name  another one begins from other weights and draws other rows: its errors are others, so a mean of both is better than each */
  constructor(options: Partial<NetworkOptions> = {}, name = 'network') {
    this.options = options;
    this.name = name;
  }

  async fit({ matrix, horizons, seed, onProgress, warmStart = false }: MatrixFitTask): Promise<void> {
    const task: NetworkFitTask = { matrix, horizons, seed: this.name === 'network' ? seed : `${seed}/${this.name}`, options: sizesFor(matrix, this.options) };
    const previous = warmStart ? this.fitted : null;
    if (import.meta.url.endsWith('.ts')) this.fitted = fitNetwork(task, previous, onProgress);
    else this.fitted = restoreNetwork(await this.fitInThread({ task, previous: previous && dumpNetwork(previous) }, onProgress));
  }

  async forecast(matrix: DemandMatrix, origins: Int32Array, steps: number): Promise<MatrixForecasts> {
    const forecasts = (await this.forecastHorizons(matrix, origins)).get(steps);
    if (!forecasts) throw new Error(`the network was trained for ${this.trained().horizons.join(', ')} slots ahead, not ${steps}`);
    return forecasts;
  }

  /** All horizons of the fit at once, for the price of one. */
  async forecastHorizons(matrix: DemandMatrix, origins: Int32Array): Promise<Map<number, MatrixForecasts>> {
    const fitted = this.trained();
    const forecasts = (await forecastInHelper(this, fitted, matrix, origins)) ?? forecastNetwork(fitted, matrix, origins);
    return new Map(fitted.horizons.map((steps, index) => [steps, forecasts[index]!]));
  }

  dump(): MatrixModelDump {
    return dumpNetwork(this.trained());
  }

  restore(dump: MatrixModelDump): void {
    this.fitted = restoreNetwork(dump);
  }

  async resized(matrix: DemandMatrix, horizons: readonly number[]): Promise<NetworkModel> {
    const other = new NetworkModel(this.options, this.name);
    other.fitted = resizedNetwork(this.trained(), matrix, horizons);
    return other;
  }

  /** The network as an ONNX model: see docs/network.md for its inputs. */
  exportOnnx(): Uint8Array {
    const { network, standardiser, horizons } = this.trained();
    return exportOnnx(network, standardiser, { horizonSlots: horizons.join(','), quantiles: 'p50,p90,p95' });
  }

  async close(): Promise<void> {
    await leaveHelper(this);
    await this.worker?.terminate();
    this.worker = null;
    this.fitted = null;
  }

  private trained(): FittedNetwork {
    if (!this.fitted) throw new Error('the network has not been trained');
    return this.fitted;
  }

  private fitInThread(request: FitRequest, onProgress: (text: string) => void): Promise<MatrixModelDump> {
    const worker = new Worker(new URL('./network-worker.js', import.meta.url), { workerData: request });
    this.worker = worker;
    return new Promise((resolve, reject) => {
      worker.on('message', (reply: FitReply) => (reply.kind === 'progress' ? onProgress(reply.text) : resolve(reply.dump)));
      worker.on('error', reject);
      worker.on('exit', (code) => {
        if (this.worker === worker) this.worker = null;
        reject(new Error(`the thread that trained the network ended with ${code}`)); // does nothing after a result
      });
    });
  }
}
