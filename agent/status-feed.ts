import { canonicalJson, type Cancel, type Clock } from '../src/base/index.ts';
import type { StatusMessage } from '../src/model/index.ts';

export interface StatusFeedDeps {
  clock: Clock;
  current: () => StatusMessage;
  send: (message: StatusMessage) => void;
}

/** Tells the engine what the node runs: soon after a change, and every few seconds as a sign of life. */
export interface StatusFeed {
  start(): void;
  /** Something may have changed; nothing is sent if nothing has. */
  changed(): void;
  sendNow(): void;
  stop(): void;
}

/** Changes within this go out as one message, ms. */
const GATHER_MS = 50;
/** While hundreds of tunnels come up there is always a change: looking for it takes no more than a tenth of the time, as long as that is not later than this, ms. */
const GATHER_FACTOR = 10;
const GATHER_MAX_MS = 500;
const LIFE_SIGN_MS = 5_000;

export function createStatusFeed(deps: StatusFeedDeps): StatusFeed {
  const { clock } = deps;
  let sent = '';
  let cancelBeat: Cancel = () => undefined;
  let cancelGather: Cancel | null = null;
  let isStopped = false;
  let gatherMs = GATHER_MS;

  function sendNow(): void {
    const message = deps.current();
    sent = canonicalJson(message);
    deps.send(message);
  }

  function beat(): void {
    if (isStopped) return;
    sendNow();
    cancelBeat = clock.setTimer(LIFE_SIGN_MS, beat);
  }

  return {
    start: beat,
    changed() {
      if (isStopped || cancelGather) return;
      cancelGather = clock.setTimer(gatherMs, () => {
        cancelGather = null;
        const beganMs = clock.monotonicMs();
        if (canonicalJson(deps.current()) !== sent) sendNow();
        gatherMs = Math.min(GATHER_MAX_MS, Math.max(GATHER_MS, GATHER_FACTOR * (clock.monotonicMs() - beganMs)));
      });
    },
    sendNow,
    stop() {
      isStopped = true;
      cancelBeat();
      cancelGather?.();
    },
  };
}
