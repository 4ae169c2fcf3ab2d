import { InvalidArgumentError } from 'commander';
import { parseDurationMs } from '../base/index.ts';

// What several commands read from the command line, as commander wants it: the value, or why the text is none.

export function share(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value < 1)) throw new InvalidArgumentError('a number between 0 and 1 is needed');
  return value;
}

/** Milliseconds, above 0. */
export function duration(text: string): number {
  const durationMs = parseDurationMs(text);
  if (durationMs === null || durationMs <= 0) throw new InvalidArgumentError('a duration is needed, such as 15m or 1h');
  return durationMs;
}

export function count(text: string): number {
  if (!/^[1-9][0-9]{0,5}$/.test(text)) throw new InvalidArgumentError('a whole number from 1 is needed');
  return Number(text);
}
