import { parentPort } from 'node:worker_threads';
import { messageOf } from '../../base/index.ts';
import type { DemandMatrix } from '../matrix/demand-matrix.ts';
import type { MatrixForecasts, MatrixModelDump } from '../matrix/matrix-model.ts';
import { forecastNetwork, restoreNetwork, type FittedNetwork } from './fitted-network.ts';

export interface HelperRequest {
  id: number;
  /** Which network is asked; its weights the first time, else null. */
  network: number;
  dump: MatrixModelDump | null;
  /** The past that is asked about; null: that of the request before. */
  matrix: DemandMatrix | null;
  origins: Int32Array;
}

export type HelperReply = { id: number; forecasts: MatrixForecasts[] } | { id: number; error: string };

/** The thread's side: answers one request after another. */
const networks = new Map<number, FittedNetwork>();
let past: DemandMatrix | null = null;
parentPort!.on('message', ({ id, network, dump, matrix, origins }: HelperRequest) => {
  const reply = (message: HelperReply): void => parentPort!.postMessage(message, []);
  try {
    if (dump) networks.set(network, restoreNetwork(dump));
    // The same object as before, so that a second network finds the inputs of the first.
    if (matrix) past = matrix;
    reply({ id, forecasts: forecastNetwork(networks.get(network)!, past!, origins) });
  } catch (cause) {
    reply({ id, error: messageOf(cause) });
  }
});
