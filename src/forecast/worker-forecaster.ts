import { ForemeshError, messageOf } from '../base/index.ts';
import type { ClassId, Forecast, ForecastSettings, Observation } from '../model/index.ts';
import type { CovariateSeries } from './covariates.ts';
import { ForecastThread } from './forecast-thread.ts';
import { createInlineForecaster } from './inline-forecaster.ts';
import type { Forecaster, ForecasterOptions, TrainingProgress, TrainingResult, TrainingTask } from './forecaster.ts';
import type { ModelFileHeader } from './model-file.ts';

const HEAP_MAX_MB = { forecasting: 512, training: 1024 };
/** A training gives way to whatever else wants the processor. */
const TRAINING_NICENESS = 10;

/**
 * A forecaster in threads: one forecasts and answers at once, also while another, at low priority and only as long as it
 * takes, trains. A forecasting thread that dies is started again for the next call with what was last in use. From
 * TypeScript sources (tests; Node 20 cannot load them in a thread) it is the inline forecaster instead.
 * @throws ForemeshError FORECAST_FAILED for the name of a model that does not exist
 */
export async function createForecaster(options: ForecasterOptions = {}): Promise<Forecaster> {
  const inline = await createInlineForecaster(options); // also refuses unknown models before a thread exists
  if (import.meta.url.endsWith('.ts')) return inline;
  await inline.close();
  return new ThreadedForecaster(options);
}

class ThreadedForecaster implements Forecaster {
  readonly #options: Omit<ForecasterOptions, 'onNotice'>;
  readonly #onNotice: (text: string) => void;
  #thread: ForecastThread | null = null;
  #trainings = new Set<ForecastThread>();
  /** What a restarted thread begins with. */
  #inUse: { file: Uint8Array; version: number | null } | null = null;
  #isClosed = false;

  constructor({ onNotice, ...options }: ForecasterOptions) {
    this.#options = options;
    this.#onNotice = onNotice ?? (() => undefined);
  }

  async train(task: TrainingTask, onProgress?: (progress: TrainingProgress) => void): Promise<TrainingResult> {
    if (this.#isClosed) throw closed();
    const thread = new ForecastThread({ ...this.#options, niceness: TRAINING_NICENESS }, HEAP_MAX_MB.training, this.#onNotice);
    this.#trainings.add(thread);
    try {
      const result = (await thread.call('train', [task], onProgress)) as TrainingResult;
      await this.restore((await thread.call('dump', [])) as Uint8Array, task.version ?? null);
      return result;
    } finally {
      this.#trainings.delete(thread);
      await thread.end();
    }
  }

  async forecast(observation: Observation, settings: ForecastSettings, classPriorities?: ReadonlyMap<ClassId, number>, covariates?: readonly CovariateSeries[]): Promise<Forecast> {
    return (await this.#forecasting().call('forecast', [observation, settings, classPriorities, covariates])) as Forecast;
  }

  dump(): Promise<Uint8Array | null> {
    return Promise.resolve(this.#inUse?.file ?? null);
  }

  async restore(file: Uint8Array, version: number | null): Promise<ModelFileHeader> {
    const header = (await this.#forecasting().call('restore', [file, version])) as ModelFileHeader;
    this.#inUse = { file, version };
    return header;
  }

  async inspect(file: Uint8Array): Promise<ModelFileHeader> {
    return (await this.#forecasting().call('inspect', [file])) as ModelFileHeader;
  }

  async exportOnnx(file: Uint8Array): Promise<Uint8Array> {
    return (await this.#forecasting().call('exportOnnx', [file])) as Uint8Array;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const threads = [...this.#trainings, ...(this.#thread ? [this.#thread] : [])];
    this.#thread = null;
    this.#inUse = null;
    await Promise.all(threads.map((thread) => thread.end()));
  }

  #forecasting(): ForecastThread {
    if (this.#isClosed) throw closed();
    if (this.#thread && !this.#thread.isDead) return this.#thread;
    const thread = new ForecastThread({ ...this.#options, niceness: 0 }, HEAP_MAX_MB.forecasting, this.#onNotice);
    this.#thread = thread;
    if (this.#inUse) {
      const { file, version } = this.#inUse;
      thread.call('restore', [file, version]).catch((cause: unknown) => this.#onNotice(`the forecaster restarted without its state: ${messageOf(cause)}`));
    }
    return thread;
  }
}

function closed(): ForemeshError {
  return new ForemeshError('FORECAST_FAILED', { what: 'the forecaster is closed', fix: 'make another one; this is a bug of the caller' });
}
