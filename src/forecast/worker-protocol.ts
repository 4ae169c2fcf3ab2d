import type { ForecasterOptions } from './forecaster.ts';

/** Options that can cross the border of a thread. */
export type WorkerOptions = Omit<ForecasterOptions, 'onNotice'>;

export type WorkerCall = { id: number; method: 'train' | 'forecast' | 'save' | 'load' | 'close'; args: unknown[] };

export type WorkerReply =
  | { kind: 'result'; id: number; value: unknown }
  | { kind: 'error'; id: number; code: string; what: string; fix: string }
  | { kind: 'progress'; id: number; progress: { step: number; steps: number; text: string } }
  | { kind: 'notice'; text: string };
