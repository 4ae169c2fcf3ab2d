/** How many packets each flow has sent, and how many of them long enough ago to have arrived. */
export interface SentLog {
  /** The next sequence number of a flow; counts it as sent. */
  next(flow: number, nowMs: number): number;
  totals(): number[];
  settled(nowMs: number): number[];
}

/** A packet older than this that has not arrived is lost, ms. */
export const SETTLE_MS = 500;
const CHECKPOINT_MS = 10;

export function createSentLog(flows: number): SentLog {
  const totals = Array.from({ length: flows }, () => 0);
  /** Totals as they stood at `atMs`, oldest first; the first is the newest that is old enough, or all zero. */
  const checkpoints: { atMs: number; totals: number[] }[] = [{ atMs: -Infinity, totals: [...totals] }];

  const forget = (nowMs: number): void => {
    while (checkpoints.length > 1 && checkpoints[1]!.atMs <= nowMs - SETTLE_MS) checkpoints.shift();
  };
  const note = (nowMs: number): void => {
    if (nowMs - checkpoints.at(-1)!.atMs >= CHECKPOINT_MS) checkpoints.push({ atMs: nowMs, totals: [...totals] });
    forget(nowMs);
  };
  return {
    next(flow, nowMs) {
      note(nowMs);
      return totals[flow]!++;
    },
    totals: () => [...totals],
    settled(nowMs) {
      note(nowMs);
      return [...checkpoints[0]!.totals];
    },
  };
}
