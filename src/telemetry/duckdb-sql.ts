import type { DuckDBConnection } from '@duckdb/node-api';
import { ForemeshError } from '../base/index.ts';
import { DOWN_SAMPLING, type rollUpBounds } from './roll-up.ts';
import { TUNNEL_NOISE_BYTES } from './tunnel-usage.ts';

const VERSION = 3;
const LEVELS = ['', '_5m', '_1h'] as const;

/** Keys and additive figures of each kind of sample, as its tables hold them. */
const KINDS = {
  traffic: { keys: ['node', 'from_site', 'to_site', 'class'], figures: ['offered_bytes', 'offered_packets', 'dropped_bytes'] },
  tunnel: { keys: ['node', 'tunnel'], figures: ['rx_bytes', 'tx_bytes'] },
  /** Active hosts are no sum over time, but these are: hosts × ms, and the ms in which they were counted. */
  users: { keys: ['node', 'counted_by', 'name'], figures: ['host_ms', 'counted_ms'] },
  /** Connections of a TCP port, packets of a UDP port; the other is null. */
  services: { keys: ['node', 'from_site', 'to_site', 'class', 'service'], figures: ['connections', 'packets'] },
} as const;
type AdditiveKind = keyof typeof KINDS;
const PATH_KEYS = ['node', 'peer', 'tunnel', 'path'] as const;
const PATH_FIGURES = ['latency_ms', 'jitter_ms', 'loss_forward', 'loss_reverse'] as const;

/** Makes the tables. @throws ForemeshError STATE_DAMAGED when a newer version wrote the file */
export async function migrate(connection: DuckDBConnection): Promise<void> {
  await connection.run('CREATE TABLE IF NOT EXISTS foremesh_schema (version INTEGER)');
  const rows = (await connection.runAndReadAll('SELECT max(version) FROM foremesh_schema')).getRows();
  const version = (rows[0]?.[0] as number | null | undefined) ?? 0;
  if (version > VERSION) {
    throw new ForemeshError('STATE_DAMAGED', { what: `the telemetry database has form ${version}, this program knows up to ${VERSION}`, fix: 'run the newer foremesh again, or move telemetry.duckdb away' });
  }
  if (version === VERSION) return;
  await connection.run('BEGIN TRANSACTION');
  for (const steps of STEPS.slice(version)) for (const sql of steps) await connection.run(sql);
  await connection.run(`INSERT INTO foremesh_schema VALUES (${VERSION})`);
  await connection.run('COMMIT');
}

/** What leads from each version to the next. */
const STEPS: readonly (readonly string[])[] = [
  [
    ...tablesOf('traffic', 'node VARCHAR, from_site VARCHAR, to_site VARCHAR, class VARCHAR, offered_bytes DOUBLE, offered_packets DOUBLE'),
    ...tablesOf('path', 'node VARCHAR, peer VARCHAR, tunnel VARCHAR, path VARCHAR, state VARCHAR, latency_ms DOUBLE, jitter_ms DOUBLE, loss_forward DOUBLE, loss_reverse DOUBLE'),
    ...tablesOf('tunnel', 'node VARCHAR, tunnel VARCHAR, rx_bytes DOUBLE, tx_bytes DOUBLE'),
    'CREATE TABLE batch (node VARCHAR, sequence BIGINT)',
  ],
  [...LEVELS.map((level) => `ALTER TABLE traffic${level} ADD COLUMN dropped_bytes DOUBLE DEFAULT 0`), ...tablesOf('users', 'node VARCHAR, counted_by VARCHAR, name VARCHAR, host_ms DOUBLE, counted_ms DOUBLE')],
  tablesOf('services', 'node VARCHAR, from_site VARCHAR, to_site VARCHAR, class VARCHAR, service VARCHAR, connections DOUBLE, packets DOUBLE'),
];

function tablesOf(kind: string, columns: string): string[] {
  return LEVELS.map((level) => `CREATE TABLE ${kind}${level} (sampled_at BIGINT, window_ms DOUBLE, ${columns})`);
}

function allLevels(kind: string, columns: string): string {
  return LEVELS.map((level) => `SELECT ${columns} FROM ${kind}${level}`).join(' UNION ALL ');
}

/** Rows of `source` cut at multiples of `stepMs`; adds `slot` and `share` (the part of the window in that slot). */
function cutIntoSlots(source: string, stepMs: string): string {
  return `SELECT *, (least(sampled_at, (slot + 1) * ${stepMs}) - greatest(sampled_at - window_ms, slot * ${stepMs})) / window_ms AS share
    FROM (SELECT *, unnest(range(floor((sampled_at - window_ms) / ${stepMs})::BIGINT, greatest(ceil(sampled_at / ${stepMs})::BIGINT, floor((sampled_at - window_ms) / ${stepMs})::BIGINT + 1))) AS slot FROM (${source}))`;
}

/** $slotMs, $fromSlot, $fromAt → node, from, to, classId, slot, bytes, droppedBytes. */
export const SLOT_TOTALS_SQL = `
  SELECT node, from_site AS "from", to_site AS "to", class AS "classId", slot::DOUBLE AS slot, sum(offered_bytes * share) AS bytes, sum(dropped_bytes * share) AS "droppedBytes"
  FROM (${cutIntoSlots(`SELECT * FROM (${allLevels('traffic', '*')}) WHERE sampled_at > $fromAt::DOUBLE`, '$slotMs::DOUBLE')})
  WHERE slot >= $fromSlot::DOUBLE GROUP BY ALL`;

/** $slotMs, $fromSlot, $fromAt → node, slot, untilAt. */
export const SLOT_REPORTS_SQL = `
  SELECT node, slot::DOUBLE AS slot, max(sampled_at)::DOUBLE AS "untilAt"
  FROM (${cutIntoSlots(
    `SELECT DISTINCT node, sampled_at, window_ms FROM (${['traffic', 'path', 'tunnel'].map((kind) => allLevels(kind, 'node, sampled_at, window_ms')).join(' UNION ALL ')}) WHERE sampled_at > $fromAt::DOUBLE`,
    '$slotMs::DOUBLE',
  )})
  WHERE slot >= $fromSlot::DOUBLE GROUP BY ALL`;

/** $slotMs, $fromSlot, $fromAt → node, group, name, slot, hostMs, countedMs. */
export const SLOT_HOSTS_SQL = `
  SELECT node, counted_by AS "group", name, slot::DOUBLE AS slot, sum(host_ms * share) AS "hostMs", sum(counted_ms * share) AS "countedMs"
  FROM (${cutIntoSlots(`SELECT * FROM (${allLevels('users', '*')}) WHERE sampled_at > $fromAt::DOUBLE`, '$slotMs::DOUBLE')})
  WHERE slot >= $fromSlot::DOUBLE GROUP BY ALL`;

/** $slotMs, $fromSlot, $fromAt → from, to, classId, service, slot, count. */
export const SLOT_SERVICES_SQL = `
  SELECT from_site AS "from", to_site AS "to", class AS "classId", service, slot::DOUBLE AS slot, sum(coalesce(connections, packets) * share) AS count
  FROM (${cutIntoSlots(`SELECT * FROM (${allLevels('services', '*')}) WHERE sampled_at > $fromAt::DOUBLE`, '$slotMs::DOUBLE')})
  WHERE slot >= $fromSlot::DOUBLE GROUP BY ALL`;

/** A path that is down and whose loss nobody can count loses everything. */
const LOST = ['loss_forward', 'loss_reverse'].map((figure) => `coalesce(${figure}, CASE WHEN state = 'down' THEN 1 END) AS ${figure}`).join(', ');

/** $slotMs, $fromSlot, $untilSlot, $fromAt, $untilAt → path, slot, latencyMs, jitterMs, lossForwardRatio, lossReverseRatio; a row an end. */
export const PATH_SLOTS_SQL = `
  SELECT path, slot::DOUBLE AS slot, ${meansByTime()}
  FROM (${cutIntoSlots(`SELECT sampled_at, window_ms, node, path, latency_ms, jitter_ms, ${LOST} FROM (${allLevels('path', 'sampled_at, window_ms, node, path, state, latency_ms, jitter_ms, loss_forward, loss_reverse')}) WHERE sampled_at > $fromAt::DOUBLE AND sampled_at - window_ms < $untilAt::DOUBLE`, '$slotMs::DOUBLE')})
  WHERE slot >= $fromSlot::DOUBLE AND slot < $untilSlot::DOUBLE GROUP BY path, node, slot ORDER BY path`;

/** $slotMs, $fromSlot, $fromAt → node, tunnel, slot, rxBytes, txBytes, countedMs. */
export const SLOT_TUNNELS_SQL = `
  SELECT node, tunnel, slot::DOUBLE AS slot, sum(rx_bytes * share) AS "rxBytes", sum(tx_bytes * share) AS "txBytes", sum(window_ms * share) AS "countedMs"
  FROM (${cutIntoSlots(`SELECT * FROM (${allLevels('tunnel', '*')}) WHERE sampled_at > $fromAt::DOUBLE`, '$slotMs::DOUBLE')})
  WHERE slot >= $fromSlot::DOUBLE GROUP BY ALL`;

/** $count → the newest windows of each (tunnel, node), oldest first. */
export const RECENT_PATHS_SQL = `
  SELECT sampled_at::DOUBLE AS "sampledAt", window_ms AS "windowMs", node, peer, tunnel, path, state, latency_ms AS "latencyMs", jitter_ms AS "jitterMs",
    loss_forward AS "lossForwardRatio", loss_reverse AS "lossReverseRatio"
  FROM (${allLevels('path', '*')}) QUALIFY row_number() OVER (PARTITION BY path, tunnel, node ORDER BY sampled_at DESC) <= $count ORDER BY sampled_at`;

export const RECENT_TUNNELS_SQL = `
  SELECT sampled_at::DOUBLE AS "sampledAt", window_ms AS "windowMs", node, tunnel, rx_bytes AS "rxBytes", tx_bytes AS "txBytes"
  FROM (${allLevels('tunnel', '*')}) QUALIFY row_number() OVER (PARTITION BY tunnel, node ORDER BY sampled_at DESC) <= $count ORDER BY sampled_at`;

/** When each tunnel last carried more than noise; the bound is `tunnelNoiseBytes`. */
export const LAST_USED_SQL = `
  SELECT tunnel, max(sampled_at)::DOUBLE AS at FROM (${allLevels('tunnel', '*')})
  WHERE rx_bytes + tx_bytes > ${TUNNEL_NOISE_BYTES} * greatest(1, window_ms / 10000) GROUP BY tunnel`;

/** Moves rows one level down, adding them to what is there, and forgets the oldest; to be run inside a transaction. */
export async function moveOldRows(connection: DuckDBConnection, bounds: ReturnType<typeof rollUpBounds>): Promise<void> {
  const steps = [
    { from: '', to: '_5m', stepMs: DOWN_SAMPLING.fiveMinutesMs, before: bounds.rawBefore },
    { from: '_5m', to: '_1h', stepMs: DOWN_SAMPLING.hourMs, before: bounds.fiveMinutesBefore },
  ];
  for (const step of steps) {
    for (const kind of MOVED) await moveRows(connection, kind, step);
  }
  for (const kind of MOVED) await connection.run(`DELETE FROM ${kind}_1h WHERE sampled_at <= ${bounds.hoursBefore}`);
  await connection.run('DELETE FROM batch WHERE sequence < (SELECT max(sequence) FROM batch AS newer WHERE newer.node = batch.node)');
}

const MOVED = ['traffic', 'path', 'tunnel', 'users', 'services'] as const;

async function moveRows(connection: DuckDBConnection, kind: (typeof MOVED)[number], step: { from: string; to: string; stepMs: number; before: number }): Promise<void> {
  const source = `${kind}${step.from}`;
  const target = `${kind}${step.to}`;
  const due = await connection.runAndReadAll(`SELECT count(*)::DOUBLE FROM ${source} WHERE sampled_at <= ${step.before}`);
  if (due.getRows()[0]?.[0] === 0) return;
  const cut = cutIntoSlots(`SELECT * FROM ${source} WHERE sampled_at <= ${step.before}`, String(step.stepMs));
  // Rows already in the touched buckets of the target are taken up again, so that a bucket stays one row a key.
  await connection.run(`CREATE OR REPLACE TEMP TABLE moved AS ${kind === 'path' ? pathBuckets(cut, step.stepMs) : additiveBuckets(kind, cut, step.stepMs)}`);
  await connection.run(`DELETE FROM ${source} WHERE sampled_at <= ${step.before}`);
  const columns = kind === 'path' ? [...PATH_KEYS] : [...KINDS[kind].keys];
  const same = columns.map((column) => `moved.${column} = ${target}.${column}`).join(' AND ');
  const match = `moved.sampled_at = ${target}.sampled_at AND ${same}`;
  const merged = kind === 'path' ? mergedPathSql(target, match) : mergedAdditiveSql(kind, target, match);
  await connection.run(`CREATE OR REPLACE TEMP TABLE merged AS ${merged}`);
  await connection.run(`DELETE FROM ${target} WHERE EXISTS (SELECT 1 FROM moved WHERE ${match})`);
  await connection.run(`INSERT INTO ${target} BY NAME SELECT * FROM merged`);
  await connection.run('DROP TABLE moved');
  await connection.run('DROP TABLE merged');
}

function additiveBuckets(kind: AdditiveKind, cut: string, stepMs: number): string {
  const { keys, figures } = KINDS[kind];
  return `SELECT (slot + 1) * ${stepMs} AS sampled_at, ${stepMs}::DOUBLE AS window_ms, ${keys.join(', ')}, ${figures.map((figure) => `sum(${figure} * share) AS ${figure}`).join(', ')}
    FROM (${cut}) GROUP BY slot, ${keys.join(', ')}`;
}

function mergedAdditiveSql(kind: AdditiveKind, target: string, match: string): string {
  const { keys, figures } = KINDS[kind];
  return `SELECT moved.sampled_at, moved.window_ms, ${keys.map((key) => `moved.${key}`).join(', ')}, ${figures.map((figure) => `moved.${figure} + coalesce(${target}.${figure}, 0) AS ${figure}`).join(', ')}
    FROM moved LEFT JOIN ${target} ON ${match}`;
}

/** Quality is averaged by time, and the state of a bucket is its worst. */
function pathBuckets(cut: string, stepMs: number): string {
  return `SELECT (slot + 1) * ${stepMs} AS sampled_at, ${stepMs}::DOUBLE AS window_ms, ${PATH_KEYS.join(', ')}, max_by(state, ${badnessSql('state')}) AS state, ${PATH_FIGURES.map((figure) => `${meanByTime(figure)} AS ${figure}`).join(', ')}
    FROM (SELECT * REPLACE (${LOST}) FROM (${cut})) GROUP BY slot, ${PATH_KEYS.join(', ')}`;
}

function meanByTime(figure: string): string {
  return `sum(${figure} * share * window_ms) / nullif(sum(CASE WHEN ${figure} IS NULL THEN 0 ELSE share * window_ms END), 0)`;
}

function meansByTime(): string {
  const names = { latency_ms: 'latencyMs', jitter_ms: 'jitterMs', loss_forward: 'lossForwardRatio', loss_reverse: 'lossReverseRatio' };
  return PATH_FIGURES.map((figure) => `${meanByTime(figure)} AS "${names[figure]}"`).join(', ');
}

/** A late window joins a bucket that is there already with equal weight: the bucket no longer knows its own. */
function mergedPathSql(target: string, match: string): string {
  const mean = (figure: string): string => `coalesce((moved.${figure} + ${target}.${figure}) / 2, moved.${figure}, ${target}.${figure}) AS ${figure}`;
  const worse = `CASE WHEN ${badnessSql(`${target}.state`)} > ${badnessSql('moved.state')} THEN ${target}.state ELSE moved.state END AS state`;
  return `SELECT moved.sampled_at, moved.window_ms, ${PATH_KEYS.map((key) => `moved.${key}`).join(', ')}, ${worse}, ${PATH_FIGURES.map(mean).join(', ')} FROM moved LEFT JOIN ${target} ON ${match}`;
}

function badnessSql(column: string): string {
  return `(CASE ${column} WHEN 'up' THEN 0 WHEN 'degraded' THEN 1 WHEN 'unknown' THEN 2 WHEN 'down' THEN 3 ELSE -1 END)`;
}
