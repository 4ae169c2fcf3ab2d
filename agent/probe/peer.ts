import type { ProbePacket } from './packet.ts';

/** What the peer says about itself is believed for so long, ms. */
const FRESH_MS = 1_000;

/** What is known of the other end: its words, and how many of its probes came. */
export interface Peer {
  /** Takes in what it said; true when it is of another life of the peer than the last. */
  hear(packet: ProbePacket, nowMs: number): boolean;
  /** Its word on whether it points traffic here; null when that is old. */
  inUse(nowMs: number): boolean | null;
  /** It calls the path broken and has not heard our last probes. */
  isBroken(ourSequence: number, downAfter: number): boolean;
  /** Whether it knows packets that ask and answer at once, and then which of us two follows the other's beat: the lesser session leads. */
  role(): 'leads' | 'follows' | 'alone';
  /** Its own figures show a brown-out. */
  isDegraded(nowMs: number): boolean;
  /** It wants the tunnel's keys made anew. */
  renews(nowMs: number): boolean;
  /** Its LAN is dead. */
  isLame(nowMs: number): boolean;
  counts(): Pick<ProbePacket, 'peerSession' | 'peerReceived' | 'peerHighest'>;
}

/** @param ourSession  only what it says of this session counts as said of us */
export function createPeer(ourSession: number): Peer {
  let session = 0;
  let received = 0;
  let highest = 0;
  let heardAtMs = Number.NEGATIVE_INFINITY;
  let words = { inUse: false, broken: false, degraded: false, renews: false, lame: false, combines: false, knowsUs: false, heardHighest: 0 };
  return {
    hear(packet, nowMs) {
      const isOther = packet.session !== session;
      if (isOther) [session, received, highest] = [packet.session, 0, 0];
      const asked = packet.asks?.sequence;
      if (asked !== undefined && !(asked + 10_000 < highest)) [received, highest] = [received + 1, Math.max(highest, asked)];
      heardAtMs = nowMs;
      words = { inUse: packet.inUse, broken: packet.broken, degraded: packet.degraded, renews: packet.renews, lame: packet.lame, combines: packet.combines, knowsUs: packet.peerSession === ourSession, heardHighest: packet.peerHighest };
      return isOther;
    },
    inUse: (nowMs) => (nowMs - heardAtMs <= FRESH_MS ? words.inUse : null),
    isBroken: (ourSequence, downAfter) => words.broken && words.knowsUs && ourSequence - words.heardHighest >= downAfter - 1,
    role: () => (!words.combines || session === ourSession ? 'alone' : session < ourSession ? 'leads' : 'follows'),
    isDegraded: (nowMs) => words.degraded && words.knowsUs && nowMs - heardAtMs <= FRESH_MS,
    isLame: (nowMs) => words.lame && nowMs - heardAtMs <= FRESH_MS,
    renews: (nowMs) => words.renews && nowMs - heardAtMs <= FRESH_MS,
    counts: () => ({ peerSession: session, peerReceived: received, peerHighest: highest }),
  };
}
