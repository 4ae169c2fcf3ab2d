import { roundTo } from '../base/index.ts';
import type { Sample } from './telemetry.ts';

/**
 * Samples as they travel: what a series is called is said once a connection, figures as differences to that series'
 * last ones. Both ends count alike, so it needs a channel that keeps order and loses nothing, and begins anew with each
 * connection.
 */
export interface PackedSamples {
  /** New series, numbered on from those before: the kind, then its names in the order of `NAMES`. */
  define: string[][];
  /** Samples of one window: its end as the difference to that of the last group (ms), its length, and a row a sample. */
  groups: { at: number; windowMs: number; rows: PackedRow[] }[];
}

/** Number of the series, then its figures in the order of `FIGURES`; null is no figure; what is missing at the end is 0: unchanged. */
export type PackedRow = (number | null)[];

export interface SampleEncoder {
  /** Figures are kept to the digits of `FIGURES`; all samples must be packable. */
  encode(samples: readonly Sample[]): PackedSamples;
}

export interface SampleDecoder {
  /** Null when it cannot have been made by an encoder that is in step; the connection is then good for nothing. */
  decode(packed: PackedSamples): Sample[] | null;
}

/** More series than the largest gateway has; beyond it the sender begins to count anew. */
export const SERIES_MAX = 65_536;

const NAMES: { [Kind in Sample['kind']]: readonly string[] } = {
  traffic: ['node', 'from', 'to', 'classId'],
  path: ['node', 'peer', 'tunnel', 'path'],
  tunnel: ['node', 'tunnel'],
  uplink: ['node', 'uplink'],
  host: ['node'],
  users: ['node', 'group', 'name'],
  services: ['node', 'from', 'to', 'classId', 'service'],
};

/** Each with the digits behind the point that are kept; they travel as whole numbers. */
const FIGURES: { [Kind in Sample['kind']]: readonly (readonly [name: string, digits: number])[] } = {
  traffic: [['offeredBytes', 0], ['offeredPackets', 0], ['droppedBytes', 0]],
  path: [['state', 0], ['latencyMs', 3], ['jitterMs', 3], ['lossForwardRatio', 5], ['lossReverseRatio', 5]],
  tunnel: [['rxBytes', 0], ['txBytes', 0]],
  uplink: [['rxBytes', 0], ['txBytes', 0]],
  host: [['cpuRatio', 4], ['load', 2], ['memoryUsedBytes', 0], ['memoryTotalBytes', 0], ['agentCpuRatio', 4], ['agentRssBytes', 0], ['daemonCpuRatio', 4], ['daemonRssBytes', 0], ['connections', 0]],
  users: [['hosts', 0]],
  services: [['connections', 0], ['packets', 0]],
};

const STATES = ['up', 'degraded', 'down', 'unknown'] as const;

interface Series {
  kind: Sample['kind'];
  /** Last figures as whole numbers. */
  last: number[];
}

/** Whether a sample can travel packed: of a known kind, in a window that has an end and a length. Figures may be anything: what is no number arrives as none. */
export function isPackable({ kind, sampledAt, windowMs }: Sample): boolean {
  return isKind(kind) && Number.isSafeInteger(sampledAt) && Number.isFinite(windowMs);
}

export function createSampleEncoder(): SampleEncoder {
  let ids = new Map<string, number>();
  let series: Series[] = [];
  let lastAt = 0;

  function idOf(sample: Sample, define: string[][]): number {
    const names = NAMES[sample.kind].map((name) => String(memberOf(sample, name)));
    const key = [sample.kind, ...names].join('|');
    const known = ids.get(key);
    if (known !== undefined) return known;
    define.push([sample.kind, ...names]);
    ids.set(key, series.length);
    return series.push({ kind: sample.kind, last: FIGURES[sample.kind].map(() => 0) }) - 1;
  }

  return {
    encode(samples) {
      const packed: PackedSamples = { define: [], groups: [] };
      if (series.length + samples.length > SERIES_MAX) {
        [ids, series] = [new Map(), []];
        packed.define.push([]); // an empty name: all numbers are given anew
      }
      for (const sample of samples) {
        const newest = packed.groups.at(-1);
        const isSameWindow = newest !== undefined && sample.sampledAt === lastAt && newest.windowMs === sample.windowMs;
        const group = isSameWindow ? newest : { at: sample.sampledAt - lastAt, windowMs: sample.windowMs, rows: [] };
        if (!isSameWindow) packed.groups.push(group);
        lastAt = sample.sampledAt;
        const id = idOf(sample, packed.define);
        group.rows.push([id, ...differences(sample, series[id]!)]);
      }
      return packed;
    },
  };
}

export function createSampleDecoder(): SampleDecoder {
  let series: (Series & { names: string[] })[] = [];
  let lastAt = 0;
  return {
    decode({ define, groups }) {
      for (const [kind, ...names] of define) {
        if (kind === undefined) series = [];
        else if (!isKind(kind) || names.length !== NAMES[kind].length || series.length >= SERIES_MAX) return null;
        else series.push({ kind, names, last: FIGURES[kind].map(() => 0) });
      }
      const samples: Sample[] = [];
      for (const { at, windowMs, rows } of groups) {
        lastAt += at;
        for (const [id, ...figures] of rows) {
          const of = id === null || id === undefined ? undefined : series[id];
          if (!of || figures.length > of.last.length) return null;
          samples.push(sampleOf(of, figures, lastAt, windowMs));
        }
      }
      return samples;
    },
  };
}

/** Trailing ones that are 0 are left out. */
function differences(sample: Sample, of: Series): PackedRow {
  const row = FIGURES[of.kind].map(([name, digits], index) => {
    const value = memberOf(sample, name);
    if (value === null) return null;
    const whole = name === 'state' ? STATES.indexOf(value as (typeof STATES)[number]) : Math.round((value as number) * 10 ** digits);
    if (!Number.isSafeInteger(whole)) return null;
    const difference = whole - of.last[index]!;
    of.last[index] = whole;
    return difference;
  });
  while (row.at(-1) === 0) row.pop();
  return row;
}

function sampleOf(of: Series & { names: string[] }, figures: readonly (number | null)[], sampledAt: number, windowMs: number): Sample {
  const sample: Record<string, unknown> = { kind: of.kind, sampledAt, windowMs };
  NAMES[of.kind].forEach((name, index) => {
    sample[name] = of.names[index];
  });
  FIGURES[of.kind].forEach(([name, digits], index) => {
    const difference = figures[index] === undefined ? 0 : figures[index]!;
    if (difference !== null) of.last[index]! += difference;
    sample[name] = difference === null ? null : name === 'state' ? (STATES[of.last[index]!] ?? 'unknown') : roundTo(of.last[index]! / 10 ** digits, digits);
  });
  return sample as unknown as Sample;
}

function isKind(text: string): text is Sample['kind'] {
  return Object.hasOwn(NAMES, text);
}

function memberOf(sample: Sample, name: string): unknown {
  return (sample as unknown as Record<string, unknown>)[name];
}
