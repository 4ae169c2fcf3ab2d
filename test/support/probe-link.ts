import { createRng, type VirtualClock } from '../../src/base/index.ts';
import type { PathState, ProbeSettings } from '../../src/model/index.ts';
import { createProbeSession, type ProbeSession } from '../../agent/probe/index.ts';

export interface Direction {
  delayMs: number;
  jitterMs: number;
  lossRatio: number;
  down: boolean;
  /** Packets of traffic a second, lost with `trafficLossRatio`. */
  trafficPps: number;
  trafficLossRatio: number;
}

export interface Verdict {
  end: 'a' | 'b';
  atMs: number;
  from: PathState;
  to: PathState;
}

/** Two ends of one tunnel, with a link between them whose directions can be spoiled one by one. */
export interface ProbeLink {
  a: ProbeSession;
  b: ProbeSession;
  forward: Direction;
  reverse: Direction;
  verdicts: Verdict[];
}

export function createProbeLink(clock: VirtualClock, settings: ProbeSettings, direction: Partial<Direction> = {}, seed = 'link'): ProbeLink {
  const rng = createRng(seed);
  const clean = { delayMs: 10, jitterMs: 0, lossRatio: 0, down: false, trafficPps: 0, trafficLossRatio: 0, ...direction };
  const forward = { ...clean };
  const reverse = { ...clean };
  const verdicts: Verdict[] = [];
  const carry = (over: Direction, stream: ReturnType<typeof createRng>, to: () => ProbeSession) => (packet: Uint8Array) => {
    if (over.down || stream.next() < over.lossRatio) return;
    clock.setTimer(over.delayMs + over.jitterMs * stream.next(), () => to().receive(packet));
  };
  const counters = { forward: countTraffic(clock, forward), reverse: countTraffic(clock, reverse) };
  const note = (end: 'a' | 'b') => (from: PathState, to: PathState) => void verdicts.push({ end, atMs: clock.monotonicMs(), from, to });
  const a: ProbeSession = createProbeSession({ settings, clock, session: 1, send: carry(forward, rng.fork('forward'), () => b), traffic: () => ({ sent: counters.forward().sent, received: counters.reverse().received }), onChange: note('a') });
  const b: ProbeSession = createProbeSession({ settings, clock, session: 2, send: carry(reverse, rng.fork('reverse'), () => a), traffic: () => ({ sent: counters.reverse().sent, received: counters.forward().received }), onChange: note('b') });
  return { a, b, forward, reverse, verdicts };
}

/** What one direction has carried up to now, at the rate and loss that it has at each look. */
function countTraffic(clock: VirtualClock, direction: Direction): () => { sent: number; received: number } {
  let atMs = clock.monotonicMs();
  let [sent, received] = [0, 0];
  return () => {
    const packets = ((clock.monotonicMs() - atMs) * direction.trafficPps) / 1000;
    atMs = clock.monotonicMs();
    sent += packets;
    received += direction.down ? 0 : packets * (1 - direction.trafficLossRatio);
    return { sent: Math.floor(sent), received: Math.floor(received) };
  };
}
