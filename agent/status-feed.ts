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
const LIFE_SIGN_MS = 5_000;

export function createStatusFeed(deps: StatusFeedDeps): StatusFeed {
  const { clock } = deps;
  let sent = '';
  let cancelBeat: Cancel = () => undefined;
  let cancelGather: Cancel | null = null;
  let isStopped = false;

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
      cancelGather = clock.setTimer(GATHER_MS, () => {
        cancelGather = null;
        if (canonicalJson(deps.current()) !== sent) sendNow();
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
