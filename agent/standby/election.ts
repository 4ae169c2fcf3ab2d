import { compareText } from '../../src/base/index.ts';
import type { HeartbeatSettings, NodeId } from '../../src/model/index.ts';
import { type FallMemory, fallAgain, holdMsAfter, NO_FALLS } from '../probe/damping.ts';

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
  /** Whom it hears now; null: an agent that does not say. */
  hears: readonly NodeId[] | null;
  /** As owner: how long whoever wants the address back must be well, ms; at least the configured hold-down time. */
  holdDownMs: number;
}

/** The last that was heard of another gateway. */
export interface Heard {
  state: MemberState;
  /** As long as it counts as alive. */
  untilMs: number;
  /** Since when it says that it does not hear us; null: it hears us. */
  deafSinceMs: number | null;
}

/** What is known of another gateway after its latest words. */
export function noteHeard(before: Heard | null, state: MemberState, scene: { self: NodeId; nowMs: number; untilMs: number }): Heard {
  const isHearing = state.hears === null || state.hears.includes(scene.self);
  const since = before !== null && scene.nowMs < before.untilMs ? before.deafSinceMs : null;
  return { state, untilMs: scene.untilMs, deafSinceMs: isHearing ? null : (since ?? scene.nowMs) };
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
  /** How often this gateway had to take the address from the preferred one lately. */
  fallen: FallMemory;
}

/** What this gateway knows at one instant. */
export interface Scene {
  nowMs: number;
  self: Pick<MemberState, 'node' | 'generation' | 'preferred' | 'reach'>;
  isLanUp: boolean;
  heard: readonly Heard[];
  heartbeat: HeartbeatSettings;
  /** The hold-down time doubles with each further fall, up to this, ms. */
  holdDownMaxMs: number;
}

export function firstStanding(holds: boolean): Standing {
  return { holds, lanSinceMs: null, wellSinceMs: null, vacantSinceMs: null, lameSinceMs: null, knowsPreferred: false, isInterim: false, fallen: NO_FALLS };
}

/** Others are heard, and for a silence none of them has heard this gateway: what it sends reaches the LAN no more. */
export function isUnheard({ nowMs, heard, heartbeat }: Pick<Scene, 'nowMs' | 'heard' | 'heartbeat'>): boolean {
  const alive = heard.filter(({ untilMs }) => nowMs < untilMs);
  return alive.length > 0 && alive.every((one) => isDeaf(one, nowMs, heartbeat));
}

/** After this long without a word a gateway is gone, ms: the missed heartbeats, and half an interval for the way. */
export function silenceMaxMs({ intervalMs, missedMax }: HeartbeatSettings): number {
  return intervalMs * (missedMax + 0.5);
}

/**
 * One that has just come and hears nobody listens for so many silences: on a machine that boots, hellos and their
 * signatures take their time, and what is taken in the meantime draws the hosts away from an owner that lives.
 */
const LISTEN_ALONE_SILENCES = 3;

/** How long an owner that reaches fewer sites is borne before one that reaches more takes over, in silences. */
const LAME_SILENCES = 2;

/**
 * Whether this gateway owns the site's LAN address from now on. In this order:
 * 1. without LAN it does not, at once;
 * 2. an owner that hears another owner stays when it comes before it (see `compareRank`), else gives up; one that for a
 *    silence has not heard us will not give way, so it comes first whatever its rank;
 * 3. one that has just come listens first, for as long as a silence may last, and three of them while it hears nobody;
 * 4. when nobody owns it, the first in rank takes it now, each other one a silence later, should the ones before it not;
 * 5. while another owns it that hears us, only these take it over: one that has reached more sites than the owner for two
 *    silences, and the preferred one when it reaches as many sites and has been well for the hold-down time (which grows
 *    with every fall), or for one silence where the owner has it only because it was the first to begin.
 * In 5 the new owner takes it before the old one gives it up: both deliver what reaches them meanwhile.
 */
export function decide(before: Standing, scene: Scene): Standing {
  const { nowMs, heartbeat } = scene;
  if (!scene.isLanUp) return { ...firstStanding(false), knowsPreferred: before.knowsPreferred, fallen: before.fallen };
  const alive = scene.heard.filter(({ untilMs }) => nowMs < untilMs);
  const others = alive.map(({ state }) => state);
  const deaf = new Set(alive.filter((one) => isDeaf(one, nowMs, heartbeat)).map(({ state }) => state.node));
  const self: Member = { ...scene.self, holds: before.holds };
  const preferred = preferredOf([self, ...others]);
  const comesFirst = (other: Member): boolean => deaf.has(other.node) || compareRank(other, self, preferred) < 0;
  const owners = others.filter(({ holds }) => holds).sort((left, right) => compareRank(left, right, preferred));
  const silenceMs = silenceMaxMs(heartbeat);
  const isListening = nowMs - (before.lanSinceMs ?? nowMs) < silenceMs * (alive.length > 0 ? 1 : LISTEN_ALONE_SILENCES);
  const isWell = self.reach > 0 && !isUnheard(scene);
  const next: Standing = {
    holds: before.holds,
    lanSinceMs: before.lanSinceMs ?? nowMs,
    wellSinceMs: isWell ? (before.wellSinceMs ?? nowMs) : null,
    vacantSinceMs: before.holds || owners.length > 0 || isListening ? null : (before.vacantSinceMs ?? nowMs),
    knowsPreferred: before.knowsPreferred || [self, ...others].some(({ node }) => node === preferred),
    isInterim: before.holds && before.isInterim,
    lameSinceMs: owners.length > 0 && owners.every(({ reach }) => reach < self.reach) ? (before.lameSinceMs ?? nowMs) : null,
    fallen: before.fallen,
  };
  if (before.holds) return { ...next, holds: !owners.some(comesFirst) };
  if (isListening) return next;
  const taken = (isInterim: boolean): Standing => ({ ...next, holds: true, isInterim, fallen: isInterim || self.node === preferred ? next.fallen : fallAgain(next.fallen, nowMs) });
  const owner = owners[0];
  if (owner === undefined) {
    const place = others.filter(comesFirst).length;
    return nowMs - next.vacantSinceMs! >= place * silenceMs ? taken(!next.knowsPreferred) : next;
  }
  if (owners.some(({ node }) => deaf.has(node))) return next;
  const holdMs = owner.isInterim ? Math.min(silenceMs, heartbeat.holdDownMs) : Math.max(owner.holdDownMs, heartbeat.holdDownMs);
  const isRescue = isWell && next.lameSinceMs !== null && nowMs - next.lameSinceMs >= LAME_SILENCES * silenceMs;
  const isWellAgain = next.wellSinceMs !== null && nowMs - next.wellSinceMs >= holdMs;
  return isRescue || (self.node === preferred && self.reach >= owner.reach && isWellAgain) ? taken(false) : next;
}

/** What an owner asks of whoever wants the address back, ms. */
export function holdDownOf({ fallen }: Standing, { nowMs, heartbeat, holdDownMaxMs }: Pick<Scene, 'nowMs' | 'heartbeat' | 'holdDownMaxMs'>): number {
  return holdMsAfter(fallen, nowMs, { holdDownMs: heartbeat.holdDownMs, holdDownMaxMs });
}

type Member = Pick<MemberState, 'node' | 'generation' | 'preferred' | 'reach' | 'holds'>;

/** It has said for a silence that it does not hear us: time enough for our words after a LAN healed. */
function isDeaf({ deafSinceMs }: Heard, nowMs: number, heartbeat: HeartbeatSettings): boolean {
  return deafSinceMs !== null && nowMs - deafSinceMs >= silenceMaxMs(heartbeat);
}

/** The newest config decides whose the address is: a gateway that was away with an old one gives way. */
function preferredOf(members: readonly Member[]): NodeId {
  const newest = members.reduce((best, member) => (member.generation > best.generation ? member : best));
  return newest.preferred;
}

/** Negative when `one` comes first: who reaches more sites, then the preferred one, then the lesser name. Never 0 for two gateways. */
function compareRank(one: Member, other: Member, preferred: NodeId): number {
  const isBetter = (test: (member: Member) => boolean): number => Number(test(other)) - Number(test(one));
  return other.reach - one.reach || isBetter(({ node }) => node === preferred) || compareText(one.node, other.node);
}
