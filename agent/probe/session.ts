import type { PathState, ProbeSettings } from '../../src/model/index.ts';
import { createDamping } from './damping.ts';
import { createLiveness } from './liveness.ts';
import { decodeProbe, encodeProbe, type ProbePacket } from './packet.ts';
import { createPeer } from './peer.ts';
import { createLatencyWatch, createLossWatch } from './quality.ts';
import { createScrutiny } from './scrutiny.ts';
import type { ProbeSession, ProbeSessionDeps } from './session-types.ts';
import { createSlaWatch, SLA_LOOK_MS } from './sla.ts';
import { createTrafficMeter, WINDOW_PACKETS } from './traffic-loss.ts';
import { createTurns } from './turns.ts';
import { type Count, createWindowMeter } from './window.ts';

/** No probe waits longer for its answer than this, whatever the round trips were, ms. */
const TIMEOUT_MAX_MS = 2_000;
/** A peer may ask for no more patience than this, ms. */
const PAUSE_MAX_MS = 30_000;
/** After a first miss the path is asked this many times as often until it answers or is down, so chance cannot look like death. */
const SUSPECT_FACTOR = 8;
/** A tunnel that neither end uses is asked this many times less often, but at least every `IDLE_MAX_MS`. */
const IDLE_FACTOR = 4;
const IDLE_MAX_MS = 500;
/** The end of a hold-down that counts as returning, ms: paths that came back together differ by less. */
const RETURN_MS = 1_000;
/** A timer that is later than this lets the sockets be read first: answers may lie there, ms. */
const READ_FIRST_MS = 3;
/** Times within an interval at which regular probes go out. */
const STEPS = 5;
/** What an additional probe weighs as evidence of a brown-out. */
const EXTRA_WEIGHT = 0.5;
/** A doubted tunnel whose next probe is due within this anyway is not asked before, ms. */
const DOUBT_SLACK_MS = 5;
/** An additional probe counts as missed sooner than a regular one, but no sooner than this, ms. */
const EXTRA_TIMEOUT_MIN_MS = 10;

/** A probe of the peer that is to be answered, and what had come out of the tunnel here when it came; null when nobody counts. */
interface Asked {
  sequence: number;
  sentUs: number;
  arrivedUs: number;
  traffic: { senderSent: number; received: number } | null;
}

/**
 * Probes one tunnel and judges it, alone, from this end.
 *
 * Each probe expires at max(interval, srtt + 4·rttvar) after it was sent, an additional one of a suspected path at srtt + 4·rttvar.
 * `downAfter` regular probes expired in a row, or one less (at least two) and 2 · downAfter with the additional ones, with
 * nothing sent since the first of them known to have arrived, mean `down`: a dead path is found about downAfter − ½ intervals after
 * the cut, (downAfter + 1) at the latest (round trip below one interval). "Known to have arrived" is an echo, or the peer's counters on any packet of its own.
 * A peer that says its path is broken and has not heard our last probes makes ours down too: one-way loss is down both ways.
 * A tunnel that neither end uses, or that never was up, is probed a quarter as often until one is missed or the peer is heard.
 * While all is well an answer travels in a probe of the other direction (see turns.ts).
 *
 * The first answer ever makes a path `up`; after a `down` only the hold-down (see damping.ts) without two misses in a row and without
 * brown-out do. `degraded` is a brown-out by loss or latency of the probes or by loss of real traffic (see quality.ts), by the
 * peer's figures as by our own, left after the hold-down with good ones.
 */
export function createProbeSession(deps: ProbeSessionDeps): ProbeSession {
  const { clock } = deps;
  let { intervalMs, downAfter, holdDownMs, holdDownMaxMs } = bounded(deps.settings);
  const latency = createLatencyWatch();
  const loss = createLossWatch();
  const meter = createWindowMeter();
  const traffic = createTrafficMeter();
  const liveness = createLiveness(downAfter);
  const damping = createDamping(holdDownMs, holdDownMaxMs, deps.fallen ?? null);
  const scrutiny = createScrutiny();
  const sla = createSlaWatch(deps.settings.classes ?? []);
  const peer = createPeer(deps.session);
  const turns = createTurns(peer);
  /** Makes monotonic time one since 1970, as the packet format has it; a step of the wall clock later changes nothing. */
  const epochMs = clock.now() - clock.monotonicMs();

  let everUp = deps.fallen !== undefined;
  let state: PathState = everUp ? 'down' : 'unknown';
  /** A gateway whose agent starts may send through any tunnel: the peer must not take one down before we know. */
  let inUse = true;
  let renews = false;
  let lame = false;
  let sequence = 0;
  /** Our probes at the peer, by its last word. */
  let forward: Count | null = null;
  let nextSlaMs = clock.monotonicMs() + SLA_LOOK_MS;
  let wellSinceMs: number | null = null;
  let pausedUntilMs = -1;
  /** An answer to this probe or a later one ends the doubt. */
  let doubtedFrom: number | null = null;
  let nextRegularMs = clock.monotonicMs();
  let nextExtraMs: number | null = null;
  /** The peer's probe whose answer goes with our next one. */
  let kept: Asked | null = null;
  /** The timer was late, and what came meanwhile has been read. */
  let hasRead = false;
  let armedForMs = nextRegularMs;
  let closed = false;
  let cancelTimer = clock.setTimer(0, onTimer);

  function onTimer(): void {
    if (closed) return;
    const nowMs = clock.monotonicMs();
    const lateMs = nowMs - armedForMs;
    armedForMs = Number.POSITIVE_INFINITY;
    if (lateMs > intervalMs / 2) liveness.excuse(lateMs); // our own process stood still: nobody is judged by this gap
    if (lateMs > READ_FIRST_MS && !hasRead) {
      hasRead = true;
      return arm(nowMs, nowMs);
    }
    hasRead = false;
    expire(nowMs);
    const isRegular = nowMs >= nextRegularMs - 0.01;
    const isDue = isRegular || (nextExtraMs !== null && nowMs >= nextExtraMs - 0.01);
    if (isDue) sendProbe(nowMs, isRegular);
    if (isRegular) nextRegularMs = inStep(Math.max(nextRegularMs + turns.beatMs(beatMs(nowMs)), nowMs + intervalMs / 2));
    if (nowMs >= nextSlaMs) lookAtSla(nowMs);
    const isWatched = isSuspect(nowMs) || (state === 'up' && turns.isFreshlyOverdue(nowMs, intervalMs));
    if (isWatched) nextRegularMs = Math.min(nextRegularMs, nowMs + intervalMs);
    if (!isWatched) nextExtraMs = null;
    else if (isDue || nextExtraMs === null) nextExtraMs = nowMs + intervalMs / SUSPECT_FACTOR;
    arm(nowMs);
  }

  /** A timer that is due sooner stays: it looks again, and what is due is often put off. */
  function arm(nowMs: number, dueMs = Math.min(nextRegularMs, nextExtraMs ?? Number.POSITIVE_INFINITY, liveness.firstDeadlineMs())): void {
    if (closed || armedForMs <= dueMs) return;
    if (armedForMs !== Number.POSITIVE_INFINITY) cancelTimer();
    armedForMs = dueMs;
    cancelTimer = clock.setTimer(Math.max(0, dueMs - nowMs), onTimer);
  }

  function lookAtSla(nowMs: number): void {
    nextSlaMs = nowMs + SLA_LOOK_MS;
    const { peerSession, peerReceived, peerHighest } = peer.counts();
    const reverse = peerReceived > 0 ? { session: peerSession, received: peerReceived, highest: peerHighest } : null;
    if (sla.look({ latencyMs: latency.medianMs(), forward, reverse }, nowMs, holdDownMs)) deps.onWish?.();
  }

  function beatMs(nowMs: number): number {
    return state === 'unknown' || isIdle(nowMs) ? Math.max(intervalMs, Math.min(IDLE_FACTOR * intervalMs, IDLE_MAX_MS)) : intervalMs;
  }

  function isIdle(nowMs: number): boolean {
    return state === 'up' && !inUse && peer.inUse(nowMs) === false;
  }

  /** Probes of all tunnels go out together, a few times an interval, and so do their answers: a process that wakes for one packet has woken for ten. */
  function inStep(atMs: number): number {
    const stepMs = intervalMs / STEPS;
    return Math.ceil((atMs - stepMs / 2) / stepMs) * stepMs;
  }

  function isSuspect(nowMs: number): boolean {
    if (state !== 'up' && state !== 'degraded') return false;
    return liveness.misses() > 0 || (state === 'up' && scrutiny.isOn(nowMs));
  }

  /** Nothing is wrong and nobody waits for an answer of this path. */
  function isCalm(nowMs: number): boolean {
    return state === 'up' && doubtedFrom === null && !isSuspect(nowMs);
  }

  function weightOf(probe: { regular: boolean }): number {
    return probe.regular ? 1 : EXTRA_WEIGHT;
  }

  function sendProbe(nowMs: number, regular: boolean): void {
    sequence++;
    const counts = regular && !isIdle(nowMs) ? (deps.traffic?.() ?? null) : null;
    const answered = regular ? kept : null;
    if (answered) kept = null;
    const goesAlong = answered !== null && (answered.traffic === null) === (counts === null);
    if (answered && !goesAlong) sendAnswer(answered, nowMs); // counts of one direction only have no place in a packet of both
    const { patienceMs, timeoutMs } = regular ? turns.next(isCalm(nowMs), goesAlong, beatMs(nowMs), latency.timeoutMs(), intervalMs) : { patienceMs: 0, timeoutMs: Math.max(Math.min(intervalMs, EXTRA_TIMEOUT_MIN_MS), latency.timeoutMs()) };
    liveness.sent({ sequence, deadlineMs: nowMs + Math.min(TIMEOUT_MAX_MS, timeoutMs), regular });
    if (regular && turns.sent(goesAlong, isCalm(nowMs) && nowMs >= pausedUntilMs, beatMs(nowMs), nowMs)) deps.onSuspect?.();
    send(nowMs, { sequence, patienceMs }, goesAlong ? answered : null, counts);
  }

  function sendAnswer(asked: Asked, nowMs: number): void {
    send(nowMs, null, asked, asked.traffic && (deps.traffic?.() ?? null));
  }

  /** One object for a packet, and no copies of it: this runs for every packet of every tunnel. */
  function send(nowMs: number, asks: ProbePacket['asks'], answers: Asked | null, counts: { sent: number } | null, pauseMs = 0): void {
    const { peerSession, peerReceived, peerHighest } = peer.counts();
    const sent = counts === null ? 0 : counts.sent >>> 0;
    deps.send(
      encodeProbe({
        asks,
        answers,
        atUs: timeUs(nowMs),
        inUse,
        broken: everUp && liveness.isSilent(),
        degraded: isBrown(),
        renews,
        lame,
        combines: true,
        session: deps.session,
        traffic: counts === null ? null : answers?.traffic ? { senderSent: answers.traffic.senderSent, reflectorReceived: answers.traffic.received, reflectorSent: sent } : { senderSent: sent, reflectorReceived: 0, reflectorSent: 0 },
        peerSession,
        peerReceived,
        peerHighest,
        pauseMs,
      }),
    );
  }

  function timeUs(monotonicMs: number): number {
    return Math.round((epochMs + monotonicMs) * 1000);
  }

  /** By our own figures, not by the peer's word: else two ends would hold each other down. */
  function isBrown(): boolean {
    return state === 'degraded' && !(loss.isWell() && latency.isWell());
  }

  function expire(nowMs: number): void {
    const missedBefore = liveness.misses();
    const expired = liveness.expire(nowMs, nowMs < pausedUntilMs);
    if (expired.length === 0) return;
    for (const probe of expired) loss.lost(weightOf(probe));
    if (expired.some(({ regular }) => regular) || scrutiny.isOn(nowMs)) scrutiny.miss(nowMs, loss.isSuspicious());
    if (missedBefore === 0 && !turns.isOverdue() && isSuspect(nowMs) && liveness.misses() > 0) deps.onSuspect?.(); // once: others that have answered by the verdict are not asked again
    judge(nowMs);
  }

  /** It was asked seldom; now it matters, or the peer should hear of something. */
  function probeSoon(withinMs = intervalMs): void {
    const nowMs = clock.monotonicMs();
    if (closed || nextRegularMs <= nowMs + withinMs) return;
    nextRegularMs = nowMs;
    arm(nowMs);
  }

  function judge(nowMs: number): void {
    if (!everUp) {
      if (liveness.hasArrivals() && liveness.misses() === 0) {
        everUp = true;
        loss.reset();
        become('up', nowMs);
      } else if (state === 'unknown' && liveness.misses() >= downAfter) become('down', nowMs);
      return;
    }
    if (liveness.isSilent() || peer.isBroken(sequence, downAfter)) {
      interrupt(nowMs);
      if (state !== 'down') become('down', nowMs);
      return;
    }
    if (state === 'up') {
      if (loss.isAlarmed() || latency.isAlarmed() || peer.isDegraded(nowMs)) become('degraded', nowMs);
      return;
    }
    judgeRecovery(nowMs);
  }

  function judgeRecovery(nowMs: number): void {
    const isWell = state === 'down' ? liveness.hasArrivals() && liveness.misses() < 2 : loss.isWell() && latency.isWell() && !peer.isDegraded(nowMs);
    if (!isWell) return interrupt(nowMs);
    if (wellSinceMs === null || (state === 'down' && loss.isAlarmed())) {
      wellSinceMs = nowMs;
      if (state === 'down') loss.reset(); // what was lost while it was down says nothing about now
    }
    if (nowMs - wellSinceMs < damping.holdMs(nowMs) - 0.01) return;
    loss.reset();
    become(latency.isAlarmed() ? 'degraded' : 'up', nowMs);
  }

  function isReturning(nowMs: number): boolean {
    return state === 'down' && everUp && wellSinceMs !== null && nowMs - wellSinceMs >= damping.holdMs(nowMs) - RETURN_MS;
  }

  /** Its good figures have to begin again. */
  function interrupt(nowMs: number): void {
    const wasReturning = isReturning(nowMs);
    wellSinceMs = null;
    if (wasReturning) deps.onCertain?.();
  }

  function become(next: PathState, nowMs: number): void {
    const from = state;
    state = next;
    wellSinceMs = null;
    if (next === 'down') doubtedFrom = null;
    if (from === 'up') damping.fell(nowMs);
    if (from === 'down' || next === 'down') traffic.reset();
    deps.onChange(from, next);
  }

  function receive(bytes: Uint8Array): void {
    const heard = closed ? null : decodeProbe(bytes);
    if (!heard) return;
    const nowMs = clock.monotonicMs();
    const { asks, answers } = heard;
    turns.heard(asks?.patienceMs ?? 0, nowMs);
    if (!asks && !answers) {
      pausedUntilMs = nowMs + Math.min(heard.pauseMs, PAUSE_MAX_MS);
      return;
    }
    const [renewed, wasLame] = [peer.renews(nowMs), peer.isLame(nowMs)];
    if (peer.hear(heard, nowMs)) pausedUntilMs = -1; // its next life; what the last one had under way does not count
    if (peer.renews(nowMs) !== renewed || peer.isLame(nowMs) !== wasLame) deps.onWish?.();
    const counted = peer.counts();
    if (counted.peerReceived > 0) meter.weCounted({ session: counted.peerSession, received: counted.peerReceived, highest: counted.peerHighest });
    if (heard.peerSession === deps.session) {
      if (answers) noteAnswer(answers, heard, nowMs);
      if (heard.peerReceived > 0) {
        forward = { session: heard.session, received: heard.peerReceived, highest: heard.peerHighest };
        meter.peerCounted(forward);
        noteArrival(heard.peerHighest);
      }
    }
    judge(nowMs);
    if (state === 'unknown') probeSoon();
    if (asks && !closed) answer(asks, heard, nowMs);
  }

  function noteArrival(arrived: number): void {
    liveness.arrived(arrived);
    if (doubtedFrom === null || arrived < doubtedFrom || arrived > sequence) return;
    doubtedFrom = null;
    deps.onCertain?.();
  }

  function answer({ sequence: asked, patienceMs }: NonNullable<ProbePacket['asks']>, { atUs, answers, traffic: theirs }: ProbePacket, nowMs: number): void {
    const counts = theirs && (deps.traffic?.() ?? null);
    // in a packet of both directions one count of what went in serves both
    const traffic = theirs && counts && { senderSent: answers ? theirs.reflectorSent : theirs.senderSent, received: counts.received >>> 0 };
    const due: Asked = { sequence: asked, sentUs: atUs, arrivedUs: timeUs(nowMs), traffic };
    const turn = kept ? 'alone' : turns.answer(isCalm(nowMs), patienceMs, nextRegularMs - nowMs);
    if (turn === 'alone') return send(nowMs, null, due, counts);
    kept = due;
    if (turn === 'keep') return;
    sendProbe(nowMs, true);
    nextRegularMs = nowMs + turns.beatMs(beatMs(nowMs));
    arm(nowMs);
  }

  function noteAnswer(echo: NonNullable<ProbePacket['answers']>, { atUs, traffic: counts }: ProbePacket, nowMs: number): void {
    const rttMs = (timeUs(nowMs) - echo.sentUs - Math.max(0, atUs - echo.arrivedUs)) / 1000;
    if (!(rttMs >= -0.01 && rttMs <= 60_000) || echo.sequence === 0 || echo.sequence > sequence) return;
    const found = liveness.answered(echo.sequence);
    if (found?.late === true) loss.lateAnswer(weightOf(found));
    else if (found) loss.answered(weightOf(found));
    latency.add(Math.max(0, rttMs), nowMs);
    meter.roundTrip(Math.max(0, rttMs));
    noteArrival(echo.sequence);
    const lost = counts ? traffic.note(counts, echo.sentUs / 1000) : null;
    if (!lost) return;
    if (lost.lost > 0) deps.onTrafficLost?.();
    if (lost.sent >= WINDOW_PACKETS) loss.traffic(lost);
    sla.traffic(lost);
  }

  return {
    state: () => state,
    wasEverUp: () => everUp,
    peerInUse: () => peer.inUse(clock.monotonicMs()),
    setInUse(next) {
      if (next && !inUse) probeSoon();
      inUse = next;
    },
    doubt() {
      if (closed || (state !== 'up' && state !== 'degraded')) return;
      doubtedFrom = sequence + 1;
      probeSoon(DOUBT_SLACK_MS);
    },
    isDoubted: () => doubtedFrom !== null,
    isReturning: () => isReturning(clock.monotonicMs()),
    violated: () => sla.violated(),
    peerLame: () => peer.isLame(clock.monotonicMs()),
    setLame(next) {
      if (next !== lame) probeSoon();
      lame = next;
    },
    peerRenews: () => peer.renews(clock.monotonicMs()),
    setRenews(next) {
      if (next !== renews) probeSoon();
      renews = next;
    },
    retune(settings) {
      ({ intervalMs, downAfter, holdDownMs, holdDownMaxMs } = bounded(settings));
      sla.retune(settings.classes ?? []);
      liveness.retune(downAfter);
      damping.retune(holdDownMs, holdDownMaxMs);
    },
    receive,
    takeWindow: () => meter.take(),
    fallMemory: () => damping.memory(),
    pausePeer(pauseMs) {
      send(clock.monotonicMs(), null, null, null, pauseMs);
    },
    close() {
      closed = true;
      cancelTimer();
    },
  };
}

/** A config cannot make the prober flood the path or convict it on one lost packet. */
function bounded(settings: ProbeSettings): ProbeSettings {
  const holdDownMs = Math.max(0, settings.holdDownMs);
  return { intervalMs: Math.max(5, settings.intervalMs), downAfter: Math.max(2, settings.downAfter), holdDownMs, holdDownMaxMs: Math.max(holdDownMs, settings.holdDownMaxMs) };
}
