/** Visits the slots that a window touches, with the share of the window (0…1] that lies in each; shares sum to 1. */
export function eachSlot(endAt: number, windowMs: number, slotMs: number, visit: (slot: number, share: number) => void): void {
  const startAt = endAt - windowMs;
  const first = Math.floor(startAt / slotMs);
  const last = Math.max(first, Math.ceil(endAt / slotMs) - 1);
  if (first === last) {
    visit(first, 1);
    return;
  }
  for (let slot = first; slot <= last; slot++) {
    const overlapMs = Math.min(endAt, (slot + 1) * slotMs) - Math.max(startAt, slot * slotMs);
    visit(slot, overlapMs / windowMs);
  }
}

/** Bytes a node was offered for one (pair, class) in one slot. */
export interface SlotTotal {
  node: string;
  from: string;
  to: string;
  classId: string;
  slot: number;
  bytes: number;
  /** What of it shaping dropped. */
  droppedBytes: number;
}

/** Hosts that a node counted in one slot: their mean is `hostMs / countedMs`. */
export interface SlotHosts {
  node: string;
  group: string;
  name: string;
  slot: number;
  /** Hosts times the time that they were counted for, ms. */
  hostMs: number;
  countedMs: number;
}

/** Connections begun to one TCP port in one slot, or packets sent to one UDP port. */
export interface SlotServices {
  from: string;
  to: string;
  classId: string;
  service: string;
  slot: number;
  count: number;
}

/** Bytes of one tunnel in one slot as one end counted them, and for how much of it. */
export interface SlotTunnel {
  node: string;
  tunnel: string;
  slot: number;
  rxBytes: number;
  txBytes: number;
  countedMs: number;
}

/** A slot in which a node reported anything, and until when it did. */
export interface SlotReport {
  node: string;
  slot: number;
  untilAt: number;
}
