import { readFileSync } from 'node:fs';
import type { Clock } from '../../src/base/index.ts';
import type { TunnelId } from '../../src/model/index.ts';
import type { TrafficPort } from '../ports.ts';
import { isTunnelName } from './names.ts';
import { parseNetDev } from './net-dev.ts';

/** One reading serves all tunnels for this long: what a count may be behind, ms, and what reading may cost is bounded. */
const FRESH_MIN_MS = 2;
/** With many interfaces reading takes longer: no more than a twentieth of the time is spent on it. */
const FRESH_FACTOR = 20;
/** What reading takes is the least of so many: in between the process may have stood still, which costs nobody anything. */
const COSTS_KEPT = 16;

/** The kernel's interface counters, read here and now: a helper process would take longer than what is measured. */
export function createTrafficCounter(clock: Clock, read: () => string = () => readFileSync('/proc/net/dev', 'utf8')): TrafficPort {
  let counts = new Map<TunnelId, { sent: number; received: number }>();
  let freshUntilMs = Number.NEGATIVE_INFINITY;
  let costsMs: number[] = [];
  return {
    counts(tunnel) {
      const nowMs = clock.monotonicMs();
      if (nowMs >= freshUntilMs) {
        counts = new Map(parseNetDev(read()).flatMap(({ name, rxPackets, txPackets }) => (isTunnelName(name) ? [[name, { sent: txPackets, received: rxPackets }] as const] : [])));
        costsMs = [...costsMs, clock.monotonicMs() - nowMs].slice(-COSTS_KEPT);
        freshUntilMs = nowMs + Math.max(FRESH_MIN_MS, FRESH_FACTOR * Math.min(...costsMs));
      }
      return counts.get(tunnel) ?? null;
    },
  };
}
