import type { ForecasterOptions } from './forecaster.ts';

/** Options that can cross the border of a thread. */
export interface WorkerOptions extends Omit<ForecasterOptions, 'onNotice'> {
  /** 0: as everybody; higher gives way to others, as `nice` has it. */
  niceness: number;
}

export type WorkerCall = { id: number; method: 'train' | 'forecast' | 'dump' | 'restore' | 'inspect' | 'exportOnnx'; args: unknown[] };

export type WorkerReply =
  | { kind: 'result'; id: number; value: unknown }
  | { kind: 'error'; id: number; code: string; what: string; fix: string }
  | { kind: 'progress'; id: number; progress: { step: number; steps: number; text: string } }
  | { kind: 'notice'; text: string };
