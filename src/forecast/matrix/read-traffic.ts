import { ForemeshError } from '../../base/index.ts';
import type { DemandMatrix } from './demand-matrix.ts';
import { sideCovariates, sortColumns, type TableColumns } from './table-columns.ts';

const DAY_MS = 86_400_000;
/** A source that counts steps does not say how long one is. */
export const STEP_ASSUMED_MS = 300_000;
/** A grid this much longer than its rows comes from damaged timestamps. */
const GRID_PER_ROW_MAX = 50;

export interface TrafficSource {
  /** For messages only. */
  name: string;
  /** The CSV's text, already unpacked, in pieces of any size. */
  chunks: AsyncIterable<Buffer>;
  /** Length of a step where the first column counts steps, ms; 5 minutes when null. */
  stepMs: number | null;
}

/**
 * Reads a table of demands: first column an ISO 8601 instant or a step number, then one column a pair. The grid's step
 * is the commonest distance of neighbouring rows; rows that are absent and cells that are empty are unknown, and so is
 * what is no number or below 0. Rows that are out of order or twice are left out. Columns of what else is known: see
 * `sortColumns`.
 * @throws ForemeshError FORECAST_DATA_INVALID when there are no pairs, one twice, fewer than three rows, no common step, or
 *         a column says something of a pair that the table does not have
 */
export async function readTraffic(source: TrafficSource): Promise<DemandMatrix> {
  let columns: TableColumns | null = null;
  let width = 0;
  const times: number[] = [];
  const rows: Float32Array[] = [];
  let isCount = false;
  let misplaced = 0;
  for await (const line of linesOf(source.chunks)) {
    if (columns === null) {
      const names = line.split(',').slice(1).map((name) => name.trim());
      const sorted = sortColumns(names);
      if ('unknown' in sorted) throw invalid(source, `the column ${JSON.stringify(sorted.unknown.slice(0, 80))} is of a pair or node without a column of demand`, 'name it as the pairs are: latencyMs:from>to, lossRatio:from>to or hosts:role@from');
      if (sorted.pairs.length === 0) throw invalid(source, 'the first line names no pairs', 'begin with: timestamp,from>to,…');
      const seen = new Set<string>();
      const twice = sorted.pairs.find((pair) => seen.size === seen.add(pair).size);
      if (twice !== undefined) throw invalid(source, `the pair ${JSON.stringify(twice.slice(0, 80))} has two columns`, 'keep one of them, or add them up');
      [columns, width] = [sorted, names.length];
      continue;
    }
    const cells = line.split(',');
    const stamp = cells[0]!.trim();
    if (times.length === 0) isCount = /^\d{1,10}$/.test(stamp);
    const time = isCount ? Number(stamp) : Date.parse(stamp);
    if (stamp === '' || Number.isNaN(time)) throw invalid(source, `row ${rows.length + 1} begins with ${JSON.stringify(stamp.slice(0, 40))}`, 'begin every row with an instant such as 2026-01-31T00:05:00Z, or with a step number');
    if (times.length > 0 && time <= times.at(-1)!) {
      misplaced++;
      continue;
    }
    times.push(time);
    rows.push(rowOf(cells, width));
  }
  if (columns === null || rows.length < 3) {
    const leftOut = misplaced > 0 ? `; ${misplaced} more are not later than the one before` : '';
    throw invalid(source, `${rows.length} rows are too few${leftOut}`, misplaced > 0 ? 'sort the rows by time' : 'three rows are the least, a day is useful');
  }
  return toMatrix(source, columns, times, rows, isCount);
}

function toMatrix(source: TrafficSource, columns: TableColumns, times: number[], rows: Float32Array[], isCount: boolean): DemandMatrix {
  const step = commonestStep(times);
  const slots = Int32Array.from(times, (time) => Math.round((time - times[0]!) / step));
  const length = slots.at(-1)! + 1;
  if (length > GRID_PER_ROW_MAX * rows.length) throw invalid(source, `its rows span ${length} steps, but only ${rows.length} are there`, 'look for wrong timestamps at the beginning and the end');
  const seriesOf = (column: number): Float32Array => {
    const series = new Float32Array(length).fill(Number.NaN);
    for (let row = 0; row < rows.length; row++) series[slots[row]!] = rows[row]![column]!;
    return series;
  };
  const stepMs = isCount ? (source.stepMs ?? STEP_ASSUMED_MS) * step : step;
  const slotsPerDay = Math.max(1, Math.round(DAY_MS / stepMs));
  const matrix = { pairs: columns.pairs, startAt: isCount ? 0 : times[0]!, stepMs, slotsPerDay, length, values: columns.pairColumns.map(seriesOf), rowSlots: slots };
  return columns.sides.length === 0 ? matrix : { ...matrix, covariates: sideCovariates(columns, seriesOf, length, slotsPerDay) };
}

function rowOf(cells: string[], width: number): Float32Array {
  const row = new Float32Array(width);
  for (let column = 0; column < width; column++) {
    const text = cells[column + 1];
    const value = text === undefined || text === '' ? Number.NaN : Number(text);
    row[column] = value >= 0 && value < 3e38 ? value : Number.NaN;
  }
  return row;
}

function commonestStep(times: readonly number[]): number {
  const counts = new Map<number, number>();
  for (let index = 1; index < times.length; index++) {
    const step = times[index]! - times[index - 1]!;
    counts.set(step, (counts.get(step) ?? 0) + 1);
  }
  return [...counts].reduce((best, next) => (next[1] > best[1] ? next : best))[0];
}

async function* linesOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of chunks) {
    const lines = (rest + chunk.toString('latin1')).split('\n');
    rest = lines.pop()!;
    for (const line of lines) if (line.trim() !== '') yield line.trimEnd();
  }
  if (rest.trim() !== '') yield rest.trimEnd();
}

function invalid(source: TrafficSource, what: string, fix: string): ForemeshError {
  return new ForemeshError('FORECAST_DATA_INVALID', { what: `${source.name}: ${what}`, fix });
}
