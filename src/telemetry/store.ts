import type { Clock } from '../base/index.ts';
import type { ActiveHostsSeries, ClassId, Evidence, HostSample, NodeId, NodeStatus, Observation, PathEnds, PathSeries, RefusedSamples, ReportDoubt, Sample, ServiceSeries, ServicesSample, SiteId, UplinkSample, UsersSample } from '../model/index.ts';
import type { Retention } from './roll-up.ts';

/** Which demands, in slots of which length, up to when. */
export interface ObserveQuery {
  /** Epoch ms; the last slot is the last one that ended at or before it. */
  now: number;
  slotMs: number;
  /** How many slots, the newest last; ≥ 1. */
  slots: number;
  pairs: { from: SiteId; to: SiteId; classId: ClassId }[];
}

/**
 * Keeps what agents measured. A batch counts exactly once, whatever is killed when: its samples and its number are
 * stored together. Every call may run at the same time as any other.
 */
export interface TelemetryStore {
  /**
   * Stores one batch of a node, durably when this resolves. Implausible samples are left out and counted; the batch
   * counts as stored all the same, so that the agent forgets it.
   * @param sequence  the node's batch number, an integer ≥ 1
   * @returns stored  false when a batch with this or a higher number is stored already; `refused`: what was left out, if anything was
   * @throws ForemeshError TELEMETRY_FAILED; the batch is then not stored and may be sent again
   */
  append(node: NodeId, sequence: number, samples: readonly Sample[]): Promise<{ stored: boolean; refused?: RefusedSamples }>;
  /** Number of the node's last stored batch, 0 for an unknown node. */
  lastSequence(node: NodeId): Promise<number>;
  /** Implausible samples left out since the store was opened. */
  droppedSamples(): number;
  /** Both ends of every tunnel that spoke lately side by side, by tunnel. */
  pathEnds(now: number): PathEnds[];
  /** The newest sample of every uplink, by uplink, of those that still report. Kept in memory only, like `hosts`. */
  uplinks(now: number): UplinkSample[];
  hosts(now: number): HostSample[];
  /** The newest, likewise; their past is in `activeHosts`. */
  users(now: number): UsersSample[];
  services(now: number): ServicesSample[];
  /** How many hosts were active, by node, group and name; one series each that was counted in any of the slots. */
  activeHosts(query: Omit<ObserveQuery, 'pairs'>): Promise<ActiveHostsSeries[]>;
  /** How many connections were begun or packets sent, by pair, class and service; one series each that was told in any of the slots. */
  serviceCounts(query: Omit<ObserveQuery, 'pairs'>): Promise<ServiceSeries[]>;
  /** What single nodes report that cannot be, and whose clocks are wrong; of the last hour, in memory only. */
  doubts(now: number): ReportDoubt[];
  /** Begin of the oldest window of each node that came in since this was last asked, epoch ms. */
  takeOldestNews(): Map<NodeId, number>;
  /** What all gateways counted of the same traffic, window by window, from one to another (not included). */
  evidence(query: { windowMs: number; fromWindow: number; untilWindow: number }): Promise<Evidence>;
  /**
   * The past of every path that was measured in any of the slots, by path. Costs a read of the log: ask for the newest slots only,
   * and for a long past in parts. Paths beyond `PATH_CELLS_MAX` / slots are left out.
   */
  pathHistory(query: Omit<ObserveQuery, 'pairs'>): Promise<PathSeries[]>;
  /**
   * The recent past: one series a pair of the query, in its order; all paths and tunnels heard of, by id; `nodes` as given.
   * A slot's value is what all nodes of the site were offered in it; null where the site's nodes reported nothing at all.
   */
  observe(query: ObserveQuery, nodes: readonly NodeStatus[]): Promise<Observation>;
  /** Moves old samples into windows of 5 minutes, then of 1 hour, then away. Repeating it changes nothing. */
  rollUp(now: number): Promise<void>;
  /** Waits for what is under way, then lets go of the file. May be called twice. */
  close(): Promise<void>;
}

export interface StoreOptions {
  /** Decides what lies in the future; pass the virtual clock in simulations. Default: the system's. */
  clock?: Clock;
  retention?: Partial<Retention>;
}
