import { compareText } from '../../src/base/index.ts';
import type { HeartbeatSettings, NodeId } from '../../src/model/index.ts';

/** What a gateway says of itself in each heartbeat. */
export interface MemberState {
  node: NodeId;
  /** Of the config that it runs, and whom that prefers. */
  generation: number;
  preferred: NodeId;
  /** It owns the LAN address now. */
  holds: boolean;
  /** It owns the address because it began before it had ever heard the preferred gateway: no failure, so that one need not prove itself. */
  isInterim: boolean;
  /** Sites that it has a working tunnel to; 1 when its config names none. 0: it can carry nothing. */
  reach: number;
}

/** The last that was heard of another gateway; `untilMs`: as long as it counts as alive. */
export interface Heard {
  state: MemberState;
  untilMs: number;
}

/** What one gateway remembers between two decisions. Times are monotonic ms. */
export interface Standing {
  holds: boolean;
  /** Since when the LAN answers; null: it does not. */
  lanSinceMs: number | null;
  /** Since when this gateway has LAN and tunnels. */
  wellSinceMs: number | null;
  /** Since when nobody is known to own the address. */
  vacantSinceMs: number | null;
  /** Since when the owner reaches fewer sites than this gateway. */
  lameSinceMs: number | null;
  /** The preferred gateway was heard, or is this one. */
  knowsPreferred: boolean;
  isInterim: boolean;
}

/** What this gateway knows at one instant. */
export interface Scene {
  nowMs: number;
  self: Omit<MemberState, 'holds' | 'isInterim'>;
  isLanUp: boolean;
  heard: readonly Heard[];
  heartbeat: HeartbeatSettings;
}

export function firstStanding(holds: boolean): Standing {
  return { holds, lanSinceMs: null, wellSinceMs: null, vacantSinceMs: null, lameSinceMs: null, knowsPreferred: false, isInterim: false };
}

/** After this long without a word a gateway is gone, ms: the missed heartbeats, and half an interval for the way. */
export function silenceMaxMs({ intervalMs, missedMax }: HeartbeatSettings): number {
  return intervalMs * (missedMax + 0.5);
}

/** How long an owner that reaches fewer sites is borne before one that reaches more takes over, in silences. */
const LAME_SILENCES = 2;

/**
 * Whether this gateway owns the site's LAN address from now on. In this order:
 * 1. without LAN it does not, at once;
 * 2. an owner that hears another owner stays when it outranks it (see `outranks`), else gives up;
 * 3. one that has just come listens first, for as long as a silence may last;
 * 4. when nobody owns it, the first in rank takes it now, each other one a silence later, should the ones before it not;
 * 5. while another owns it, only these take it over: one that has reached more sites than the owner for two silences, and
 *    the preferred one when it reaches as many sites and has been well for the hold-down time, or for one silence where
 *    the owner has it only because it was the first to begin.
 * In 5 the new owner takes it before the old one gives it up: both deliver what reaches them meanwhile.
 */
export function decide(before: Standing, scene: Scene): Standing {
  const { nowMs, heard, heartbeat } = scene;
  if (!scene.isLanUp) return { ...firstStanding(false), knowsPreferred: before.knowsPreferred };
  const others = heard.filter(({ untilMs }) => nowMs < untilMs).map(({ state }) => state);
  const self: MemberState = { ...scene.self, holds: before.holds, isInterim: before.isInterim };
  const preferred = preferredOf([self, ...others]);
  const owners = others.filter(({ holds }) => holds).sort((left, right) => compareRank(left, right, preferred));
  const silenceMs = silenceMaxMs(heartbeat);
  const isListening = nowMs - (before.lanSinceMs ?? nowMs) < silenceMs;
  const next: Standing = {
    holds: before.holds,
    lanSinceMs: before.lanSinceMs ?? nowMs,
    wellSinceMs: self.reach > 0 ? (before.wellSinceMs ?? nowMs) : null,
    vacantSinceMs: before.holds || owners.length > 0 || isListening ? null : (before.vacantSinceMs ?? nowMs),
    knowsPreferred: before.knowsPreferred || [self, ...others].some(({ node }) => node === preferred),
    isInterim: before.holds && before.isInterim,
    lameSinceMs: owners.length > 0 && owners.every(({ reach }) => reach < self.reach) ? (before.lameSinceMs ?? nowMs) : null,
  };
  const owner = owners[0];
  if (before.holds) return { ...next, holds: owner === undefined || compareRank(self, owner, preferred) < 0 };
  if (isListening) return next;
  if (owner === undefined) {
    const place = others.filter((other) => compareRank(other, self, preferred) < 0).length;
    const holds = nowMs - next.vacantSinceMs! >= place * silenceMs;
    return { ...next, holds, isInterim: holds && !next.knowsPreferred };
  }
  const isRescue = self.reach > 0 && next.lameSinceMs !== null && nowMs - next.lameSinceMs >= LAME_SILENCES * silenceMs;
  const isWellAgain = next.wellSinceMs !== null && nowMs - next.wellSinceMs >= (owner.isInterim ? Math.min(silenceMs, heartbeat.holdDownMs) : heartbeat.holdDownMs);
  const isDue = self.node === preferred && self.reach >= owner.reach && isWellAgain;
  return { ...next, holds: isRescue || isDue };
}

/** The newest config decides whose the address is: a gateway that was away with an old one gives way. */
function preferredOf(members: readonly MemberState[]): NodeId {
  const newest = members.reduce((best, member) => (member.generation > best.generation ? member : best));
  return newest.preferred;
}

/** Negative when `one` comes first: who reaches more sites, then the preferred one, then the lesser name. Never 0 for two gateways. */
function compareRank(one: MemberState, other: MemberState, preferred: NodeId): number {
  const isBetter = (test: (member: MemberState) => boolean): number => Number(test(other)) - Number(test(one));
  return other.reach - one.reach || isBetter(({ node }) => node === preferred) || compareText(one.node, other.node);
}
