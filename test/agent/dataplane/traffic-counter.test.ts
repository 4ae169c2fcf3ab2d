import { expect, it } from 'vitest';
import { createTrafficCounter } from '../../../agent/dataplane/traffic-counter.ts';
import type { Clock } from '../../../src/base/index.ts';
import type { TunnelId } from '../../../src/model/index.ts';

const TUNNEL = 't-00000001' as TunnelId;
const HEAD = 'Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n';

it('reads again soon after a reading during which the process stood still', () => {
  let nowMs = 0;
  let costMs = 0.1;
  let packets = 0;
  const clock = { monotonicMs: () => nowMs } as Clock;
  const read = (): string => {
    nowMs += costMs;
    packets++;
    return `${HEAD}${TUNNEL}: 0 ${packets} 0 0 0 0 0 0 0 ${packets} 0 0 0 0 0 0\n`;
  };
  const counter = createTrafficCounter(clock, read);
  counter.counts(TUNNEL);
  nowMs += 100;
  costMs = 60;
  counter.counts(TUNNEL);
  costMs = 0.1;
  nowMs += 5;
  expect(counter.counts(TUNNEL)).toEqual({ sent: 3, received: 3 });
  expect(counter.counts(TUNNEL)).toEqual({ sent: 3, received: 3 }); // one reading serves all tunnels for a moment
  costMs = 1; // so many interfaces that reading takes long
  for (let count = 0; count < 40; count++) {
    nowMs += 100;
    counter.counts(TUNNEL);
  }
  const before = packets;
  nowMs += 15;
  counter.counts(TUNNEL);
  expect(packets).toBe(before);
});
