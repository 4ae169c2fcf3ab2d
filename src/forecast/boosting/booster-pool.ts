import { Worker } from 'node:worker_threads';
import { ForemeshError, messageOf } from '../../base/index.ts';
import { runBoosterJob, type BoosterJob } from './booster-job.ts';
import type { QuantileBooster } from './quantile-booster.ts';

interface Pending {
  job: BoosterJob;
  resolve: (booster: QuantileBooster) => void;
  reject: (cause: unknown) => void;
}

/**
 * Grows boosters on a few threads, in the order asked for. From TypeScript sources (tests; Node 20 cannot load them in a
 * thread) it grows them here instead. Which thread takes a job changes nothing in the result.
 */
export class BoosterPool {
  readonly #threads: number;
  readonly #idle: Worker[] = [];
  readonly #busy = new Map<Worker, Pending>();
  readonly #waiting: Pending[] = [];

  constructor(threads: number) {
    this.#threads = import.meta.url.endsWith('.ts') ? 0 : threads;
  }

  /** @throws ForemeshError FORECAST_FAILED when the thread ends */
  run(job: BoosterJob): Promise<QuantileBooster> {
    if (this.#threads === 0) return Promise.resolve(runBoosterJob(job));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ job, resolve, reject });
      this.#next();
    });
  }

  async close(): Promise<void> {
    const workers = [...this.#idle.splice(0), ...this.#busy.keys()];
    await Promise.all(workers.map((worker) => worker.terminate()));
  }

  #next(): void {
    while (this.#waiting.length > 0) {
      const worker = this.#idle.pop() ?? (this.#busy.size < this.#threads ? this.#start() : null);
      if (!worker) return;
      const pending = this.#waiting.shift()!;
      this.#busy.set(worker, pending);
      worker.ref();
      worker.postMessage(pending.job, []);
    }
  }

  #start(): Worker {
    const worker = new Worker(new URL('./booster-entry.js', import.meta.url));
    worker.on('message', (booster: QuantileBooster) => {
      const pending = this.#busy.get(worker)!;
      this.#busy.delete(worker);
      worker.unref();
      this.#idle.push(worker);
      pending.resolve(booster);
      this.#next();
    });
    worker.on('error', (cause) => this.#lose(worker, messageOf(cause)));
    worker.on('exit', (code) => this.#lose(worker, `its thread ended with ${code}`));
    return worker;
  }

  #lose(worker: Worker, why: string): void {
    const at = this.#idle.indexOf(worker);
    if (at >= 0) this.#idle.splice(at, 1);
    const pending = this.#busy.get(worker);
    this.#busy.delete(worker);
    pending?.reject(new ForemeshError('FORECAST_FAILED', { what: `the trees could not be grown: ${why}`, fix: 'train again; if it stays, give the machine more memory' }));
    this.#next();
  }
}
