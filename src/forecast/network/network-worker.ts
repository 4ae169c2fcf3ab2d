import { parentPort, workerData } from 'node:worker_threads';
import type { MatrixModelDump } from '../matrix/matrix-model.ts';
import { fitNetwork, type NetworkFitTask } from './fit-network.ts';
import { dumpNetwork, restoreNetwork } from './fitted-network.ts';

export interface FitRequest {
  task: NetworkFitTask;
  previous: MatrixModelDump | null;
}

export type FitReply = { kind: 'progress'; text: string } | { kind: 'result'; dump: MatrixModelDump };

/** The thread's side: trains once, answers with the weights and ends. */
const { task, previous } = workerData as FitRequest;
const reply = (message: FitReply): void => parentPort!.postMessage(message, []);
const fitted = fitNetwork(task, previous && restoreNetwork(previous), (text) => reply({ kind: 'progress', text }));
reply({ kind: 'result', dump: dumpNetwork(fitted) });
