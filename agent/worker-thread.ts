import { setPriority } from 'node:os';
import type { Log } from '../src/base/index.ts';

/** A log line on its way from a thread to the agent's own log. */
export interface LogNews {
  kind: 'log';
  level: 'debug' | 'info' | 'warn' | 'error';
  fields: object;
  message: string;
}

/** One stream of log lines a process: a thread's go through the agent's own log. */
export function relayedLog(tell: (news: LogNews) => void): Log {
  const say =
    (level: LogNews['level']) =>
    (first: object | string, message?: string): void =>
      tell({ kind: 'log', level, fields: typeof first === 'string' ? {} : first, message: message ?? (typeof first === 'string' ? first : '') });
  return { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') } as unknown as Log;
}

/** Of the calling thread alone, on Linux. Where it is not allowed, the thread works as urgently as the rest of the agent. */
export function raisePriority(niceness: number): void {
  try {
    setPriority(niceness);
  } catch {
    // not allowed to: see above
  }
}
