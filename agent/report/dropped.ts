import type { ClassId, SiteId } from '../../src/model/index.ts';
import type { DataplaneCounters, QueuedFlows } from '../ports.ts';

/** What class queues did until one instant, and whose flows were led into them then. Absent in what an earlier version kept. */
export interface QueueReading {
  shaped?: Pick<DataplaneCounters['shaped'][number], 'uplink' | 'classId' | 'sentPackets' | 'droppedPackets'>[];
  queued?: QueuedFlows[];
}

/**
 * Which part of what hosts offered in a window class queues dropped, by site and class: an estimate. A queue is of one
 * class and uplink and serves all pairs, and the kernel counts its drops as a whole, so every pair is taken to lose the
 * same part of what it leads into the queue; so is traffic of other sites that is relayed, whose loss is nobody's here.
 * A pair that was moved within the window counts half where it was and half where it is; of a pair that is sent twice
 * only what both queues dropped is lost.
 * @returns 0…1; 0 for a pair that no queue is known for
 */
export function droppedRatios(before: QueueReading, now: QueueReading): (to: SiteId, classId: ClassId) => number {
  const last = new Map((before.shaped ?? []).map((queue) => [queueKey(queue.uplink, queue.classId), queue]));
  const lossOf = new Map(
    (now.shaped ?? []).map(({ uplink, classId, sentPackets, droppedPackets }) => {
      const key = queueKey(uplink, classId);
      const dropped = grown(droppedPackets, last.get(key)?.droppedPackets);
      const sent = grown(sentPackets, last.get(key)?.sentPackets);
      return [key, dropped === 0 ? 0 : dropped / (dropped + sent)];
    }),
  );
  const ratios = new Map<string, number>();
  for (const { to, classId, uplink, share, copyUplink } of [...(before.queued ?? now.queued ?? []), ...(now.queued ?? [])]) {
    const both = (lossOf.get(queueKey(uplink, classId)) ?? 0) * (copyUplink === null ? 1 : (lossOf.get(queueKey(copyUplink, classId)) ?? 0));
    ratios.set(pairKey(to, classId), (ratios.get(pairKey(to, classId)) ?? 0) + (share * both) / 2);
  }
  return (to, classId) => Math.min(1, ratios.get(pairKey(to, classId)) ?? 0);
}

/** What a counter grew by; one below its last value has started again, so all of it is new. */
export function grown(now: number, before: number | undefined): number {
  return before === undefined || now < before ? now : now - before;
}

function queueKey(uplink: string, classId: ClassId): string {
  return `${uplink} ${classId}`;
}

function pairKey(to: SiteId, classId: ClassId): string {
  return `${to} ${classId}`;
}
