import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { ForemeshError, messageOf } from '../base/index.ts';
import type { ClassId, ForecastSettings, Observation } from '../model/index.ts';
import type { CovariateSeries } from './covariates.ts';
import { createInlineForecaster } from './inline-forecaster.ts';
import type { TrainingTask } from './forecaster.ts';
import type { WorkerCall, WorkerOptions, WorkerReply } from './worker-protocol.ts';

/** The thread's side: an inline forecaster that answers calls, one after the other. */
const { niceness, ...options } = workerData as WorkerOptions;
lowerPriority(niceness);
const port = parentPort!;
const reply = (message: WorkerReply): void => port.postMessage(message);
const forecaster = await createInlineForecaster({ ...options, onNotice: (text) => reply({ kind: 'notice', text }) });
let last: Promise<unknown> = Promise.resolve();

port.on('message', (call: WorkerCall) => {
  last = last.then(() =>
    answer(call).then(
      (value) => reply({ kind: 'result', id: call.id, value }),
      (cause: unknown) => {
        const known = cause instanceof ForemeshError ? cause : null;
        reply({ kind: 'error', id: call.id, code: known?.code ?? 'FORECAST_FAILED', what: known?.what ?? messageOf(cause), fix: known?.fix ?? 'train again; if it stays, use another model' });
      },
    ),
  );
});

function answer(call: WorkerCall): Promise<unknown> {
  switch (call.method) {
    case 'train':
      return forecaster.train(call.args[0] as TrainingTask, (progress) => reply({ kind: 'progress', id: call.id, progress }));
    case 'forecast':
      return forecaster.forecast(...(call.args as [Observation, ForecastSettings, ReadonlyMap<ClassId, number> | undefined, readonly CovariateSeries[] | undefined]));
    case 'restore':
      return forecaster.restore(...(call.args as [Uint8Array, number | null]));
    case 'inspect':
      return forecaster.inspect(call.args[0] as Uint8Array);
    case 'exportOnnx':
      return forecaster.exportOnnx(call.args[0] as Uint8Array);
    default:
      return forecaster.dump();
  }
}

/** On Linux a priority belongs to a thread, and 0 means the calling one; elsewhere it would slow down the whole engine. */
function lowerPriority(to: number): void {
  if (to === 0 || process.platform !== 'linux') return;
  try {
    setPriority(0, to);
  } catch {
    // not permitted here: training then competes as an equal, which costs time but nothing else
  }
}
