import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { DemandMatrix } from '../matrix/demand-matrix.ts';
import type { MatrixForecasts } from '../matrix/matrix-model.ts';
import { dumpNetwork, type FittedNetwork } from './fitted-network.ts';
import type { HelperReply, HelperRequest } from './helper-entry.ts';

/** Fewer slots times pairs than this are forecast before another thread would have been told of them. */
const CELLS_MIN = 200_000;

/** A helper that knows so many networks, most of them replaced by a later training, makes way for a new one, so that memory stays bounded. */
const NETWORKS_MAX = 16;

interface Pending {
  resolve: (forecasts: MatrixForecasts[]) => void;
  reject: (cause: Error) => void;
}

/**
 * A second thread in which networks forecast while trees do in this one. All networks of a thread share it, so that they read
 * a past once; it ends with the last of them.
 */
class NetworkHelper {
  private readonly worker = new Worker(new URL('./helper-entry.js', import.meta.url));
  private readonly pending = new Map<number, Pending>();
  private readonly networks = new Map<FittedNetwork, number>();
  private requests = 0;
  private last: DemandMatrix | null = null;
  isDead = false;

  constructor() {
    this.worker.unref();
    this.worker.on('message', (reply: HelperReply) => this.settle(reply));
    this.worker.on('error', (cause) => this.fail(cause instanceof Error ? cause : new Error(String(cause))));
    this.worker.on('exit', (code) => this.fail(new Error(`the thread in which networks forecast ended with ${code}`)));
  }

  forecast(fitted: FittedNetwork, matrix: DemandMatrix, origins: Int32Array): Promise<MatrixForecasts[]> {
    const known = this.networks.get(fitted);
    const network = known ?? this.networks.size;
    this.networks.set(fitted, network);
    const id = this.requests++;
    const request: HelperRequest = { id, network, dump: known === undefined ? dumpNetwork(fitted) : null, matrix: matrix === this.last ? null : matrix, origins };
    this.last = matrix;
    // Nothing but this request keeps the process alive.
    this.worker.ref();
    this.worker.postMessage(request, []);
    return new Promise((resolve, reject) => this.pending.set(id, { resolve, reject }));
  }

  /** Whether it has nothing to do, and no room for this network. */
  isFullFor(fitted: FittedNetwork): boolean {
    return this.pending.size === 0 && this.networks.size >= NETWORKS_MAX && !this.networks.has(fitted);
  }

  async end(): Promise<void> {
    await this.worker.terminate();
  }

  private settle(reply: HelperReply): void {
    const call = this.pending.get(reply.id);
    this.pending.delete(reply.id);
    if (this.pending.size === 0) this.worker.unref();
    if ('error' in reply) call?.reject(new Error(reply.error));
    else call?.resolve(reply.forecasts);
  }

  private fail(cause: Error): void {
    this.isDead = true;
    for (const { reject } of this.pending.values()) reject(cause);
    this.pending.clear();
  }
}

let helper: NetworkHelper | null = null;
const users = new Set<object>();

/**
 * One origin of many pairs, whose past lies in shared memory; null where this thread does it sooner: with one core, little past, or
 * from TypeScript sources, which Node 20 cannot load in a thread. The forecasts are the same, to the last bit.
 * @param user  ends with `leaveHelper`
 */
export function forecastInHelper(user: object, fitted: FittedNetwork, matrix: DemandMatrix, origins: Int32Array): Promise<MatrixForecasts[]> | null {
  const isWorthIt = origins.length === 1 && matrix.pairs.length * matrix.length >= CELLS_MIN && matrix.values[0]!.buffer instanceof SharedArrayBuffer;
  if (!isWorthIt || import.meta.url.endsWith('.ts') || availableParallelism() < 2) return null;
  users.add(user);
  if (helper?.isFullFor(fitted)) {
    void helper.end();
    helper = null;
  }
  if (!helper || helper.isDead) helper = new NetworkHelper();
  return helper.forecast(fitted, matrix, origins);
}

/** The last one to leave ends the thread. */
export async function leaveHelper(user: object): Promise<void> {
  users.delete(user);
  if (users.size > 0 || !helper) return;
  const ending = helper;
  helper = null;
  await ending.end();
}
