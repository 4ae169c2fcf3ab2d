import type { Clock } from '../../src/base/index.ts';
import type { PathState, ProbeSettings } from '../../src/model/index.ts';
import { decodeProbe, encodeProbe, type ProbePacket } from './packet.ts';
import { createLatencyWatch, createLossWatch } from './quality.ts';
import { createWindowMeter, type PathWindow } from './window.ts';

export interface ProbeSessionDeps {
  settings: ProbeSettings;
  clock: Clock;
  /** Names this life of the session to the peer; another number each time. */
  session: number;
  /** The path was called down not long ago, by a session before this one: it has to stand the hold-down first. */
  hasFallen?: boolean;
  send: (packet: Uint8Array) => void;
  /** Called from the timer or packet that decided, before anything else happens; must not throw or wait. */
  onChange: (from: PathState, to: PathState) => void;
  /** The peer's wish for new keys came or went. */
  onPeer?: () => void;
}

/** Our end of the conversation about one tunnel. */
export interface ProbeSession {
  state(): PathState;
  /** A probe went there and back at least once. */
  wasEverUp(): boolean;
  /** Whether the peer points traffic at this tunnel; null when it has not said so within the last second. */
  peerInUse(): boolean | null;
  setInUse(inUse: boolean): void;
  /** Whether the peer wants the tunnel's keys made anew, and so asks not to use it; false when it has not said so within the last second. */
  peerRenews(): boolean;
  setRenews(renews: boolean): void;
  /** Other intervals and limits from the next beat on; the verdict stays. */
  retune(settings: ProbeSettings): void;
  receive(bytes: Uint8Array): void;
  takeWindow(): PathWindow;
  /** Tells the peer not to judge our silence for `pauseMs`: this agent stops, its forwarding does not. */
  pausePeer(pauseMs: number): void;
  close(): void;
}

/** No probe waits longer for its answer than this, whatever the round trips were, ms. */
const TIMEOUT_MAX_MS = 2_000;
/** What the peer says about itself is believed for so long, ms. */
const PEER_FRESH_MS = 1_000;
/** A peer may ask for no more patience than this, ms. */
const PAUSE_MAX_MS = 30_000;
/** After a first miss the path is asked this many times as often until it answers or is down, so chance cannot look like death. */
const SUSPECT_FACTOR = 8;
/**
 * A miss is looked into with that many probes for so long, also when the next one is answered, and on while evidence of a
 * brown-out grows: some ten probes a second say too little about 20 % loss. Then there is a rest, ms.
 */
const SCRUTINY_MS = 300;
const SCRUTINY_MAX_MS = 2_000;
const SCRUTINY_REST_MS = 2_000;
/** What an additional probe weighs as evidence of a brown-out. */
const EXTRA_WEIGHT = 0.5;
/** Expired probes that a late answer is still looked up for. */
const EXPIRED_KEPT = 256;
/** An additional probe counts as missed sooner than a regular one, but no sooner than this, ms. */
const EXTRA_TIMEOUT_MIN_MS = 10;

interface Probe {
  sequence: number;
  deadlineMs: number;
  /** On the beat; the additional ones of a suspected path acquit at once, and convict only together with the regular ones. */
  regular: boolean;
}

/**
 * Probes one tunnel and judges it, alone, from this end.
 *
 * Each probe expires at max(interval, srtt + 4·rttvar) after it was sent, an additional one of a suspected path at srtt + 4·rttvar.
 * `downAfter` regular probes expired in a row, or one less (at least two) and 2 · downAfter with the additional ones, with
 * nothing sent since the first of them known to have arrived, mean `down`: a dead path is found about downAfter − ½ intervals after
 * the cut, (downAfter + 1) at the latest (round trip below one interval). "Known to have arrived" is an echo, or the peer's counters on any packet of its own.
 * A peer that says its path is broken and has not heard our last probes makes ours down too: one-way loss is down both ways.
 *
 * The first answer ever makes a path `up`; after a `down` only `holdDownMs` without two misses in a row and without
 * brown-out do. `degraded` is a brown-out by loss or latency (see quality.ts), left after `holdDownMs` of good figures.
 */
export function createProbeSession(deps: ProbeSessionDeps): ProbeSession {
  const { clock } = deps;
  let { intervalMs, downAfter, holdDownMs } = bounded(deps.settings);
  const latency = createLatencyWatch();
  const loss = createLossWatch();
  const meter = createWindowMeter();

  let everUp = deps.hasFallen === true;
  let state: PathState = everUp ? 'down' : 'unknown';
  let inUse = false;
  let renews = false;
  let sequence = 0;
  let lastArrived = 0;
  let outstanding: Probe[] = [];
  /** Regular probes after `lastArrived` whose time is over. */
  let misses: number[] = [];
  /** Additional ones, likewise. */
  let extraMisses: number[] = [];
  let wellSinceMs: number | null = null;
  let scrutiny = { beganMs: Number.NEGATIVE_INFINITY, untilMs: Number.NEGATIVE_INFINITY };
  /** Newest expired probes, for answers that come late: whether each was on the beat. */
  const expiredRegular = new Map<number, boolean>();
  let pausedUntilMs = -1;
  let nextRegularMs = clock.monotonicMs();
  let nextExtraMs: number | null = null;
  let peer = { session: 0, received: 0, highest: 0, heardAtMs: Number.NEGATIVE_INFINITY, inUse: false, broken: false, renews: false };

  let dueMs = nextRegularMs;
  let closed = false;
  let cancelTimer = clock.setTimer(0, onTimer);

  function onTimer(): void {
    if (closed) return;
    const nowMs = clock.monotonicMs();
    const lateMs = nowMs - dueMs;
    if (lateMs > intervalMs / 2) {
      // Our own process stood still: answers may lie in the socket, so nobody is judged by this gap.
      for (const probe of outstanding) probe.deadlineMs += lateMs;
    }
    expire(nowMs);
    if (nowMs >= nextRegularMs - 0.01) {
      sendProbe(nowMs, true);
      nextRegularMs = Math.max(nextRegularMs + intervalMs, nowMs + intervalMs / 2);
    } else if (nextExtraMs !== null && nowMs >= nextExtraMs - 0.01) {
      sendProbe(nowMs, false);
    }
    nextExtraMs = isSuspect(nowMs) ? nowMs + intervalMs / SUSPECT_FACTOR : null;
    arm(nowMs);
  }

  function arm(nowMs: number): void {
    if (closed) return;
    const firstDeadlineMs = outstanding.reduce((least, probe) => Math.min(least, probe.deadlineMs), Number.POSITIVE_INFINITY);
    dueMs = Math.min(nextRegularMs, nextExtraMs ?? Number.POSITIVE_INFINITY, firstDeadlineMs);
    cancelTimer = clock.setTimer(Math.max(0, dueMs - nowMs), onTimer);
  }

  function isSuspect(nowMs: number): boolean {
    if (state !== 'up' && state !== 'degraded') return false;
    return misses.length > 0 || (state === 'up' && nowMs < scrutiny.untilMs);
  }

  function scrutinise(nowMs: number): void {
    if (nowMs >= scrutiny.untilMs && nowMs - scrutiny.untilMs < SCRUTINY_REST_MS) return;
    if (nowMs >= scrutiny.untilMs) scrutiny = { beganMs: nowMs, untilMs: nowMs + SCRUTINY_MS };
    else if (loss.isSuspicious()) scrutiny = { ...scrutiny, untilMs: Math.min(nowMs + SCRUTINY_MS, scrutiny.beganMs + SCRUTINY_MAX_MS) };
  }

  function weightOf(probe: { regular: boolean }): number {
    return probe.regular ? 1 : EXTRA_WEIGHT;
  }

  function sendProbe(nowMs: number, regular: boolean): void {
    sequence++;
    const timeoutMs = Math.min(TIMEOUT_MAX_MS, Math.max(regular ? intervalMs : Math.min(intervalMs, EXTRA_TIMEOUT_MIN_MS), latency.timeoutMs()));
    outstanding.push({ sequence, deadlineMs: nowMs + timeoutMs, regular });
    deps.send(encodeProbe(packet('probe', sequence, nowMs * 1000)));
  }

  function packet(kind: ProbePacket['kind'], ofSequence: number, sentUs: number): ProbePacket {
    const broken = everUp && isSilent();
    return { kind, inUse, broken, renews, session: deps.session, sequence: ofSequence, sentUs, peerSession: peer.session, peerReceived: peer.received, peerHighest: peer.highest, pauseMs: 0 };
  }

  function expire(nowMs: number): void {
    const expired = outstanding.filter((probe) => probe.deadlineMs <= nowMs + 0.01);
    if (expired.length === 0) return;
    outstanding = outstanding.filter((probe) => probe.deadlineMs > nowMs + 0.01);
    if (nowMs < pausedUntilMs) return;
    for (const probe of expired) {
      loss.lost(weightOf(probe));
      expiredRegular.set(probe.sequence, probe.regular);
      if (expiredRegular.size > EXPIRED_KEPT) expiredRegular.delete(expiredRegular.keys().next().value!);
      if (probe.sequence > lastArrived) (probe.regular ? misses : extraMisses).push(probe.sequence);
    }
    if (expired.some(({ regular }) => regular) || nowMs < scrutiny.untilMs) scrutinise(nowMs);
    if (misses.length > downAfter) misses = misses.slice(-downAfter);
    if (extraMisses.length > 2 * downAfter) extraMisses = extraMisses.slice(-2 * downAfter);
    judge(nowMs);
  }

  /** A probe of ours is known to have reached the peer, and the news has reached us: both ways work. */
  function noteArrival(ofSequence: number): void {
    if (ofSequence <= lastArrived || ofSequence > sequence) return;
    lastArrived = ofSequence;
    misses = misses.filter((missed) => missed > ofSequence);
    extraMisses = extraMisses.filter((missed) => missed > ofSequence);
  }

  /** Enough in a row has had no answer. */
  function isSilent(): boolean {
    return misses.length >= downAfter || (misses.length >= Math.max(2, downAfter - 1) && misses.length + extraMisses.length >= 2 * downAfter);
  }

  function judge(nowMs: number): void {
    const isBroken = isSilent() || peer.broken;
    if (!everUp) {
      if (lastArrived > 0 && misses.length === 0) {
        everUp = true;
        loss.reset();
        become('up');
      } else if (state === 'unknown' && misses.length >= downAfter) become('down');
      return;
    }
    if (isBroken) {
      wellSinceMs = null;
      if (state !== 'down') become('down');
      return;
    }
    if (state === 'up') {
      if (loss.isAlarmed() || latency.isAlarmed()) become('degraded');
      return;
    }
    judgeRecovery(nowMs);
  }

  function judgeRecovery(nowMs: number): void {
    const isWell = state === 'down' ? lastArrived > 0 && misses.length < 2 : loss.isWell() && latency.isWell();
    if (!isWell) {
      wellSinceMs = null;
      return;
    }
    if (wellSinceMs === null || (state === 'down' && loss.isAlarmed())) {
      wellSinceMs = nowMs;
      if (state === 'down') loss.reset(); // what was lost while it was down says nothing about now
    }
    if (nowMs - wellSinceMs < holdDownMs - 0.01) return;
    loss.reset();
    become(latency.isAlarmed() ? 'degraded' : 'up');
  }

  function become(next: PathState): void {
    const from = state;
    state = next;
    wellSinceMs = null;
    deps.onChange(from, next);
  }

  function receive(bytes: Uint8Array): void {
    const heard = closed ? null : decodeProbe(bytes);
    if (!heard) return;
    const nowMs = clock.monotonicMs();
    if (heard.kind === 'pause') {
      pausedUntilMs = nowMs + Math.min(heard.pauseMs, PAUSE_MAX_MS);
      return;
    }
    if (heard.session !== peer.session) pausedUntilMs = -1; // its next life; what the last one had under way does not count
    const didRenew = peer.renews;
    noteSender(heard, nowMs);
    if (peer.renews !== didRenew) deps.onPeer?.();
    if (heard.peerSession === deps.session) {
      if (heard.kind === 'echo') noteEcho(heard, nowMs);
      if (heard.peerReceived > 0) {
        meter.peerCounted({ session: heard.session, received: heard.peerReceived, highest: heard.peerHighest });
        noteArrival(heard.peerHighest);
      }
    }
    judge(nowMs);
    if (heard.kind === 'probe' && !closed) deps.send(encodeProbe(packet('echo', heard.sequence, heard.sentUs)));
  }

  function noteSender(heard: ProbePacket, nowMs: number): void {
    const known = heard.session === peer.session ? peer : { received: 0, highest: 0 };
    const counts = heard.kind === 'probe' && !(heard.session === peer.session && heard.sequence + 10_000 < peer.highest);
    peer = {
      session: heard.session,
      received: known.received + (counts ? 1 : 0),
      highest: counts ? Math.max(known.highest, heard.sequence) : known.highest,
      heardAtMs: nowMs,
      inUse: heard.inUse,
      renews: heard.renews,
      broken: heard.broken && heard.peerSession === deps.session && sequence - heard.peerHighest >= downAfter - 1,
    };
    if (peer.received > 0) meter.weCounted({ session: peer.session, received: peer.received, highest: peer.highest });
  }

  function noteEcho(echo: ProbePacket, nowMs: number): void {
    const rttMs = nowMs - echo.sentUs / 1000;
    if (!(rttMs >= -0.01 && rttMs <= 60_000) || echo.sequence === 0 || echo.sequence > sequence) return;
    const waiting = outstanding.find((probe) => probe.sequence === echo.sequence);
    if (waiting) {
      outstanding = outstanding.filter((probe) => probe !== waiting);
      loss.answered(weightOf(waiting));
    } else {
      const regular = expiredRegular.get(echo.sequence);
      if (regular !== undefined) loss.lateAnswer(weightOf({ regular }));
      expiredRegular.delete(echo.sequence);
    }
    latency.add(Math.max(0, rttMs), nowMs);
    meter.roundTrip(Math.max(0, rttMs));
    noteArrival(echo.sequence);
  }

  return {
    state: () => state,
    wasEverUp: () => everUp,
    peerInUse: () => (clock.monotonicMs() - peer.heardAtMs <= PEER_FRESH_MS ? peer.inUse : null),
    setInUse(next) {
      inUse = next;
    },
    retune(settings) {
      ({ intervalMs, downAfter, holdDownMs } = bounded(settings));
    },
    receive,
    takeWindow: () => meter.take(),
    peerRenews: () => clock.monotonicMs() - peer.heardAtMs <= PEER_FRESH_MS && peer.renews,
    setRenews(next) {
      renews = next;
    },
    pausePeer(pauseMs) {
      deps.send(encodeProbe({ ...packet('pause', 0, 0), pauseMs }));
    },
    close() {
      closed = true;
      cancelTimer();
    },
  };
}

/** A config cannot make the prober flood the path or convict it on one lost packet. */
function bounded(settings: ProbeSettings): ProbeSettings {
  return { intervalMs: Math.max(5, settings.intervalMs), downAfter: Math.max(2, settings.downAfter), holdDownMs: Math.max(0, settings.holdDownMs) };
}
