import type { Clock } from '../base/index.ts';

export interface TokenBucket {
  /** Takes `amount`; gives how long to wait, ms, until the debt is paid: 0 when there was enough. */
  take(amount: number): number;
  isFull(): boolean;
}

/** Lets `burst` through at once and `perSecond` from then on. Taking more than there is makes a debt, so that nothing has to be thrown away. */
export function createTokenBucket(clock: Clock, burst: number, perSecond: number): TokenBucket {
  let level = burst;
  let filledAtMs = clock.monotonicMs();
  const fill = (): void => {
    const nowMs = clock.monotonicMs();
    level = Math.min(burst, level + ((nowMs - filledAtMs) / 1000) * perSecond);
    filledAtMs = nowMs;
  };
  return {
    take(amount) {
      fill();
      level -= amount;
      return level >= 0 ? 0 : Math.ceil((-level / perSecond) * 1000);
    },
    isFull() {
      fill();
      return level >= burst;
    },
  };
}
