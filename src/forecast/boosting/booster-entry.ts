import { parentPort } from 'node:worker_threads';
import { runBoosterJob, type BoosterJob } from './booster-job.ts';

/** The thread's side of booster-pool.ts: one job in, one booster out. An error ends the thread, and the pool hears of it. */
const port = parentPort!;
port.on('message', (job: BoosterJob) => port.postMessage(runBoosterJob(job), []));
