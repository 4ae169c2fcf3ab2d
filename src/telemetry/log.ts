import type { NodeId, PathSample, Sample, TunnelId, TunnelSample } from '../model/index.ts';
import type { PathSlot } from './path-history.ts';
import type { SlotHosts, SlotReport, SlotServices, SlotTotal, SlotTunnel } from './slots.ts';

/** One numbered batch, checked. */
export interface Batch {
  node: NodeId;
  sequence: number;
  samples: readonly Sample[];
}

/**
 * Where samples are kept: the part in which the stores differ. Calls come one at a time (see `Store`), so a log needs
 * no locks of its own.
 */
export interface SampleLog {
  /** Stores all batches with their numbers, or none of them. */
  append(batches: readonly Batch[]): Promise<void>;
  /** Last stored batch number of each node. */
  sequences(): Promise<Map<NodeId, number>>;
  /** Bytes a node, series and slot from `fromSlot` on, windows split proportionally; and when nodes reported anything. */
  slotTotals(slotMs: number, fromSlot: number): Promise<{ totals: SlotTotal[]; reports: SlotReport[] }>;
  /** How many hosts a node counted in each slot from `fromSlot` on, windows split proportionally. */
  slotHosts(slotMs: number, fromSlot: number): Promise<SlotHosts[]>;
  /** What all nodes counted by service in each slot from `fromSlot` on, likewise. */
  slotServices(slotMs: number, fromSlot: number): Promise<SlotServices[]>;
  /** What each end of each path measured in each of these slots (`untilSlot` excluded), means by time; by path. */
  eachPathSlot(slotMs: number, fromSlot: number, untilSlot: number, visit: (slot: PathSlot) => void): Promise<void>;
  /** Bytes of every tunnel in each slot from `fromSlot` on, by end, likewise. */
  slotTunnels(slotMs: number, fromSlot: number): Promise<SlotTunnel[]>;
  /** The newest path and tunnel windows of each (tunnel, node), oldest first, and when each tunnel last carried traffic. */
  recentWindows(count: number): Promise<{ paths: PathSample[]; tunnels: TunnelSample[]; lastUsed: Map<TunnelId, number> }>;
  rollUp(now: number): Promise<void>;
  close(): Promise<void>;
}
