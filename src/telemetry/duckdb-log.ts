import { chmod, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DuckDBInstance, type DuckDBAppender, type DuckDBConnection, type DuckDBResultReader } from '@duckdb/node-api';
import { ForemeshError, messageOf } from '../base/index.ts';
import type { NodeId, PathId, PathSample, PathState, Sample, TunnelId, TunnelSample } from '../model/index.ts';
import { migrate, moveOldRows, PATH_SLOTS_SQL, SLOT_HOSTS_SQL, SLOT_REPORTS_SQL, SLOT_SERVICES_SQL, SLOT_TOTALS_SQL, SLOT_TUNNELS_SQL, LAST_USED_SQL, RECENT_PATHS_SQL, RECENT_TUNNELS_SQL } from './duckdb-sql.ts';
import type { Batch, SampleLog } from './log.ts';
import { isMomentary, type MomentarySample } from './momentary.ts';
import type { PathSlot } from './path-history.ts';
import { rollUpBounds, type Retention } from './roll-up.ts';
import type { SlotHosts, SlotReport, SlotServices, SlotTotal, SlotTunnel } from './slots.ts';

/** Opens the database file and brings its tables to this version's form. See `openDuckDbStore` for errors. */
export async function openDuckDbLog(file: string, retention: Retention): Promise<SampleLog> {
  const instance = await openInstance(file);
  try {
    const connection = await instance.connect();
    await migrate(connection);
    return new DuckDbLog(instance, connection, retention);
  } catch (cause) {
    instance.closeSync();
    throw cause;
  }
}

type TableName = 'traffic' | 'path' | 'tunnel' | 'users' | 'services' | 'batch';

class DuckDbLog implements SampleLog {
  readonly #instance: DuckDBInstance;
  readonly #connection: DuckDBConnection;
  readonly #retention: Retention;
  /** Kept open from batch to batch: making one costs as much as a small commit. */
  #appenders = new Map<TableName, DuckDBAppender>();

  constructor(instance: DuckDBInstance, connection: DuckDBConnection, retention: Retention) {
    this.#instance = instance;
    this.#connection = connection;
    this.#retention = retention;
  }

  async append(batches: readonly Batch[]): Promise<void> {
    await this.#inTransaction(async () => {
      for (const batch of batches) {
        for (const sample of batch.samples) if (!isMomentary(sample)) appendSample(await this.#appender(sample.kind), sample);
        const appender = await this.#appender('batch');
        appender.appendVarchar(batch.node);
        appender.appendBigInt(BigInt(batch.sequence));
        appender.endRow();
      }
      for (const appender of this.#appenders.values()) appender.flushSync();
    });
  }

  async sequences(): Promise<Map<NodeId, number>> {
    const rows = await this.#rows('SELECT node, max(sequence)::DOUBLE AS sequence FROM batch GROUP BY node');
    return new Map(rows.map((row) => [row['node'] as NodeId, row['sequence'] as number]));
  }

  async slotTotals(slotMs: number, fromSlot: number): Promise<{ totals: SlotTotal[]; reports: SlotReport[] }> {
    const values = { slotMs, fromSlot, fromAt: fromSlot * slotMs };
    const totals = await this.#rows(SLOT_TOTALS_SQL, values);
    const reports = await this.#rows(SLOT_REPORTS_SQL, values);
    return { totals: totals as unknown as SlotTotal[], reports: reports as unknown as SlotReport[] };
  }

  async slotHosts(slotMs: number, fromSlot: number): Promise<SlotHosts[]> {
    return (await this.#rows(SLOT_HOSTS_SQL, { slotMs, fromSlot, fromAt: fromSlot * slotMs })) as unknown as SlotHosts[];
  }

  async slotServices(slotMs: number, fromSlot: number): Promise<SlotServices[]> {
    return (await this.#rows(SLOT_SERVICES_SQL, { slotMs, fromSlot, fromAt: fromSlot * slotMs })) as unknown as SlotServices[];
  }

  async eachPathSlot(slotMs: number, fromSlot: number, untilSlot: number, visit: (slot: PathSlot) => void): Promise<void> {
    const rows = await this.#columns(PATH_SLOTS_SQL, { slotMs, fromSlot, untilSlot, fromAt: fromSlot * slotMs, untilAt: untilSlot * slotMs });
    const [path, slot, ...figures] = rows as [string[], number[], ...(number | null)[][]];
    const [latencyMs, jitterMs, forward, reverse] = figures;
    for (const [row, name] of (path ?? []).entries()) {
      visit({ path: name, slot: slot[row]!, latencyMs: latencyMs![row]!, jitterMs: jitterMs![row]!, lossForwardRatio: forward![row]!, lossReverseRatio: reverse![row]! });
    }
  }

  async slotTunnels(slotMs: number, fromSlot: number): Promise<SlotTunnel[]> {
    return (await this.#rows(SLOT_TUNNELS_SQL, { slotMs, fromSlot, fromAt: fromSlot * slotMs })) as unknown as SlotTunnel[];
  }

  async recentWindows(count: number): Promise<{ paths: PathSample[]; tunnels: TunnelSample[]; lastUsed: Map<TunnelId, number> }> {
    const paths = await this.#rows(RECENT_PATHS_SQL, { count });
    const tunnels = await this.#rows(RECENT_TUNNELS_SQL, { count });
    const lastUsed = await this.#rows(LAST_USED_SQL);
    return {
      paths: paths.map((row) => ({ ...(row as unknown as PathSample), kind: 'path', state: row['state'] as PathState, path: row['path'] as PathId })),
      tunnels: tunnels.map((row) => ({ ...(row as unknown as TunnelSample), kind: 'tunnel' })),
      lastUsed: new Map(lastUsed.map((row) => [row['tunnel'] as TunnelId, row['at'] as number])),
    };
  }

  async rollUp(now: number): Promise<void> {
    await this.#inTransaction(() => moveOldRows(this.#connection, rollUpBounds(now, this.#retention)));
  }

  async close(): Promise<void> {
    this.#dropAppenders();
    await this.#connection.run('CHECKPOINT');
    this.#connection.closeSync();
    this.#instance.closeSync();
  }

  async #inTransaction(action: () => Promise<void>): Promise<void> {
    await this.#connection.run('BEGIN TRANSACTION');
    try {
      await action();
      await this.#connection.run('COMMIT');
    } catch (cause) {
      this.#dropAppenders(); // they may hold half a row
      await this.#connection.run('ROLLBACK').catch(() => undefined); // a failed COMMIT has rolled back already
      throw new ForemeshError('TELEMETRY_FAILED', { what: `the telemetry database refused a transaction: ${messageOf(cause)}`, fix: 'see that the disk of the state folder has room and works', cause });
    }
  }

  async #appender(table: TableName): Promise<DuckDBAppender> {
    const open = this.#appenders.get(table);
    if (open) return open;
    const made = await this.#connection.createAppender(table);
    this.#appenders.set(table, made);
    return made;
  }

  #dropAppenders(): void {
    const appenders = [...this.#appenders.values()];
    this.#appenders = new Map();
    for (const appender of appenders) {
      appender.clear();
      appender.closeSync();
    }
  }

  async #rows(sql: string, values: Record<string, number> = {}): Promise<Record<string, unknown>[]> {
    return (await this.#read(sql, values)).getRowObjects();
  }

  async #columns(sql: string, values: Record<string, number>): Promise<unknown[][]> {
    return (await this.#read(sql, values)).getColumns();
  }

  async #read(sql: string, values: Record<string, number>): Promise<DuckDBResultReader> {
    try {
      const used = Object.fromEntries(Object.entries(values).filter(([name]) => sql.includes(`$${name}`)));
      return await this.#connection.runAndReadAll(sql, used);
    } catch (cause) {
      throw new ForemeshError('TELEMETRY_FAILED', { what: `the telemetry database could not be read: ${messageOf(cause)}`, fix: 'see that the disk of the state folder works', cause });
    }
  }
}

function appendSample(appender: DuckDBAppender, sample: Exclude<Sample, MomentarySample>): void {
  appender.appendBigInt(BigInt(Math.round(sample.sampledAt)));
  appender.appendDouble(sample.windowMs);
  appender.appendVarchar(sample.node);
  switch (sample.kind) {
    case 'traffic':
      for (const text of [sample.from, sample.to, sample.classId]) appender.appendVarchar(text);
      for (const figure of [sample.offeredBytes, sample.offeredPackets, sample.droppedBytes]) appender.appendDouble(figure);
      break;
    case 'path':
      for (const text of [sample.peer, sample.tunnel, sample.path, sample.state]) appender.appendVarchar(text);
      for (const figure of [sample.latencyMs, sample.jitterMs, sample.lossForwardRatio, sample.lossReverseRatio]) {
        if (figure === null) appender.appendNull();
        else appender.appendDouble(figure);
      }
      break;
    case 'tunnel':
      appender.appendVarchar(sample.tunnel);
      for (const figure of [sample.rxBytes, sample.txBytes]) appender.appendDouble(figure);
      break;
    case 'services':
      for (const text of [sample.from, sample.to, sample.classId, sample.service]) appender.appendVarchar(text);
      for (const figure of [sample.connections, sample.packets]) {
        if (figure === null) appender.appendNull();
        else appender.appendDouble(figure);
      }
      break;
    case 'users':
      for (const text of [sample.group, sample.name]) appender.appendVarchar(text);
      for (const figure of [sample.hosts * sample.windowMs, sample.windowMs]) appender.appendDouble(figure);
      break;
  }
  appender.endRow();
}

async function openInstance(file: string): Promise<DuckDBInstance> {
  try {
    await mkdir(dirname(file), { recursive: true });
    const instance = await DuckDBInstance.create(file, {
      threads: '2',
      memory_limit: '512MB',
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
    });
    await chmod(file, 0o600);
    return instance;
  } catch (cause) {
    const message = messageOf(cause);
    if (/lock/i.test(message)) {
      throw new ForemeshError('TELEMETRY_FAILED', { what: `${file} is in use by another process`, fix: 'stop the other engine, or give this one its own state folder', cause });
    }
    if (/not a valid DuckDB database|serializ|corrupt|checksum/i.test(message)) {
      throw new ForemeshError('STATE_DAMAGED', { what: `${file} is not a telemetry database of ours: ${message}`, fix: 'move the file away; a new one is made, only measured history is lost', cause });
    }
    throw new ForemeshError('TELEMETRY_FAILED', { what: `${file} could not be opened: ${message}`, fix: 'see that the state folder exists and is writable', cause });
  }
}
