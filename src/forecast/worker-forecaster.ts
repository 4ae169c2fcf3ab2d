import { Worker } from 'node:worker_threads';
import { ERROR_CODES, ForemeshError, messageOf, type ErrorCode } from '../base/index.ts';
import type { BacktestScore, ClassId, DemandSeries, Forecast, ForecastSettings, Observation } from '../model/index.ts';
import { createInlineForecaster } from './inline-forecaster.ts';
import type { Forecaster, ForecasterOptions, TrainingProgress } from './forecaster.ts';
import type { WorkerCall, WorkerOptions, WorkerReply } from './worker-protocol.ts';

const HEAP_MAX_MB = 768;

/**
 * A forecaster in a thread of its own at low priority, so that neither training nor forecasting holds up the engine. A
 * thread that dies is started again for the next call and takes up what was last saved or loaded. From TypeScript sources
 * (tests; Node 20 cannot load them in a thread) it is the inline forecaster instead.
 * @throws ForemeshError FORECAST_FAILED for the name of a model that does not exist
 */
export async function createForecaster(options: ForecasterOptions = {}): Promise<Forecaster> {
  const inline = await createInlineForecaster(options); // also refuses unknown models before a thread exists
  if (import.meta.url.endsWith('.ts')) return inline;
  await inline.close();
  return new WorkerForecaster(options);
}

interface PendingCall {
  resolve(value: unknown): void;
  reject(cause: unknown): void;
  onProgress: ((progress: TrainingProgress) => void) | undefined;
}

class WorkerForecaster implements Forecaster {
  readonly #options: WorkerOptions;
  readonly #onNotice: (text: string) => void;
  readonly #pending = new Map<number, PendingCall>();
  #worker: Worker | null = null;
  #lastId = 0;
  /** Where the state was last saved or loaded: what a restarted thread begins with. */
  #folder: string | null = null;
  #isClosed = false;

  constructor({ onNotice, ...options }: ForecasterOptions) {
    this.#options = options;
    this.#onNotice = onNotice ?? (() => undefined);
  }

  train(history: readonly DemandSeries[], settings: ForecastSettings, endAt: number, seed: string, onProgress?: (progress: TrainingProgress) => void): Promise<BacktestScore[]> {
    return this.#call('train', [history, settings, endAt, seed], onProgress) as Promise<BacktestScore[]>;
  }

  forecast(observation: Observation, settings: ForecastSettings, classPriorities?: ReadonlyMap<ClassId, number>): Promise<Forecast> {
    return this.#call('forecast', [observation, settings, classPriorities]) as Promise<Forecast>;
  }

  async save(folder: string): Promise<void> {
    await this.#call('save', [folder]);
    this.#folder = folder;
  }

  async load(folder: string): Promise<boolean> {
    const isLoaded = (await this.#call('load', [folder])) as boolean;
    if (isLoaded) this.#folder = folder;
    return isLoaded;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const worker = this.#worker;
    this.#worker = null;
    await worker?.terminate();
  }

  #call(method: WorkerCall['method'], args: unknown[], onProgress?: (progress: TrainingProgress) => void): Promise<unknown> {
    if (this.#isClosed) return Promise.reject(new ForemeshError('FORECAST_FAILED', { what: 'the forecaster is closed', fix: 'make another one; this is a bug of the caller' }));
    const worker = this.#worker ?? this.#start();
    return this.#post(worker, method, args, onProgress);
  }

  #post(worker: Worker, method: WorkerCall['method'], args: unknown[], onProgress?: (progress: TrainingProgress) => void): Promise<unknown> {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject, onProgress });
      worker.ref(); // while it works for us the process must wait for it
      worker.postMessage({ id, method, args } satisfies WorkerCall, []);
    });
  }

  #start(): Worker {
    const worker = new Worker(new URL('./worker-entry.js', import.meta.url), { workerData: this.#options, resourceLimits: { maxOldGenerationSizeMb: HEAP_MAX_MB } });
    this.#worker = worker;
    worker.on('message', (reply: WorkerReply) => this.#receive(worker, reply));
    worker.on('error', (cause) => this.#onDeath(worker, messageOf(cause)));
    worker.on('exit', (code) => this.#onDeath(worker, `its thread ended with ${code}`));
    if (this.#folder !== null) {
      this.#post(worker, 'load', [this.#folder]).catch((cause: unknown) => this.#onNotice(`the forecaster restarted without its state: ${messageOf(cause)}`));
    }
    return worker;
  }

  #receive(worker: Worker, reply: WorkerReply): void {
    if (reply.kind === 'notice') {
      this.#onNotice(reply.text);
      return;
    }
    const call = this.#pending.get(reply.id);
    if (!call) return;
    if (reply.kind === 'progress') {
      call.onProgress?.(reply.progress);
      return;
    }
    this.#pending.delete(reply.id);
    if (this.#pending.size === 0) worker.unref();
    if (reply.kind === 'result') call.resolve(reply.value);
    else call.reject(new ForemeshError(isErrorCode(reply.code) ? reply.code : 'FORECAST_FAILED', { what: reply.what, fix: reply.fix }));
  }

  #onDeath(worker: Worker, why: string): void {
    if (this.#worker !== worker && this.#worker !== null) return;
    this.#worker = null;
    const calls = [...this.#pending.values()];
    this.#pending.clear();
    for (const call of calls) call.reject(new ForemeshError('FORECAST_FAILED', { what: `the forecaster stopped: ${why}`, fix: 'ask again; the thread is started anew' }));
  }
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERROR_CODES, code);
}
