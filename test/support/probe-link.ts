import { createRng, type VirtualClock } from '../../src/base/index.ts';
import type { PathState, ProbeSettings } from '../../src/model/index.ts';
import { createProbeSession, type ProbeSession } from '../../agent/probe/index.ts';

export interface Direction {
  delayMs: number;
  jitterMs: number;
  lossRatio: number;
  down: boolean;
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
  const clean = { delayMs: 10, jitterMs: 0, lossRatio: 0, down: false, ...direction };
  const forward = { ...clean };
  const reverse = { ...clean };
  const verdicts: Verdict[] = [];
  const carry = (over: Direction, stream: ReturnType<typeof createRng>, to: () => ProbeSession) => (packet: Uint8Array) => {
    if (over.down || stream.next() < over.lossRatio) return;
    clock.setTimer(over.delayMs + over.jitterMs * stream.next(), () => to().receive(packet));
  };
  const note = (end: 'a' | 'b') => (from: PathState, to: PathState) => void verdicts.push({ end, atMs: clock.monotonicMs(), from, to });
  const a: ProbeSession = createProbeSession({ settings, clock, session: 1, send: carry(forward, rng.fork('forward'), () => b), onChange: note('a') });
  const b: ProbeSession = createProbeSession({ settings, clock, session: 2, send: carry(reverse, rng.fork('reverse'), () => a), onChange: note('b') });
  return { a, b, forward, reverse, verdicts };
}
