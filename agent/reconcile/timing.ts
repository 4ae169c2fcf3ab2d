import { createRng } from '../../src/base/index.ts';
import type { TunnelId } from '../../src/model/index.ts';

/** In-flight packets of a path arrive within this, ms: no tunnel goes sooner after its last use. */
export const DRAIN_MS = 300;
/**
 * A peer that says it still sends here, or whose agent is away while its packets come, is waited for this long, ms: its
 * new config or its restart may be late, and ending the tunnel would lose what it sends.
 */
export const DRAIN_MAX_MS = 30_000;
/** How often a draining tunnel is looked at, ms. */
export const DRAIN_POLL_MS = 100;
/** A new steering with some lanes ready takes over after this; until then the old one stays, ms. */
export const STEERING_PATIENCE_MS = 10_000;
/** The end that does not initiate does so after all when the peer has not for this long, ms. */
export const RESPONDER_GRACE_MS = 2_000;
/** Events tell of SAs that came and of a daemon that is back; these are for events that got lost, ms. */
export const ABSENT_POLL_MS = 1_000;
export const DAEMON_POLL_MS = 1_000;
/** The kernel's state is compared with the wanted one at least this often, ms. */
export const HEAL_MS = 30_000;
/** When the kernel tells of changes, they are compared this soon, ms: well below the 5 s in which what somebody undid is to be repaired. */
export const TOUCHED_MS = 300;
/** Comparisons for that reason are at least this far apart, ms: other programs may change routes all the time. */
export const TOUCHED_PAUSE_MS = 2_000;
/** A restarted agent leaves the kernel alone until its probes have judged what it found, at most this long beyond their own limit, ms. */
export const ADOPT_MARGIN_MS = 500;

/** An interface that should be there and is not, or rules that all went, are made again this soon after the last time, ms. */
export const REAPPLY_MS = 250;

const RETRY_FIRST_MS = 250;
const RETRY_MAX_MS = 10_000;

/** Time to the next try after `count` tries: doubling, ± 25 % by a stream of its own for each thing, so ends do not collide. */
export function retryDelayMs(key: string, count: number): number {
  const delayMs = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(count, 10));
  return Math.round(delayMs * (0.75 + 0.5 * createRng(`retry ${key} ${count}`).next()));
}

/** What is tried again after a pause, each on its own. */
export type TryKind = 'initiate' | 'renew' | 'load' | 'terminate' | 'probe';

export function tryKey(kind: TryKind, tunnel: TunnelId): string {
  return `${kind} ${tunnel}`;
}
