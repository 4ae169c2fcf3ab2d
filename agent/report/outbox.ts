import type { Sample, SamplesMessage } from '../../src/model/index.ts';
import type { CounterReading } from './readings.ts';

/** A batch as it is kept: what is sent, and the counters it ends at, so that the next life of the agent counts on from there. */
export interface Batch {
  sequence: number;
  samples: Sample[];
  reading: CounterReading;
}

/**
 * Batches that the engine has not confirmed yet. Numbers count from 1 for ever and are never used twice, whatever
 * happens to the process; gaps are possible (batches dropped or torn).
 */
export interface Outbox {
  /** Reads what is there; before anything else. */
  open(): Promise<void>;
  /** The batch is safe when this resolves; answers its number. @throws ForemeshError TELEMETRY_FAILED when it could not be kept */
  append(samples: readonly Sample[], reading: CounterReading): Promise<number>;
  /** Batches above `afterSequence` in order, at most `countMax`. */
  read(afterSequence: number, countMax: number): Promise<SamplesMessage[]>;
  /** The engine has everything up to `sequence`. */
  acknowledge(sequence: number): Promise<void>;
  view(): OutboxView;
  close(): Promise<void>;
}

export interface OutboxView {
  lastSequence: number;
  acknowledgedSequence: number;
  pendingBatches: number;
  /** Lost because the bound was reached or a disk was bad, since the start of this process. */
  droppedBatches: number;
  bytes: number;
  /** Counters at the end of the newest batch. */
  reading: CounterReading | null;
}

/** An outbox without a disk, for the simulated network, where the object is what outlives the agent. */
export function createMemoryOutbox(batchesMax = 10_000): Outbox {
  let batches: Batch[] = [];
  let lastSequence = 0;
  let acknowledgedSequence = 0;
  let droppedBatches = 0;
  let reading: CounterReading | null = null;
  return {
    open: () => Promise.resolve(),
    append(samples, ended) {
      lastSequence++;
      reading = ended;
      batches.push({ sequence: lastSequence, samples: [...samples], reading: ended });
      if (batches.length > batchesMax) {
        batches.shift();
        droppedBatches++;
      }
      return Promise.resolve(lastSequence);
    },
    read: (afterSequence, countMax) =>
      Promise.resolve(
        batches
          .filter((batch) => batch.sequence > afterSequence)
          .slice(0, countMax)
          .map(({ sequence, samples }) => ({ type: 'samples', sequence, samples })),
      ),
    acknowledge(sequence) {
      lastSequence = Math.max(lastSequence, sequence);
      acknowledgedSequence = Math.max(acknowledgedSequence, sequence);
      batches = batches.filter((batch) => batch.sequence > acknowledgedSequence);
      return Promise.resolve();
    },
    view: () => ({ lastSequence, acknowledgedSequence, pendingBatches: batches.length, droppedBatches, bytes: 0, reading }),
    close: () => Promise.resolve(),
  };
}
