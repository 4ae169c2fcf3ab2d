import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { ForemeshError, messageOf } from '../base/index.ts';
import type { DemandSeries, ForecastSettings, Observation, ClassId } from '../model/index.ts';
import { createInlineForecaster } from './inline-forecaster.ts';
import type { Forecaster, TrainingProgress } from './forecaster.ts';
import type { WorkerCall, WorkerOptions, WorkerReply } from './worker-protocol.ts';

/** The thread's side: an inline forecaster that answers calls; runs at low priority, so that training never delays a cycle. */
const NICE = 10;

lowerPriority();
const port = parentPort!;
const reply = (message: WorkerReply): void => port.postMessage(message);
const forecaster = await createInlineForecaster({ ...(workerData as WorkerOptions), onNotice: (text) => reply({ kind: 'notice', text }) });

port.on('message', (call: WorkerCall) => {
  answer(call).then(
    (value) => reply({ kind: 'result', id: call.id, value }),
    (cause: unknown) => {
      const known = cause instanceof ForemeshError ? cause : null;
      reply({ kind: 'error', id: call.id, code: known?.code ?? 'FORECAST_FAILED', what: known?.what ?? messageOf(cause), fix: known?.fix ?? 'train again; if it stays, use another model' });
    },
  );
});

function answer(call: WorkerCall): Promise<unknown> {
  switch (call.method) {
    case 'train': {
      const [history, settings, endAt, seed] = call.args as [DemandSeries[], ForecastSettings, number, string];
      return forecaster.train(history, settings, endAt, seed, (progress: TrainingProgress) => reply({ kind: 'progress', id: call.id, progress }));
    }
    case 'forecast':
      return forecaster.forecast(...(call.args as [Observation, ForecastSettings, ReadonlyMap<ClassId, number> | undefined]));
    case 'save':
      return forecaster.save(...(call.args as Parameters<Forecaster['save']>));
    case 'load':
      return forecaster.load(...(call.args as Parameters<Forecaster['load']>));
    default:
      return forecaster.close();
  }
}

/** On Linux a priority belongs to a thread, and 0 means the calling one; elsewhere it would slow down the whole engine. */
function lowerPriority(): void {
  if (process.platform !== 'linux') return;
  try {
    setPriority(0, NICE);
  } catch {
    // not permitted here: training then competes as an equal, which costs time but nothing else
  }
}
