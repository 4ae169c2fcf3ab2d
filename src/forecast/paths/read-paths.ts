import { ForemeshError } from '../../base/index.ts';
import type { PathId, PathSeries } from '../../model/index.ts';
import { cleanSeries, type PathTable } from './path-table.ts';

const DAY_MS = 86_400_000;
/** What a grid may hold: paths times slots. */
const CELLS_MAX = 20_000_000;

export interface PathSource {
  /** For messages only. */
  name: string;
  /** The CSV's text, already unpacked, in pieces of any size. */
  chunks: AsyncIterable<Buffer>;
  /** Length of a slot, ms; null: the commonest distance of two rows of one path. */
  slotMs: number | null;
}

/** Values of one slot so far. */
interface Sums {
  sums: [number, number, number];
  known: [number, number, number];
}

const FIGURES = ['latencyMs', 'jitterMs', 'lossRatio'] as const;

/**
 * Reads a past of paths: a row a measurement, `timestamp,path,latencyMs,jitterMs,lossRatio` (the first line names the
 * columns, in any order; others are left alone). Rows of one slot are averaged. Empty cells, and figures that cannot be, are unknown.
 * @throws ForemeshError FORECAST_DATA_INVALID when a column is missing, a timestamp cannot be read, or there is too much or too little
 */
export async function readPaths(source: PathSource): Promise<PathTable> {
  let columns: number[] | null = null;
  const rows: { at: number; path: string; values: number[] }[] = [];
  for await (const line of linesOf(source.chunks)) {
    const cells = line.split(',').map((cell) => cell.trim());
    if (columns === null) {
      columns = columnsOf(source, cells);
      continue;
    }
    const [stamp, path] = [cells[columns[0]!]!, cells[columns[1]!]!];
    const at = Date.parse(stamp ?? '');
    if (Number.isNaN(at) || !path) throw invalid(source, `row ${rows.length + 1} begins with ${JSON.stringify(line.slice(0, 60))}`, 'give an instant such as 2026-01-31T00:05:00Z and the name of a path in each row');
    rows.push({ at, path, values: columns.slice(2).map((column) => (cells[column] ? Number(cells[column]) : Number.NaN)) });
    if (rows.length > CELLS_MAX) throw invalid(source, `more than ${CELLS_MAX} rows`, 'take fewer paths or a shorter time');
  }
  if (rows.length < 3) throw invalid(source, `${rows.length} rows are too few`, 'some days of several paths are useful');
  return toTable(source, rows);
}

function toTable(source: PathSource, rows: readonly { at: number; path: string; values: number[] }[]): PathTable {
  const slotMs = source.slotMs ?? commonestStep(rows);
  const first = rows.reduce((least, { at }) => Math.min(least, at), Number.POSITIVE_INFINITY);
  const last = rows.reduce((most, { at }) => Math.max(most, at), 0);
  const startSlot = Math.floor(first / slotMs);
  const length = Math.floor(last / slotMs) - startSlot + 1;
  const paths = [...new Set(rows.map(({ path }) => path))].sort();
  if (length * paths.length > CELLS_MAX) throw invalid(source, `${paths.length} paths span ${length} slots of ${slotMs / 1000} s`, 'look for wrong timestamps, or give longer slots with --slot');
  const cells = new Map<string, Map<number, Sums>>(paths.map((path) => [path, new Map()]));
  for (const { at, path, values } of rows) {
    const slots = cells.get(path)!;
    const slot = Math.floor(at / slotMs) - startSlot;
    const cell = slots.get(slot) ?? { sums: [0, 0, 0], known: [0, 0, 0] };
    slots.set(slot, cell);
    for (const [index, value] of values.entries()) {
      if (!(value >= 0 && value < 1e9)) continue;
      cell.sums[index]! += value;
      cell.known[index]!++;
    }
  }
  const series = paths.map((path) => cleanSeries(seriesOf(path, cells.get(path)!, length)));
  return { slotMs, slotsPerDay: Math.max(2, Math.round(DAY_MS / slotMs)), startAt: startSlot * slotMs, length, series };
}

function seriesOf(path: string, slots: ReadonlyMap<number, Sums>, length: number): PathSeries {
  const made: PathSeries = { path: path as PathId, latencyMs: new Float32Array(length).fill(Number.NaN), jitterMs: new Float32Array(length).fill(Number.NaN), lossRatio: new Float32Array(length).fill(Number.NaN) };
  for (const [slot, { sums, known }] of slots) for (const [index, figure] of FIGURES.entries()) made[figure][slot] = sums[index]! / known[index]!;
  return made;
}

function columnsOf(source: PathSource, head: readonly string[]): number[] {
  return ['timestamp', 'path', ...FIGURES].map((name) => {
    const index = head.indexOf(name);
    if (index < 0) throw invalid(source, `the first line does not name the column ${name}`, 'begin with: timestamp,path,latencyMs,jitterMs,lossRatio');
    return index;
  });
}

function commonestStep(rows: readonly { at: number; path: string }[]): number {
  const lastAt = new Map<string, number>();
  const counts = new Map<number, number>();
  for (const { at, path } of rows) {
    const step = at - (lastAt.get(path) ?? at);
    lastAt.set(path, at);
    if (step > 0) counts.set(step, (counts.get(step) ?? 0) + 1);
  }
  return [...counts].reduce((best, next) => (next[1] > best[1] ? next : best), [300_000, 0])[0];
}

async function* linesOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of chunks) {
    const lines = (rest + chunk.toString('utf8')).split('\n');
    rest = lines.pop()!;
    for (const line of lines) if (line.trim() !== '') yield line.trimEnd();
  }
  if (rest.trim() !== '') yield rest.trimEnd();
}

function invalid(source: PathSource, what: string, fix: string): ForemeshError {
  return new ForemeshError('FORECAST_DATA_INVALID', { what: `${source.name}: ${what}`, fix });
}
