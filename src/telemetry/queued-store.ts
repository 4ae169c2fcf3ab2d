import { ForemeshError, messageOf, systemClock, type Clock } from '../base/index.ts';
import type { ActiveHostsSeries, ClassId, Evidence, HostSample, NodeId, NodeStatus, Observation, PathEnds, PathSeries, RefusedSamples, ReportDoubt, Sample, ServiceSeries, ServicesSample, SiteId, UplinkSample, UsersSample } from '../model/index.ts';
import { seriesOfHosts, seriesOfServices } from './covariates.ts';
import { DoubtBook } from './doubts.ts';
import type { Batch, SampleLog } from './log.ts';
import { isMomentary } from './momentary.ts';
import { PathSeriesBuilder } from './path-history.ts';
import { splitPlausible } from './plausible.ts';
import { RecentPast } from './recent.ts';
import { SlotGrid } from './slot-grid.ts';
import type { ObserveQuery, TelemetryStore } from './store.ts';

interface WaitingBatch extends Batch {
  resolve(result: { stored: boolean }): void;
  reject(cause: unknown): void;
}

/** Batches stored in one transaction at most; bounds the time a commit takes. */
const GROUP_MAX = 256;

/** What a log held when it was opened. */
export interface LogState {
  sequences: Map<NodeId, number>;
  windows: Awaited<ReturnType<SampleLog['recentWindows']>>;
}

/** Puts a store on top of a log: counts each batch once, commits waiting batches together, answers from memory. */
export function createQueuedStore(log: SampleLog, state: LogState, clock: Clock = systemClock): TelemetryStore {
  const recent = new RecentPast();
  recent.loadWindows(state.windows);
  return new QueuedStore(log, recent, new Map(state.sequences), clock);
}

class QueuedStore implements TelemetryStore {
  readonly #log: SampleLog;
  readonly #recent: RecentPast;
  readonly #sequences: Map<NodeId, number>;
  readonly #clock: Clock;
  #waiting: WaitingBatch[] = [];
  /** Everything that touches the log runs behind what came before it. */
  #tail: Promise<void> = Promise.resolve();
  #closing: Promise<void> | null = null;
  #dropped = 0;
  readonly #doubts = new DoubtBook();
  #oldestNews = new Map<NodeId, number>();

  constructor(log: SampleLog, recent: RecentPast, sequences: Map<NodeId, number>, clock: Clock) {
    this.#log = log;
    this.#recent = recent;
    this.#sequences = sequences;
    this.#clock = clock;
  }

  async append(node: NodeId, sequence: number, samples: readonly Sample[]): Promise<{ stored: boolean; refused?: RefusedSamples }> {
    if (!Number.isSafeInteger(sequence) || sequence < 1) {
      throw new ForemeshError('TELEMETRY_FAILED', { what: `node ${node} sent batch number ${sequence}`, fix: 'batches of a node are numbered from 1 by whole numbers' });
    }
    this.#refuseWhenClosed();
    const split = splitPlausible(node, samples, this.#clock.now());
    const result = new Promise<{ stored: boolean }>((resolve, reject) => this.#waiting.push({ node, sequence, samples: split.plausible, resolve, reject }));
    if (this.#waiting.length === 1) void this.#enqueue(() => this.#commitGroup());
    const { stored } = await result;
    if (!stored) return { stored };
    this.#dropped += split.dropped.clock + split.dropped.figures;
    this.#doubts.note(node, samples, split, this.#clock.now());
    const refused = samples.length - split.plausible.length;
    return { stored, ...(refused > 0 && { refused: { samples: refused, example: split.example ?? '' } }) };
  }

  lastSequence(node: NodeId): Promise<number> {
    return this.#enqueue(() => Promise.resolve(this.#sequences.get(node) ?? 0));
  }

  droppedSamples(): number {
    return this.#dropped;
  }

  doubts(now: number): ReportDoubt[] {
    return this.#doubts.doubts(now);
  }

  takeOldestNews(): Map<NodeId, number> {
    const news = this.#oldestNews;
    this.#oldestNews = new Map();
    return news;
  }

  pathEnds(now: number): PathEnds[] {
    return this.#recent.pathEnds(now);
  }

  uplinks(now: number): UplinkSample[] {
    return this.#recent.uplinks(now);
  }

  hosts(now: number): HostSample[] {
    return this.#recent.hosts(now);
  }

  users(now: number): UsersSample[] {
    return this.#recent.users(now);
  }

  services(now: number): ServicesSample[] {
    return this.#recent.services(now);
  }

  async activeHosts(query: Omit<ObserveQuery, 'pairs'>): Promise<ActiveHostsSeries[]> {
    this.#refuseUnanswerable(query);
    const firstSlot = Math.floor(query.now / query.slotMs) - query.slots;
    return seriesOfHosts(await this.#enqueue(() => this.#log.slotHosts(query.slotMs, firstSlot)), firstSlot, query.slots);
  }

  async serviceCounts(query: Omit<ObserveQuery, 'pairs'>): Promise<ServiceSeries[]> {
    this.#refuseUnanswerable(query);
    const firstSlot = Math.floor(query.now / query.slotMs) - query.slots;
    return seriesOfServices(await this.#enqueue(() => this.#log.slotServices(query.slotMs, firstSlot)), firstSlot, query.slots);
  }

  async pathHistory(query: Omit<ObserveQuery, 'pairs'>): Promise<PathSeries[]> {
    this.#refuseUnanswerable(query);
    const untilSlot = Math.floor(query.now / query.slotMs);
    const builder = new PathSeriesBuilder(untilSlot - query.slots, query.slots);
    await this.#enqueue(() => this.#log.eachPathSlot(query.slotMs, untilSlot - query.slots, untilSlot, (slot) => builder.add(slot)));
    return builder.series();
  }

  async evidence({ windowMs, fromWindow, untilWindow }: { windowMs: number; fromWindow: number; untilWindow: number }): Promise<Evidence> {
    this.#refuseUnanswerable({ now: untilWindow * windowMs, slotMs: windowMs, slots: Math.max(1, untilWindow - fromWindow) });
    const { totals, tunnels } = await this.#enqueue(async () => ({ ...(await this.#log.slotTotals(windowMs, fromWindow)), tunnels: await this.#log.slotTunnels(windowMs, fromWindow) }));
    const isAsked = ({ slot }: { slot: number }): boolean => slot < untilWindow;
    return {
      windowMs,
      fromWindow,
      untilWindow,
      offered: totals.filter(isAsked).map(({ node, from, to, classId, slot, bytes, droppedBytes }) => ({ node: node as NodeId, from: from as SiteId, to: to as SiteId, classId: classId as ClassId, window: slot, bytes, droppedBytes })),
      tunnels: tunnels.filter(isAsked).map(({ node, slot, ...counted }) => ({ ...counted, node: node as NodeId, window: slot })),
    };
  }

  async observe(query: ObserveQuery, nodes: readonly NodeStatus[]): Promise<Observation> {
    this.#refuseUnanswerable(query);
    const ready = this.#recent.gridFor(query);
    if (ready) return this.#recent.observe(query, ready, nodes);
    return this.#enqueue(async () => {
      const grid = this.#recent.gridFor(query) ?? (await this.#fillGrid(query));
      return this.#recent.observe(query, grid, nodes);
    });
  }

  rollUp(now: number): Promise<void> {
    this.#refuseWhenClosed();
    return this.#enqueue(async () => {
      await this.#log.rollUp(now);
      this.#recent.forget(now);
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#enqueue(() => this.#log.close());
    return this.#closing;
  }

  /** Stores what has gathered while the last transaction ran; batches of one node in order, each number once. */
  async #commitGroup(): Promise<void> {
    const group = this.#waiting.slice(0, GROUP_MAX);
    this.#waiting = this.#waiting.slice(GROUP_MAX);
    if (this.#waiting.length > 0) void this.#enqueue(() => this.#commitGroup());
    const accepted = new Map<NodeId, number>();
    const fresh = group.filter((batch) => {
      const last = accepted.get(batch.node) ?? this.#sequences.get(batch.node) ?? 0;
      if (batch.sequence <= last) return false;
      accepted.set(batch.node, batch.sequence);
      return true;
    });
    try {
      if (fresh.length > 0) await this.#log.append(fresh.map(({ node, sequence, samples }) => ({ node, sequence, samples: samples.filter((sample) => !isMomentary(sample)) })));
    } catch (cause) {
      const error = cause instanceof ForemeshError ? cause : new ForemeshError('TELEMETRY_FAILED', { what: `samples could not be stored: ${messageOf(cause)}`, fix: 'see that the disk of the state folder has room', cause });
      for (const batch of group) batch.reject(error);
      return;
    }
    for (const [node, sequence] of accepted) this.#sequences.set(node, sequence);
    for (const batch of fresh) {
      this.#recent.add(batch.samples);
      for (const { sampledAt, windowMs } of batch.samples) this.#oldestNews.set(batch.node, Math.min(sampledAt - windowMs, this.#oldestNews.get(batch.node) ?? Infinity));
    }
    const stored = new Set<WaitingBatch>(fresh);
    for (const batch of group) batch.resolve({ stored: stored.has(batch) });
  }

  async #fillGrid(query: ObserveQuery): Promise<SlotGrid> {
    const grid = new SlotGrid(query.slotMs, query.slots, query.now);
    const { totals, reports } = await this.#log.slotTotals(query.slotMs, Math.floor(query.now / query.slotMs) - query.slots);
    grid.load(totals, reports);
    this.#recent.addGrid(grid);
    return grid;
  }

  #enqueue<T>(action: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(action);
    this.#tail = result.then(
      () => undefined,
      () => undefined, // the caller of `action` has the error; the next in the queue is not concerned
    );
    return result;
  }

  #refuseUnanswerable(query: Omit<ObserveQuery, 'pairs'>): void {
    this.#refuseWhenClosed();
    if (!(query.slotMs >= 1) || !(query.slots >= 1) || !Number.isFinite(query.now)) {
      throw new ForemeshError('TELEMETRY_FAILED', { what: `cannot observe ${query.slots} slots of ${query.slotMs} ms at ${query.now}`, fix: 'ask for at least one slot of at least 1 ms' });
    }
  }

  #refuseWhenClosed(): void {
    if (this.#closing) throw new ForemeshError('TELEMETRY_FAILED', { what: 'the telemetry store is closed', fix: 'open it again; this is a bug of the caller' });
  }
}
