import { InvalidArgumentError } from 'commander';
import { makeMesh, type Instance } from '../../planner/index.ts';
import { renderTable, tell } from '../output.ts';

/** What planning a mesh of some size takes. */
export interface SizeFigures {
  sites: number;
  demands: number;
  links: number;
  /** From nothing, candidates and proof included. */
  seconds: number;
  warmSeconds: number;
  /** The median of the uplinks that died, one at a time. */
  repairMs: number;
  /** From the failure until the first plan stands, and planning again in full from there. */
  backSeconds: number;
  replanSeconds: number;
  provenGapPct: number;
  /** The most that the process has held so far. */
  peakMemoryMb: number;
}

/** Beside the figures how much each has grown for every doubling of the sites since the row before; null in the first row. */
export interface Growth extends SizeFigures {
  perDoubling: Record<'demands' | 'links' | 'seconds' | 'warmSeconds' | 'repairMs' | 'backSeconds' | 'replanSeconds' | 'peakMemoryMb', number> | null;
}

/** Plans made-up meshes of these sizes, the smallest first, and says how the cost grows. */
export function growthOf(sizes: readonly number[], seed: string, measure: (instance: Instance) => Omit<SizeFigures, 'sites' | 'demands' | 'links'>): Growth[] {
  const rows: Growth[] = [];
  // an engine that has run for a while has the planner's code compiled; so has what is measured here
  measure(makeMesh(Math.min(30, ...sizes), `${seed} before`));
  for (const sites of [...sizes].sort((one, other) => one - other)) {
    const instance = makeMesh(sites, seed);
    tell(`${sites} sites: ${instance.demands.length} demands, ${instance.links.length} links`);
    const figures: SizeFigures = { sites, demands: instance.demands.length, links: instance.links.length, ...measure(instance) };
    const before = rows.at(-1);
    rows.push({ ...figures, perDoubling: before === undefined ? null : perDoubling(before, figures) });
  }
  return rows;
}

/** The table of the figures, each with its growth in brackets. */
export function growthTable(rows: readonly Growth[]): string {
  const cell = (row: Growth, key: keyof NonNullable<Growth['perDoubling']>): string => `${row[key]}${row.perDoubling === null ? '' : ` (×${row.perDoubling[key].toFixed(1)})`}`;
  const table = renderTable(
    ['sites', 'demands', 'links', 'cold s', 'warm s', 'repair ms', 'back s', 'replan s', 'MB', 'gap %'],
    rows.map((row) => [row.sites, cell(row, 'demands'), cell(row, 'links'), cell(row, 'seconds'), cell(row, 'warmSeconds'), cell(row, 'repairMs'), cell(row, 'backSeconds'), cell(row, 'replanSeconds'), cell(row, 'peakMemoryMb'), row.provenGapPct.toFixed(4)]),
  );
  return `${table}\n\nIn brackets: times as much for each doubling of the sites.`;
}

/** `10,30,100`: whole numbers from 2 to 2000, each once. */
export function sizes(text: string): number[] {
  const numbers = text.split(',').map(Number);
  if (numbers.some((sites) => !Number.isInteger(sites) || sites < 2 || sites > 2000) || new Set(numbers).size < numbers.length) throw new InvalidArgumentError('numbers of sites from 2 to 2000 are needed, such as 10,30,100');
  return numbers;
}

function perDoubling(before: SizeFigures, now: SizeFigures): Growth['perDoubling'] {
  const doublings = Math.log2(now.sites / before.sites);
  // the clock's last digit, so that nothing is divided by zero
  const growth = (key: keyof SizeFigures): number => Math.round(100 * (Math.max(1e-3, now[key]) / Math.max(1e-3, before[key])) ** (1 / doublings)) / 100;
  return { demands: growth('demands'), links: growth('links'), seconds: growth('seconds'), warmSeconds: growth('warmSeconds'), repairMs: growth('repairMs'), backSeconds: growth('backSeconds'), replanSeconds: growth('replanSeconds'), peakMemoryMb: growth('peakMemoryMb') };
}
