import type { StreamPacket } from './stream-packet.ts';
import type { ReceivedReport } from './protocol.ts';

/** What the receiver knows of one epoch of one stream. Times: `monotonicMs` for lengths, `now` (epoch ms) for when. */
export interface StreamCount {
  readonly epoch: number;
  add(packet: StreamPacket, payloadBytes: number, monotonicMs: number, now: number): void;
  report(settled: readonly number[], sending: boolean, monotonicMs: number, now: number): ReceivedReport;
}

/** Sequence numbers remembered per flow for telling a duplicate from a late packet. */
const WINDOW = 65_536;
const SLOT_MS = 100;
const SLOTS = 1200;
/** Of a stream; who loses more has no use for a list. */
const HOLES_MAX = 1000;

interface FlowCount {
  unique: number;
  /** Highest sequence number seen, −1 before the first. */
  highest: number;
  /** One byte a number, modulo the window. */
  seen: Uint8Array;
  lastMs: number;
  lastAt: number;
}

/** Numbers that were jumped over; some may have come since. */
interface Jump {
  flow: number;
  first: number;
  next: number;
  at: number;
}

/**
 * Gaps are per flow, since flows travel different tunnels: one flow's silence must not hide behind another's packets.
 * The first gap begins with the count itself. Resolution is a flow's packet interval.
 * @param overhead  of IP and UDP, bytes: rates count whole packets
 */
export function createStreamCount(epoch: number, beganMs: number, beganAt: number, overhead = 28): StreamCount {
  const flows: FlowCount[] = [];
  const history = createHistory(beganAt);
  const jumps: Jump[] = [];
  let duplicated = 0;
  let reordered = 0;
  let longestGapMs = 0;
  let longestGapAt = beganAt;
  let latencySumMs = 0;
  let packets = 0;

  const flowOf = (index: number): FlowCount => {
    while (flows.length <= index) flows.push({ unique: 0, highest: -1, seen: new Uint8Array(WINDOW), lastMs: beganMs, lastAt: beganAt });
    return flows[index]!;
  };

  return {
    epoch,
    add(packet, payloadBytes, monotonicMs, now) {
      const flow = flowOf(packet.flow);
      packets++;
      latencySumMs += monotonicMs - packet.sentMs;
      history.add(payloadBytes + overhead, now);
      const gapMs = monotonicMs - flow.lastMs;
      if (gapMs > longestGapMs) [longestGapMs, longestGapAt] = [gapMs, flow.lastAt];
      [flow.lastMs, flow.lastAt] = [monotonicMs, now];
      if (wasSeen(flow, packet.sequence)) {
        duplicated++;
      } else {
        if (packet.sequence < flow.highest) reordered++;
        else if (packet.sequence > flow.highest + 1 && jumps.length < HOLES_MAX) jumps.push({ flow: packet.flow, first: flow.highest + 1, next: packet.sequence, at: now });
        markSeen(flow, packet.sequence);
      }
    },
    report(settled, sending, monotonicMs, now) {
      let [gapMs, gapAt] = [longestGapMs, longestGapAt];
      settled.forEach((sent, index) => {
        const flow = flowOf(index);
        const silentMs = monotonicMs - flow.lastMs;
        if (sending && sent > flow.highest + 1 && silentMs > gapMs) [gapMs, gapAt] = [silentMs, flow.lastAt];
      });
      return {
        received: settled.reduce((sum, sent, index) => sum + receivedBelow(flowOf(index), sent), 0),
        duplicated,
        reordered,
        longestGapMs: Math.round(gapMs * 10) / 10,
        longestGapAt: Math.round(gapAt),
        latencyMs: packets === 0 ? null : Math.round((latencySumMs / packets) * 100) / 100,
        holes: jumps.map(({ flow, first, next, at }) => ({ flow, packets: missingIn(flowOf(flow), first, next), at: Math.round(at) })).filter((hole) => hole.packets > 0),
        ...history.report(now),
      };
    },
  };
}

function wasSeen(flow: FlowCount, sequence: number): boolean {
  if (sequence > flow.highest) return false;
  return sequence <= flow.highest - WINDOW || flow.seen[sequence % WINDOW] === 1;
}

function markSeen(flow: FlowCount, sequence: number): void {
  for (let skipped = Math.max(flow.highest + 1, sequence - WINDOW); skipped < sequence; skipped++) flow.seen[skipped % WINDOW] = 0;
  flow.seen[sequence % WINDOW] = 1;
  flow.highest = Math.max(flow.highest, sequence);
  flow.unique++;
}

/** Unique packets with a number below `limit`; looks only at the newest, which are in the window. */
function receivedBelow(flow: FlowCount, limit: number): number {
  let above = 0;
  for (let sequence = Math.max(limit, flow.highest - WINDOW + 1); sequence <= flow.highest; sequence++) above += flow.seen[sequence % WINDOW]!;
  return flow.unique - above;
}

/** Of the numbers from `first` to before `next`; those that have left the window count as seen. */
function missingIn(flow: FlowCount, first: number, next: number): number {
  let missing = 0;
  for (let sequence = first; sequence < next; sequence++) if (!wasSeen(flow, sequence)) missing++;
  return missing;
}

interface History {
  add(bytes: number, now: number): void;
  report(now: number): Pick<ReceivedReport, 'mbps' | 'history' | 'historyEndAt'>;
}

/** Bytes per 100 ms in a ring of two minutes. */
function createHistory(beganAt: number): History {
  const bytesIn = new Float64Array(SLOTS);
  const first = Math.floor(beganAt / SLOT_MS);
  let current = first;
  const moveTo = (slot: number): void => {
    for (let step = Math.max(current + 1, slot - SLOTS + 1); step <= slot; step++) bytesIn[step % SLOTS] = 0;
    current = Math.max(current, slot);
  };
  return {
    add(bytes, now) {
      moveTo(Math.floor(now / SLOT_MS));
      bytesIn[current % SLOTS]! += bytes;
    },
    report(now) {
      moveTo(Math.floor(now / SLOT_MS));
      const oldest = Math.max(first, current - SLOTS + 1);
      const history = Array.from({ length: current - oldest }, (_, index) => bytesIn[(oldest + index) % SLOTS]!);
      const lastSecond = history.slice(-10);
      const mbps = lastSecond.length === 0 ? 0 : (lastSecond.reduce((sum, bytes) => sum + bytes, 0) * 8) / (lastSecond.length * SLOT_MS * 1000);
      return { mbps: Math.round(mbps * 1000) / 1000, history, historyEndAt: current * SLOT_MS };
    },
  };
}
