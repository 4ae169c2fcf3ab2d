import { formatWallClock, roundTo } from '../base/index.ts';
import { colors } from './output.ts';

/** What is drawn: the past and the forecast on one line of time, slot after slot. */
export interface ChartData {
  slotMs: number;
  past: { startAt: number; mbps: number | null }[];
  slots: { startAt: number; p50: number; p95: number }[];
  events: { event: string; startAt: number; endAt: number }[];
}

export interface ChartStyle {
  /** Columns of the terminal. */
  width: number;
  /** Lines of the drawing itself. */
  height: number;
  /** Dots of Braille, eight to a character; else plain ASCII. */
  isBraille: boolean;
}

/**
 * A chart for a terminal: measured demand, then p50 as a line and what lies between it and p95 as a dotted area, with
 * marks for planned events. Shape carries the meaning, colour only helps.
 * @returns lines of at most `width` columns, without a line end at the last
 */
export function drawForecast(data: ChartData, style: ChartStyle): string {
  const { slotMs, slots, events } = data;
  if (slots.length === 0) return 'nothing to draw';
  // A day of past beside an hour of forecast would make the forecast a hair's breadth.
  const past = data.past.slice(-Math.max(24, 4 * slots.length));
  const top = niceTop(Math.max(...past.map(({ mbps }) => mbps ?? 0), ...slots.map(({ p95 }) => p95)));
  const labels = [top, top / 2, 0].map((value) => String(roundTo(value, 2)));
  const gutter = Math.max(...labels.map((label) => label.length)) + 1;
  const plot = new Plot(Math.max(20, style.width - gutter - 1), style.height, style.isBraille, past.length + slots.length, top);
  plot.line('past', past.map(({ mbps }) => mbps), 0);
  plot.area(slots.map(({ p50 }) => p50), slots.map(({ p95 }) => p95), past.length);
  plot.line('p50', slots.map(({ p50 }) => p50), past.length);
  const edge = style.isBraille ? '│' : '|';
  const rows = plot.rows().map((row, index) => {
    const label = index === 0 ? labels[0]! : index === style.height - 1 ? labels[2]! : index === Math.floor((style.height - 1) / 2) ? labels[1]! : '';
    return `${colors.dim(label.padStart(gutter - 1))}${colors.dim(edge)}${row}`;
  });
  const startAt = past[0]?.startAt ?? slots[0]!.startAt;
  const columnOf = (at: number): number => Math.round(((at - startAt) / slotMs / (past.length + slots.length)) * plot.columns);
  const marks = eventRows(events, columnOf, plot.columns, style.isBraille).map((row) => `${' '.repeat(gutter)}${row}`);
  return [...rows, ...marks, `${' '.repeat(gutter)}${colors.dim(timeAxis(startAt, slots[0]!.startAt, columnOf(slots[0]!.startAt), plot.columns))}`, `${' '.repeat(gutter)}${legend(style.isBraille, style.width - gutter)}`].join('\n');
}

/** How the terminal of this process wants its charts. */
export function terminalStyle(isAscii: boolean): ChartStyle {
  const locale = process.env['LC_ALL'] || process.env['LC_CTYPE'] || process.env['LANG'] || '';
  const isBraille = !isAscii && /utf-?8/i.test(locale) && process.env['TERM'] !== 'linux' && process.env['TERM'] !== 'dumb';
  return { width: Math.min(160, Math.max(40, process.stdout.columns ?? 80)), height: 10, isBraille };
}

type Layer = 'past' | 'p50' | 'band';

/** Dots on a grid, each of one layer; lines hide areas. */
class Plot {
  readonly columns: number;
  private readonly lines: number;
  private readonly isBraille: boolean;
  private readonly slots: number;
  private readonly top: number;
  private readonly dots = new Map<number, Layer>();
  private readonly dotColumns: number;
  private readonly dotRows: number;

  constructor(columns: number, lines: number, isBraille: boolean, slots: number, top: number) {
    this.columns = columns;
    this.lines = lines;
    this.isBraille = isBraille;
    this.slots = slots;
    this.top = top;
    this.dotColumns = columns * (isBraille ? 2 : 1);
    this.dotRows = lines * (isBraille ? 4 : 1);
  }

  /** Joins the middles of known neighbouring slots. */
  line(layer: 'past' | 'p50', values: readonly (number | null)[], firstSlot: number): void {
    let before: number | null = null;
    for (let x = this.xOf(firstSlot); x < this.xOf(firstSlot + values.length); x++) {
      const value = this.at(values, x, firstSlot);
      const y = value === null ? null : this.yOf(value);
      if (y !== null) for (let row = Math.min(y, before ?? y); row <= Math.max(y, before ?? y); row++) this.dots.set(row * this.dotColumns + x, layer);
      before = y;
    }
  }

  area(lower: readonly number[], upper: readonly number[], firstSlot: number): void {
    for (let x = this.xOf(firstSlot); x < this.xOf(firstSlot + lower.length); x++) {
      const [from, to] = [this.yOf(this.at(upper, x, firstSlot)!), this.yOf(this.at(lower, x, firstSlot)!)];
      for (let row = from; row <= to; row++) if (!this.isBraille || (x + row) % 2 === 0 || row === from) this.dots.set(row * this.dotColumns + x, 'band');
    }
  }

  rows(): string[] {
    return Array.from({ length: this.lines }, (_, line) => {
      const cells = Array.from({ length: this.columns }, (_cell, column) => this.cell(line, column));
      return joinRuns(cells);
    });
  }

  private cell(line: number, column: number): { text: string; layer: Layer | null } {
    const found = this.isBraille ? BRAILLE_BITS.flatMap(([dx, dy, bit]) => this.dot(column * 2 + dx, line * 4 + dy, bit)) : this.dot(column, line, 0);
    const layer = (['p50', 'past', 'band'] as const).find((each) => found.some((dot) => dot.layer === each)) ?? null;
    if (layer === null) return { text: ' ', layer };
    return { text: this.isBraille ? String.fromCodePoint(0x2800 + found.reduce((bits, { bit }) => bits | bit, 0)) : ASCII[layer], layer };
  }

  private dot(x: number, y: number, bit: number): { bit: number; layer: Layer }[] {
    const layer = this.dots.get(y * this.dotColumns + x);
    return layer ? [{ bit, layer }] : [];
  }

  private xOf(slot: number): number {
    return Math.round((slot / this.slots) * this.dotColumns);
  }

  private yOf(value: number): number {
    return Math.min(this.dotRows - 1, Math.max(0, Math.round((1 - value / this.top) * (this.dotRows - 1))));
  }

  /** Between the middles of slots, straight; null where the slot itself is not known. */
  private at(values: readonly (number | null)[], x: number, firstSlot: number): number | null {
    const place = ((x + 0.5) / this.dotColumns) * this.slots - firstSlot - 0.5;
    const slot = Math.min(values.length - 1, Math.max(0, Math.round(place)));
    const value = values[slot] ?? null;
    const neighbour = values[place < slot ? slot - 1 : slot + 1] ?? null;
    return value === null || neighbour === null ? value : value + (neighbour - value) * Math.abs(place - slot);
  }
}

const BRAILLE_BITS = [[0, 0, 0x01], [0, 1, 0x02], [0, 2, 0x04], [1, 0, 0x08], [1, 1, 0x10], [1, 2, 0x20], [0, 3, 0x40], [1, 3, 0x80]] as const;
const ASCII: Record<Layer, string> = { past: '*', p50: 'o', band: ':' };
const PAINT: Record<Layer, (text: string) => string> = { past: (text) => text, p50: colors.cyan, band: colors.yellow };

/** Colours a run of cells at once, and drops the blanks at the end. */
function joinRuns(cells: readonly { text: string; layer: Layer | null }[]): string {
  let row = '';
  let run = '';
  let layer: Layer | null = null;
  for (const cell of [...cells.slice(0, cells.findLastIndex((each) => each.layer !== null) + 1), { text: '', layer: null }]) {
    if (cell.layer !== layer) {
      row += layer ? PAINT[layer](run) : run;
      run = '';
      layer = cell.layer;
    }
    run += cell.text;
  }
  return row + run;
}

function eventRows(events: ChartData['events'], columnOf: (at: number) => number, columns: number, isBraille: boolean): string[] {
  return events.flatMap(({ event, startAt, endAt }) => {
    const from = Math.max(0, columnOf(startAt));
    const to = Math.min(columns, Math.max(from + 1, columnOf(endAt)));
    if (from >= columns || to <= 0) return [];
    const bar = (isBraille ? '▬' : '=').repeat(to - from);
    const name = event.slice(0, Math.max(0, columns));
    // The name stands where there is room: after the bar, else before it, else below the limit of the line.
    if (to + 1 + name.length <= columns) return [`${' '.repeat(from)}${colors.magenta(bar)} ${name}`];
    if (from >= name.length + 1) return [`${' '.repeat(from - name.length - 1)}${name} ${colors.magenta(bar)}`];
    return [`${' '.repeat(from)}${colors.magenta(bar)}`, name];
  });
}

/** A drawing of less past than this has seconds at its axis. */
const SHORT_MS = 1_800_000;

/** When the drawing begins, when the forecast does, and nothing where they would touch. */
function timeAxis(startAt: number, nowAt: number, nowColumn: number, columns: number): string {
  const isShort = nowAt - startAt < SHORT_MS;
  const begin = formatWallClock(startAt, 'UTC', isShort);
  const now = `${formatWallClock(nowAt, 'UTC', isShort)} UTC`;
  const place = Math.min(nowColumn, columns - now.length);
  return place > begin.length ? `${begin.padEnd(place)}${now}` : now.padStart(Math.max(0, place) + now.length);
}

/** As much of it as there is room for. */
function legend(isBraille: boolean, width: number): string {
  const sample = isBraille ? { past: '⣀⡠', p50: '⠤⠤', band: '⢕⢕' } : { past: '**', p50: 'oo', band: '::' };
  const entries = [
    { sample: sample.past, text: 'measured', paint: PAINT.past },
    { sample: sample.p50, text: 'P50', paint: PAINT.p50 },
    { sample: sample.band, text: 'up to P95', paint: PAINT.band },
    { sample: 'Mbit/s', text: '', paint: colors.dim },
  ];
  let room = width;
  const shown = entries.filter((entry) => (room -= `${entry.sample} ${entry.text}`.trim().length + 2) >= -2);
  return shown.map((entry) => `${entry.paint(entry.sample)} ${entry.text}`.trim()).join('  ');
}

/** The least of 1, 1.5, 2, 3, 4, 5, 6, 8 × a power of ten that is not below the value. */
function niceTop(value: number): number {
  if (!(value > 0)) return 1;
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * unit).find((step) => step >= value * (1 - 1e-9)) ?? 10 * unit;
}
