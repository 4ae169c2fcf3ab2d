import { pathInputs, type WayFigures } from '../path-covariates.ts';
import type { Covariate } from './demand-matrix.ts';
import { endsOf } from './node-series.ts';

/** Columns of a table of demands by what they are. */
export interface TableColumns {
  pairs: string[];
  /** Column of each pair, from 0. */
  pairColumns: number[];
  sides: SideColumn[];
}

/** What is known beside demand: a figure of a pair's way, or hosts of one role that are active at a node. */
type SideColumn = { column: number } & ({ kind: keyof WayFigures; pair: number } | { kind: 'hosts'; role: string; pairs: number[] });

/**
 * Sorts the names of a table's columns: `latencyMs:from>to` and `lossRatio:from>to` of the way that carries a pair,
 * `hosts:role@from` of those at the sending node; all others are pairs.
 * @returns the name of a column that says something of a pair or node that the table does not have, as `unknown`
 */
export function sortColumns(names: readonly string[]): TableColumns | { unknown: string } {
  const isSide = (name: string): boolean => /^(latencyMs|lossRatio|hosts):/.test(name);
  const pairColumns = [...names.keys()].filter((column) => !isSide(names[column]!));
  const pairs = pairColumns.map((column) => names[column]!);
  const sides: SideColumn[] = [];
  for (const [column, name] of names.entries()) {
    if (!isSide(name)) continue;
    const side = sideOf(name, pairs);
    if (!side) return { unknown: name };
    sides.push({ column, ...side });
  }
  return { pairs, pairColumns, sides };
}

type Side = SideColumn extends infer Each ? (Each extends SideColumn ? Omit<Each, 'column'> : never) : never;

function sideOf(name: string, pairs: readonly string[]): Side | null {
  const kind = name.slice(0, name.indexOf(':')) as SideColumn['kind'];
  const of = name.slice(kind.length + 1);
  if (kind === 'hosts') {
    const [role = '', node = ''] = of.split('@');
    const from = [...pairs.keys()].filter((pair) => endsOf(pairs[pair]!).from === node);
    return role !== '' && from.length > 0 ? { kind, role, pairs: from } : null;
  }
  const pair = pairs.indexOf(of);
  return pair >= 0 ? { kind, pair } : null;
}

/**
 * The inputs that these columns make.
 * @param seriesOf  a column's values on the grid of the matrix, NaN where unknown
 */
export function sideCovariates({ sides }: TableColumns, seriesOf: (column: number) => Float32Array, length: number, slotsPerDay: number): Covariate[] {
  const covariates: Covariate[] = [];
  const ways = new Map<number, WayFigures>();
  for (const side of sides) {
    const values = seriesOf(side.column);
    if (side.kind === 'hosts') covariates.push({ name: `hosts:${side.role}`, pairs: side.pairs, values, isKnownAhead: false });
    else ways.set(side.pair, { latencyMs: unknown(length), lossRatio: unknown(length), ...ways.get(side.pair), [side.kind]: values });
  }
  for (const [pair, figures] of ways) {
    for (const [name, values] of Object.entries(pathInputs(figures, slotsPerDay))) covariates.push({ name, pairs: [pair], values, isKnownAhead: false });
  }
  return covariates;
}

function unknown(length: number): Float32Array {
  return new Float32Array(length).fill(Number.NaN);
}
