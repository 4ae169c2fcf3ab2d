import { Worker } from 'node:worker_threads';
import { ERROR_CODES, ForemeshError, messageOf, type ErrorCode } from '../base/index.ts';
import type { TrainingProgress } from './forecaster.ts';
import type { WorkerCall, WorkerOptions, WorkerReply } from './worker-protocol.ts';

interface PendingCall {
  resolve(value: unknown): void;
  reject(cause: unknown): void;
  onProgress: ((progress: TrainingProgress) => void) | undefined;
}

/** One thread with a forecaster in it. Calls are answered in their order; when it dies all that wait are rejected, and `isDead` tells. */
export class ForecastThread {
  isDead = false;
  readonly #worker: Worker;
  readonly #onNotice: (text: string) => void;
  readonly #pending = new Map<number, PendingCall>();
  #lastId = 0;

  constructor(options: WorkerOptions, heapMaxMb: number, onNotice: (text: string) => void) {
    this.#onNotice = onNotice;
    this.#worker = new Worker(new URL('./worker-entry.js', import.meta.url), { workerData: options, resourceLimits: { maxOldGenerationSizeMb: heapMaxMb } });
    this.#worker.on('message', (reply: WorkerReply) => this.#receive(reply));
    this.#worker.on('error', (cause) => this.#onDeath(messageOf(cause)));
    this.#worker.on('exit', (code) => this.#onDeath(`its thread ended with ${code}`));
    this.#worker.unref();
  }

  call(method: WorkerCall['method'], args: unknown[], onProgress?: (progress: TrainingProgress) => void): Promise<unknown> {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject, onProgress });
      this.#worker.ref(); // while it works for us the process must wait for it
      this.#worker.postMessage({ id, method, args } satisfies WorkerCall, []);
    });
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  #receive(reply: WorkerReply): void {
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
    if (this.#pending.size === 0) this.#worker.unref();
    if (reply.kind === 'result') call.resolve(reply.value);
    else call.reject(new ForemeshError(isErrorCode(reply.code) ? reply.code : 'FORECAST_FAILED', { what: reply.what, fix: reply.fix }));
  }

  #onDeath(why: string): void {
    this.isDead = true;
    const calls = [...this.#pending.values()];
    this.#pending.clear();
    for (const call of calls) call.reject(new ForemeshError('FORECAST_FAILED', { what: `the forecaster stopped: ${why}`, fix: 'ask again; the thread is started anew' }));
  }
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERROR_CODES, code);
}
