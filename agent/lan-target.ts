import type { Cancel, Clock, Log } from '../src/base/index.ts';
import type { AgentPorts } from './ports.ts';

export interface LanTargetDeps {
  ping: NonNullable<AgentPorts['ping']>;
  clock: Clock;
  log: Log;
  onChange: (isDead: boolean) => void;
}

/** Looks at something behind the gateway: a gateway whose tunnels and links are fine may still have a LAN that leads nowhere. */
export interface LanTarget {
  /** Null: there is nothing to look at. */
  watch(address: string | null): void;
  isDead(): boolean;
  stop(): void;
}

/** Without an answer for this long the LAN behind the gateway counts as dead, ms. */
const SILENCE_MS = 1_000;
const LOOK_MS = 200;
/** Answers for this long bring it back, ms. */
const WELL_MS = 3_000;

/**
 * One that never answered says nothing, and the word "dead" makes peers use another gateway of the site where there is
 * one that says otherwise: a target that is switched off costs nothing, whether one gateway looks at it or all.
 */
export function createLanTarget(deps: LanTargetDeps): LanTarget {
  const { clock, log } = deps;
  let address: string | null = null;
  let isDead = false;
  let repliedAtMs: number | null = null;
  let wellSinceMs: number | null = null;
  let dueMs = 0;
  let cancelPing: Cancel = () => undefined;
  let cancelLook: Cancel = () => undefined;

  function become(next: boolean): void {
    if (next === isDead) return;
    isDead = next;
    wellSinceMs = null;
    log[next ? 'error' : 'info']({ target: address }, next ? 'the target behind this gateway does not answer: peers are asked to use another gateway' : 'the target behind this gateway answers again');
    deps.onChange(next);
  }

  function onReply(): void {
    const nowMs = clock.monotonicMs();
    repliedAtMs = nowMs;
    if (!isDead) return;
    wellSinceMs ??= nowMs;
    if (nowMs - wellSinceMs >= WELL_MS) become(false);
  }

  function look(): void {
    const nowMs = clock.monotonicMs();
    const lateMs = nowMs - dueMs;
    if (repliedAtMs !== null && lateMs > LOOK_MS) repliedAtMs += lateMs; // who stood still himself has read no answer meanwhile
    if (repliedAtMs !== null && nowMs - repliedAtMs >= SILENCE_MS) {
      wellSinceMs = null;
      become(true);
    }
    dueMs = nowMs + LOOK_MS;
    cancelLook = clock.setTimer(LOOK_MS, look);
  }

  function end(): void {
    cancelPing();
    cancelLook();
    [cancelPing, cancelLook] = [() => undefined, () => undefined];
  }

  return {
    watch(next) {
      if (next === address) return;
      end();
      address = next;
      repliedAtMs = null;
      become(false);
      if (next === null) return;
      cancelPing = deps.ping(next, onReply);
      dueMs = clock.monotonicMs() + LOOK_MS;
      cancelLook = clock.setTimer(LOOK_MS, look);
    },
    isDead: () => isDead,
    stop: end,
  };
}
