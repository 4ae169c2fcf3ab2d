import { sortedBy } from '../base/index.ts';
import type { NodeId, PathSample, TrafficSample, TunnelId, TunnelSample, UsersSample } from '../model/index.ts';
import type { Batch, SampleLog } from './log.ts';
import { DOWN_SAMPLING, rollUpBounds, type Retention } from './roll-up.ts';
import type { PathSlot } from './path-history.ts';
import { eachSlot, type SlotHosts, type SlotReport, type SlotServices, type SlotTotal, type SlotTunnel } from './slots.ts';
import { getOrSet } from './tunnel-usage.ts';

/** Rows beyond which the older half is merged into windows of 5 minutes at once, whatever its age: bounds the memory. */
const ROWS_MAX = 2_000_000;

const PATH_FIGURES = ['latencyMs', 'jitterMs', 'lossForwardRatio', 'lossReverseRatio'] as const;

/**
 * Traffic, reports and figures of paths in typed columns, enough to fill a grid of any slot length later. Path and tunnel windows as such are not
 * kept beyond what the store above holds: only a restart would ask for them, and this log does not survive one.
 */
export class MemoryLog implements SampleLog {
  readonly #retention: Retention;
  readonly #sequences = new Map<NodeId, number>();
  #traffic = new WindowTable();
  /** What of the traffic shaping dropped; rows only where it did. */
  #dropped = new WindowTable();
  /** Hosts times ms, and the ms in which they were counted, by node, group and name. */
  #hostMs = new WindowTable();
  #countedMs = new WindowTable();
  /** Connections or packets by pair, class and service, of all nodes. */
  #services = new WindowTable();
  /** Figures of paths times ms, and the ms in which they were known, by path and node; in the order of `PATH_FIGURES`. */
  #pathSums = PATH_FIGURES.map(() => new WindowTable());
  #pathKnown = PATH_FIGURES.map(() => new WindowTable());
  /** Bytes of tunnels by tunnel and end, and the ms in which they were counted. */
  #tunnelRx = new WindowTable();
  #tunnelTx = new WindowTable();
  #tunnelMs = new WindowTable();
  /** One row a (node, window) in which it reported anything; no bytes. */
  #reports = new WindowTable();

  constructor(retention: Retention) {
    this.#retention = retention;
  }

  append(batches: readonly Batch[]): Promise<void> {
    for (const batch of batches) {
      let lastReport = '';
      for (const sample of batch.samples) {
        if (sample.kind === 'users') {
          this.#hostMs.add(usersKey(sample), sample.sampledAt, sample.windowMs, sample.hosts * sample.windowMs);
          this.#countedMs.add(usersKey(sample), sample.sampledAt, sample.windowMs, sample.windowMs);
          continue;
        }
        if (sample.kind === 'services') {
          this.#services.add(`${sample.from}|${sample.to}|${sample.classId}|${sample.service}`, sample.sampledAt, sample.windowMs, sample.connections ?? sample.packets ?? 0);
          continue;
        }
        if (sample.kind === 'traffic') {
          this.#traffic.add(trafficKey(sample), sample.sampledAt, sample.windowMs, sample.offeredBytes);
          if (sample.droppedBytes > 0) this.#dropped.add(trafficKey(sample), sample.sampledAt, sample.windowMs, sample.droppedBytes);
        }
        if (sample.kind === 'path') this.#addPath(sample);
        if (sample.kind === 'tunnel') {
          const key = `${sample.node}|${sample.tunnel}`;
          this.#tunnelRx.add(key, sample.sampledAt, sample.windowMs, sample.rxBytes);
          this.#tunnelTx.add(key, sample.sampledAt, sample.windowMs, sample.txBytes);
          this.#tunnelMs.add(key, sample.sampledAt, sample.windowMs, sample.windowMs);
        }
        const report = `${sample.sampledAt} ${sample.windowMs}`;
        if (report !== lastReport) this.#reports.add(sample.node, sample.sampledAt, sample.windowMs, 0);
        lastReport = report;
      }
      this.#sequences.set(batch.node, batch.sequence);
    }
    this.#eachTable((table) => (table.rows > ROWS_MAX ? table.merged(DOWN_SAMPLING.fiveMinutesMs, table.medianAt()) : table));
    return Promise.resolve();
  }

  sequences(): Promise<Map<NodeId, number>> {
    return Promise.resolve(new Map(this.#sequences));
  }

  slotTotals(slotMs: number, fromSlot: number): Promise<{ totals: SlotTotal[]; reports: SlotReport[] }> {
    const totals = new Map<string, SlotTotal>();
    const reports = new Map<string, SlotReport>();
    const add = (figure: 'bytes' | 'droppedBytes', table: WindowTable): void =>
      table.eachSlotFrom(slotMs, fromSlot, (key, slot, bytes) => {
        const [node, from, to, classId] = key.split('|') as [string, string, string, string];
        getOrSet(totals, `${key}|${slot}`, () => ({ node, from, to, classId, slot, bytes: 0, droppedBytes: 0 }))[figure] += bytes;
      });
    add('bytes', this.#traffic);
    add('droppedBytes', this.#dropped);
    this.#reports.each((node, endAt, windowMs) => {
      eachSlot(endAt, windowMs, slotMs, (slot) => {
        if (slot < fromSlot) return;
        const report = getOrSet(reports, `${node}|${slot}`, () => ({ node, slot, untilAt: endAt }));
        report.untilAt = Math.max(report.untilAt, endAt);
      });
    });
    return Promise.resolve({ totals: [...totals.values()], reports: [...reports.values()] });
  }

  slotHosts(slotMs: number, fromSlot: number): Promise<SlotHosts[]> {
    const hosts = new Map<string, SlotHosts>();
    const add = (figure: 'hostMs' | 'countedMs', table: WindowTable): void =>
      table.eachSlotFrom(slotMs, fromSlot, (key, slot, ms) => {
        const [node, group, name] = key.split('|') as [string, string, string];
        getOrSet(hosts, `${key}|${slot}`, () => ({ node, group, name, slot, hostMs: 0, countedMs: 0 }))[figure] += ms;
      });
    add('hostMs', this.#hostMs);
    add('countedMs', this.#countedMs);
    return Promise.resolve([...hosts.values()]);
  }

  slotServices(slotMs: number, fromSlot: number): Promise<SlotServices[]> {
    const services = new Map<string, SlotServices>();
    this.#services.eachSlotFrom(slotMs, fromSlot, (key, slot, count) => {
      const [from, to, classId, service] = key.split('|') as [string, string, string, string];
      getOrSet(services, `${key}|${slot}`, () => ({ from, to, classId, service, slot, count: 0 })).count += count;
    });
    return Promise.resolve([...services.values()]);
  }

  eachPathSlot(slotMs: number, fromSlot: number, untilSlot: number, visit: (slot: PathSlot) => void): Promise<void> {
    const cells = new Map<string, { path: string; slot: number; sums: number[]; known: number[] }>();
    const add = (figure: number, of: 'sums' | 'known', table: WindowTable): void =>
      table.eachSlotFrom(slotMs, fromSlot, (key, slot, value) => {
        if (slot >= untilSlot) return;
        getOrSet(cells, `${key}|${slot}`, () => ({ path: key.slice(0, key.indexOf('|')), slot, sums: [0, 0, 0, 0], known: [0, 0, 0, 0] }))[of][figure]! += value;
      });
    for (const figure of PATH_FIGURES.keys()) {
      add(figure, 'sums', this.#pathSums[figure]!);
      add(figure, 'known', this.#pathKnown[figure]!);
    }
    for (const { path, slot, sums, known } of sortedBy([...cells.values()], (cell) => cell.path)) {
      const [latencyMs, jitterMs, lossForwardRatio, lossReverseRatio] = sums.map((sum, figure) => (known[figure]! > 0 ? sum / known[figure]! : null));
      visit({ path, slot, latencyMs: latencyMs!, jitterMs: jitterMs!, lossForwardRatio: lossForwardRatio!, lossReverseRatio: lossReverseRatio! });
    }
    return Promise.resolve();
  }

  slotTunnels(slotMs: number, fromSlot: number): Promise<SlotTunnel[]> {
    const tunnels = new Map<string, SlotTunnel>();
    const add = (figure: 'rxBytes' | 'txBytes' | 'countedMs', table: WindowTable): void =>
      table.eachSlotFrom(slotMs, fromSlot, (key, slot, value) => {
        const [node, tunnel] = key.split('|') as [string, string];
        getOrSet(tunnels, `${key}|${slot}`, () => ({ node, tunnel, slot, rxBytes: 0, txBytes: 0, countedMs: 0 }))[figure] += value;
      });
    add('rxBytes', this.#tunnelRx);
    add('txBytes', this.#tunnelTx);
    add('countedMs', this.#tunnelMs);
    return Promise.resolve([...tunnels.values()]);
  }

  recentWindows(): Promise<{ paths: PathSample[]; tunnels: TunnelSample[]; lastUsed: Map<TunnelId, number> }> {
    return Promise.resolve({ paths: [], tunnels: [], lastUsed: new Map() });
  }

  rollUp(now: number): Promise<void> {
    const bounds = rollUpBounds(now, this.#retention);
    this.#eachTable((table) => table.merged(DOWN_SAMPLING.fiveMinutesMs, bounds.rawBefore).merged(DOWN_SAMPLING.hourMs, bounds.fiveMinutesBefore).without(bounds.hoursBefore));
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#eachTable(() => new WindowTable());
    return Promise.resolve();
  }

  #addPath(sample: PathSample): void {
    const isLost = sample.state === 'down';
    for (const [index, figure] of PATH_FIGURES.entries()) {
      const value = sample[figure] ?? (isLost && figure.startsWith('loss') ? 1 : null);
      if (value === null) continue;
      const key = `${sample.path}|${sample.node}`;
      this.#pathSums[index]!.add(key, sample.sampledAt, sample.windowMs, value * sample.windowMs);
      this.#pathKnown[index]!.add(key, sample.sampledAt, sample.windowMs, sample.windowMs);
    }
  }

  #eachTable(change: (table: WindowTable) => WindowTable): void {
    this.#traffic = change(this.#traffic);
    this.#dropped = change(this.#dropped);
    this.#hostMs = change(this.#hostMs);
    this.#countedMs = change(this.#countedMs);
    this.#services = change(this.#services);
    this.#tunnelRx = change(this.#tunnelRx);
    this.#tunnelTx = change(this.#tunnelTx);
    this.#tunnelMs = change(this.#tunnelMs);
    this.#reports = change(this.#reports);
    this.#pathSums = this.#pathSums.map(change);
    this.#pathKnown = this.#pathKnown.map(change);
  }
}

function trafficKey(sample: TrafficSample): string {
  return `${sample.node}|${sample.from}|${sample.to}|${sample.classId}`;
}

function usersKey(sample: UsersSample): string {
  return `${sample.node}|${sample.group}|${sample.name}`;
}

/** Rows (key, end, length, bytes) in growing typed arrays; 28 bytes a row. */
class WindowTable {
  rows = 0;
  readonly #keys: string[] = [];
  readonly #keyIndexes = new Map<string, number>();
  #keyOf = new Int32Array(1024);
  #endAt = new Float64Array(1024);
  #windowMs = new Float64Array(1024);
  #bytes = new Float64Array(1024);

  add(key: string, endAt: number, windowMs: number, bytes: number): void {
    if (this.rows === this.#keyOf.length) this.#grow();
    this.#keyOf[this.rows] = getOrSet(this.#keyIndexes, key, () => this.#keys.push(key) - 1);
    this.#endAt[this.rows] = endAt;
    this.#windowMs[this.rows] = windowMs;
    this.#bytes[this.rows] = bytes;
    this.rows += 1;
  }

  each(visit: (key: string, endAt: number, windowMs: number, bytes: number) => void): void {
    for (let row = 0; row < this.rows; row++) visit(this.#keys[this.#keyOf[row]!]!, this.#endAt[row]!, this.#windowMs[row]!, this.#bytes[row]!);
  }

  /** The part of every window that lies in a slot from `fromSlot` on. */
  eachSlotFrom(slotMs: number, fromSlot: number, visit: (key: string, slot: number, bytes: number) => void): void {
    this.each((key, endAt, windowMs, bytes) => {
      eachSlot(endAt, windowMs, slotMs, (slot, share) => {
        if (slot >= fromSlot) visit(key, slot, bytes * share);
      });
    });
  }

  /** A copy in which shorter windows that end at or before `before` are added up in windows of `bucketMs`. */
  merged(bucketMs: number, before: number): WindowTable {
    const result = new WindowTable();
    const buckets = new Map<string, Map<number, number>>();
    this.each((key, endAt, windowMs, bytes) => {
      if (endAt > before || windowMs > bucketMs) {
        result.add(key, endAt, windowMs, bytes);
        return;
      }
      const sums = getOrSet(buckets, key, () => new Map<number, number>());
      eachSlot(endAt, windowMs, bucketMs, (bucket, share) => sums.set(bucket, (sums.get(bucket) ?? 0) + bytes * share));
    });
    for (const [key, sums] of buckets) {
      for (const [bucket, bytes] of sums) result.add(key, (bucket + 1) * bucketMs, bucketMs, bytes);
    }
    return result;
  }

  without(before: number): WindowTable {
    const result = new WindowTable();
    this.each((key, endAt, windowMs, bytes) => {
      if (endAt > before) result.add(key, endAt, windowMs, bytes);
    });
    return result;
  }

  medianAt(): number {
    return this.#endAt.slice(0, this.rows).sort()[this.rows >> 1] ?? 0;
  }

  #grow(): void {
    const size = this.rows * 2;
    this.#keyOf = copyInto(new Int32Array(size), this.#keyOf);
    this.#endAt = copyInto(new Float64Array(size), this.#endAt);
    this.#windowMs = copyInto(new Float64Array(size), this.#windowMs);
    this.#bytes = copyInto(new Float64Array(size), this.#bytes);
  }
}

function copyInto<T extends Int32Array | Float64Array>(target: T, source: T): T {
  target.set(source);
  return target;
}
