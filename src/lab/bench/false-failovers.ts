import { createRng, VirtualClock, type Rng } from '../../base/index.ts';
import type { ProbeSettings } from '../../model/index.ts';
import { createProbeSession, type ProbeSession } from '../../../agent/probe/index.ts';

const HOUR_MS = 3_600_000;
const DELAY_MS = 10;

/**
 * How often both ends of a path that only loses packets at random call it down or degraded, per hour: the agent's own
 * sessions, on virtual time, 10 ms each way.
 * @param lossRatio  of each direction
 */
export async function countFalseFailovers(settings: ProbeSettings, lossRatio: number, hours: number, seed: string, signal?: AbortSignal): Promise<number> {
  const clock = new VirtualClock();
  const rng = createRng(`${seed} ${lossRatio}`);
  let verdicts = 0;
  let isWatched = false;
  const link = (draws: Rng, to: () => ProbeSession) => (packet: Uint8Array) => {
    if (draws.next() >= lossRatio) clock.setTimer(DELAY_MS, () => to().receive(packet));
  };
  const note = (_from: string, to: string): void => {
    if (isWatched && to !== 'up') verdicts++;
  };
  const near: ProbeSession = createProbeSession({ settings, clock, session: 1, send: link(rng.fork('forward'), () => far), onChange: note });
  const far: ProbeSession = createProbeSession({ settings, clock, session: 2, send: link(rng.fork('reverse'), () => near), onChange: note });
  for (const end of [near, far]) end.setInUse(true); // probed as a path that carries traffic
  await clock.advance(10_000);
  isWatched = true;
  for (let minute = 0; minute < hours * 60; minute++) {
    signal?.throwIfAborted();
    await clock.advance(HOUR_MS / 60);
  }
  near.close();
  far.close();
  return verdicts / hours;
}
