import type { Lane, Steering, TunnelId } from '../../src/model/index.ts';
import { isReady, type TunnelHealth } from '../failover/index.ts';
import { STEERING_PATIENCE_MS } from './timing.ts';
import { steeringKey, type Desired, type Memory } from './types.ts';

export interface SteeringChoice {
  inForce: Steering[];
  /** What still waits, one line each, for drift and logs. */
  waiting: string[];
}

/**
 * Which lanes each (site, class) uses now: the wanted ones, or still the old ones (make-before-break).
 * The wanted take over when each lane that is new has a tunnel that answered a probe; when the old ones are dead;
 * after `STEERING_PATIENCE_MS` with at least one lane ready. What works is never given up for what does not.
 * A (site, class) that is not wanted any more goes at once.
 */
export function chooseSteering(desired: Desired, memory: Memory, healthOf: (tunnel: TunnelId) => TunnelHealth, nowMs: number): SteeringChoice {
  const waiting: string[] = [];
  const inForce = desired.config.steering.map((wanted) => {
    const old = oldSteering(wanted, desired, memory, healthOf);
    if (!old || mayTakeOver(wanted, old, memory, healthOf, nowMs)) return wanted;
    waiting.push(`traffic ${desired.config.site} to ${wanted.to}, class ${wanted.classId}: new tunnels do not answer yet, the old ones carry it`);
    return old;
  });
  return { inForce, waiting };
}

/** What carries this traffic now. After a restart nobody remembers, so it is whichever earlier config has tunnels that answer. */
function oldSteering(wanted: Steering, desired: Desired, memory: Memory, healthOf: (tunnel: TunnelId) => TunnelHealth): Steering | undefined {
  const key = steeringKey(wanted);
  const sameKey = (steering: Steering): boolean => steeringKey(steering) === key;
  if (memory.inForce) return memory.inForce.find(sameKey);
  const candidates = desired.earlier.flatMap((config) => config.steering.filter(sameKey));
  return candidates.find((candidate) => candidate.lanes.some((lane) => isLaneReady(lane, healthOf)));
}

function mayTakeOver(wanted: Steering, old: Steering, memory: Memory, healthOf: (tunnel: TunnelId) => TunnelHealth, nowMs: number): boolean {
  const added = wanted.lanes.filter((lane) => !old.lanes.some(({ mark }) => mark === lane.mark));
  if (added.every((lane) => isLaneReady(lane, healthOf))) return true;
  const isPatienceOver = nowMs - memory.desiredSinceMs >= STEERING_PATIENCE_MS;
  const isAnyReady = wanted.lanes.some((lane) => isLaneReady(lane, healthOf));
  if (old.lanes.some((lane) => isLaneReady(lane, healthOf))) return isPatienceOver && isAnyReady;
  const isOldStale = old.lanes.some((lane) => lane.tunnels.some((tunnel) => healthOf(tunnel) === 'stale'));
  return isAnyReady || !isOldStale || isPatienceOver;
}

function isLaneReady(lane: Lane, healthOf: (tunnel: TunnelId) => TunnelHealth): boolean {
  return lane.tunnels.some((tunnel) => isReady(healthOf(tunnel)));
}
