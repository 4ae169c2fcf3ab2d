import { html, shortName, type SafeHtml } from './html.ts';

/** One line of a chart. `tone` chooses colour and dash: 0 is the one in use, 1 what it is compared with, then others. */
export interface LineSeries {
  name: string;
  tone: number;
  /** NaN breaks the line. */
  points: readonly (readonly [x: number, y: number])[];
  hasDots?: boolean;
}

export interface ChartText {
  title: string;
  /** What is to be seen, for those who cannot see it. */
  description: string;
}

export interface Axis {
  label: string;
  format: (value: number) => string;
  min?: number;
  max?: number;
  ticks?: readonly number[];
}

/** Of a chart that has the page to itself, and of one that shares a row with another. */
const WIDTH = 720;
const HALF_WIDTH = 430;
const LEFT = 62;
const RIGHT = 16;
/** Half a label's width: nearer to the edge it would be cut. */
const LABEL_HALF = 40;
const BOTTOM = 40;

/** Horizontal bars, least first, with a line at a value that they are compared with. */
export function barChart(text: ChartText, bars: readonly { name: string; value: number; isChosen: boolean }[], line: { name: string; value: number } | null, format: (value: number) => string): SafeHtml {
  const [left, row, width] = [118, 24, HALF_WIDTH];
  const height = bars.length * row + (line ? 26 : 8);
  const most = Math.max(...bars.map(({ value }) => value), line?.value ?? 0, 1e-12);
  const scale = (width - left - 70) / most;
  const rows = bars.map(({ name, value, isChosen }, index) => {
    const y = index * row + 4;
    return html`<text class="name${isChosen ? ' chosen' : ''}" x="${left - 8}" y="${y + 13}" text-anchor="end">${shortName(name).slice(0, 16)}</text><rect class="bar${isChosen ? ' chosen' : ''}" x="${left}" y="${y}" width="${coordinate(Math.max(1, value * scale))}" height="${row - 8}"/><text class="figure" x="${coordinate(left + value * scale + 6)}" y="${y + 13}">${format(value)}</text>`;
  });
  const at = line ? coordinate(left + line.value * scale) : 0;
  const mark = line && html`<line class="mark" x1="${at}" x2="${at}" y1="0" y2="${bars.length * row}"/><text class="axis" x="${at}" y="${bars.length * row + 16}" text-anchor="middle">${line.name}</text>`;
  return svg(text, width, height, [rows, mark]);
}

/** Lines over a common x; a tick every nice step. */
export function lineChart(text: ChartText, series: readonly LineSeries[], x: Axis, y: Axis, height = 260): SafeHtml {
  const frame = frameOf(series.flatMap(({ points }) => points), x, y, WIDTH, height);
  const lines = series.map(({ tone, points, hasDots }) => [html`<path class="line tone${tone}" d="${pathOf(points, frame)}"/>`, hasDots ? points.filter(([, value]) => Number.isFinite(value)).map(([px, py]) => html`<circle class="dot tone${tone}" cx="${frame.x(px)}" cy="${frame.y(py)}" r="3"/>`) : null]);
  const below = legend(series.map(({ name, tone }) => ({ name, kind: `line tone${tone}` })), WIDTH, height);
  return svg(text, WIDTH, height + below.height, [axes(frame, x, y, WIDTH, height), lines, below.content]);
}

/** What came, what was expected, and the area up to a quantile, over time. */
export function bandChart(text: ChartText, data: { x: readonly number[]; actual: readonly number[]; p50: readonly number[]; p95: readonly number[] }, x: Axis, y: Axis, height = 180): SafeHtml {
  const pointsOf = (values: readonly number[]): [number, number][] => values.map((value, index) => [data.x[index]!, value]);
  const frame = frameOf([...pointsOf(data.actual), ...pointsOf(data.p95)], x, { ...y, min: 0 }, HALF_WIDTH, height);
  const below = legend([{ name: 'measured', kind: 'line actual' }, { name: 'P50', kind: 'line tone0' }, { name: 'up to P95', kind: 'band' }], HALF_WIDTH, height);
  return svg(text, HALF_WIDTH, height + below.height, [
    axes(frame, x, y, HALF_WIDTH, height),
    html`${bands(pointsOf(data.p50), pointsOf(data.p95), frame)}<path class="line tone0" d="${pathOf(pointsOf(data.p50), frame)}"/><path class="line actual" d="${pathOf(pointsOf(data.actual), frame)}"/>`,
    below.content,
  ]);
}

/** One area for each stretch without a gap. */
function bands(lower: readonly [number, number][], upper: readonly [number, number][], frame: Frame): SafeHtml[] {
  const areas: SafeHtml[] = [];
  let from = 0;
  for (let index = 0; index <= lower.length; index++) {
    if (index < lower.length && Number.isFinite(lower[index]![1]) && Number.isFinite(upper[index]![1])) continue;
    const points = [...upper.slice(from, index), ...lower.slice(from, index).reverse()].map(([px, py]) => `${frame.x(px)},${frame.y(py)}`);
    if (points.length > 2) areas.push(html`<polygon class="band" points="${points.join(' ')}"/>`);
    from = index + 1;
  }
  return areas;
}

const LEGEND_ROW = 20;

interface Frame {
  x: (value: number) => number;
  y: (value: number) => number;
  xTicks: number[];
  yTicks: number[];
}

function frameOf(points: readonly (readonly [number, number])[], x: Axis, y: Axis, width: number, height: number): Frame {
  const known = points.filter(([px, py]) => Number.isFinite(px) && Number.isFinite(py));
  const [xMin, xMax] = range(known.map(([value]) => value), x);
  const [low, high] = range(known.map(([, value]) => value), y);
  const yTicks = y.ticks ?? niceTicks(low, high, 5);
  const yMin = y.min ?? Math.min(low, yTicks[0] ?? low);
  const yMax = y.max ?? Math.max(high, yTicks.at(-1) ?? high);
  return {
    x: (value) => coordinate(LEFT + ((value - xMin) / (xMax - xMin || 1)) * (width - LEFT - RIGHT)),
    y: (value) => coordinate(8 + (1 - (value - yMin) / (yMax - yMin || 1)) * (height - BOTTOM - 8)),
    xTicks: [...(x.ticks ?? niceTicks(xMin, xMax, 6))].filter((tick) => tick >= xMin && tick <= xMax),
    yTicks: [...yTicks].filter((tick) => tick >= yMin && tick <= yMax),
  };
}

function range(values: readonly number[], { min, max }: Axis): [number, number] {
  const least = values.reduce((most, value) => Math.min(most, value), Infinity);
  const most = values.reduce((top, value) => Math.max(top, value), -Infinity);
  return [min ?? (Number.isFinite(least) ? least : 0), max ?? (Number.isFinite(most) ? most : 1)];
}

function axes(frame: Frame, x: Axis, y: Axis, width: number, height: number): SafeHtml {
  const right = width - RIGHT;
  const base = height - BOTTOM;
  return html`${frame.yTicks.map((tick) => html`<line class="grid" x1="${LEFT}" x2="${right}" y1="${frame.y(tick)}" y2="${frame.y(tick)}"/><text class="axis" x="${LEFT - 6}" y="${frame.y(tick) + 4}" text-anchor="end">${y.format(tick)}</text>`)}${frame.xTicks.map((tick) => html`<text class="axis" x="${frame.x(tick)}" y="${base + 16}" text-anchor="${frame.x(tick) > right - LABEL_HALF ? 'end' : 'middle'}">${x.format(tick)}</text>`)}<text class="axis label" x="${(LEFT + right) / 2}" y="${base + 32}" text-anchor="middle">${x.label}</text><text class="axis label" x="${-(base / 2)}" y="14" text-anchor="middle" transform="rotate(-90)">${y.label}</text>`;
}

/** Below the drawing, in as many rows as it needs. */
function legend(entries: readonly { name: string; kind: string }[], page: number, below: number): { content: SafeHtml; height: number } {
  let at = LEFT;
  let top = below;
  const content = html`${entries.map(({ name, kind }) => {
    const label = shortName(name).slice(0, 24);
    const width = 44 + label.length * 7.2;
    if (at + width > page && at > LEFT) [at, top] = [LEFT, top + LEGEND_ROW];
    const from = at;
    at += width;
    return html`${kind === 'band' ? html`<rect class="band" x="${coordinate(from)}" y="${top + 4}" width="20" height="10"/>` : html`<line class="${kind}" x1="${coordinate(from)}" x2="${coordinate(from + 20)}" y1="${top + 9}" y2="${top + 9}"/>`}<text class="axis" x="${coordinate(from + 25)}" y="${top + 13}">${label}</text>`;
  })}`;
  return { content, height: top - below + LEGEND_ROW + 2 };
}

function pathOf(points: readonly (readonly [number, number])[], frame: Frame): string {
  let isPen = false;
  const steps: string[] = [];
  for (const [px, py] of points) {
    if (!Number.isFinite(py)) {
      isPen = false;
      continue;
    }
    steps.push(`${isPen ? 'L' : 'M'}${frame.x(px)} ${frame.y(py)}`);
    isPen = true;
  }
  return steps.join('');
}

function svg({ title, description }: ChartText, width: number, height: number, content: Parameters<typeof html>[1]): SafeHtml {
  return html`<svg viewBox="0 0 ${width} ${height}" role="img"><title>${title}</title><desc>${description}</desc>${content}</svg>`;
}

/** Round values between two ends, about so many. */
export function niceTicks(min: number, max: number, about: number): number[] {
  if (!(max > min)) return [min];
  const rough = (max - min) / about;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * unit).find((each) => each >= rough) ?? 10 * unit;
  const first = Math.ceil(min / step - 1e-9);
  return Array.from({ length: Math.floor(max / step + 1e-9) - first + 1 }, (_, index) => (first + index) * step);
}

function coordinate(value: number): number {
  return Math.round(value * 10) / 10;
}
