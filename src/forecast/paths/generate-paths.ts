import { createRng, type Rng } from '../../base/index.ts';
import { dayCurve, type PathId, type PathSeries } from '../../model/index.ts';
import { cleanSeries, type PathTable } from './path-table.ts';

/** What happens to the made-up paths; each group hangs on one hub of its own. */
export const PATH_SCENARIOS = ['quiet', 'diurnal', 'shared-uplink', 'nightly-backup', 'loss-bursts', 'route-changes', 'brown-outs', 'memoryless', 'gaps'] as const;
export type PathScenario = (typeof PATH_SCENARIOS)[number];

export interface GenerateOptions {
  seed: string;
  days: number;
  slotMs: number;
  /** Paths of each scenario. */
  paths: number;
}

export interface GeneratedPaths {
  table: PathTable;
  /** By series of the table. */
  scenarios: PathScenario[];
}

const DAY_MS = 86_400_000;
/** A Thursday, UTC: so the last days of a fortnight, which are the ones to be forecast, are working days. */
const START_AT = Date.UTC(2026, 0, 1);
/** Probes in one direction a second; what a slot's loss is counted from. */
const PROBES_PER_SECOND = 10;

/**
 * A past of paths that looks like one of real networks: queues that fill in office hours (delay grows as 1/(1 − load), loss
 * beyond 95 %), lost in bursts by a Gilbert-Elliott chain, routes that change and stay, brown-outs with and without a
 * sign before, failures without memory, agents that are silent or count nonsense. All from one seed.
 */
export function generatePaths({ seed, days, slotMs, paths }: GenerateOptions): GeneratedPaths {
  const slotsPerDay = Math.round(DAY_MS / slotMs);
  const length = days * slotsPerDay;
  const scenarios: PathScenario[] = [];
  const series: PathSeries[] = [];
  for (const scenario of PATH_SCENARIOS) {
    const hub = strain(scenario, createRng(seed).fork(`${scenario}/hub`), length, slotsPerDay, slotMs);
    for (let index = 0; index < paths; index++) {
      const path = `${scenario}-hub/fibre~${scenario}-${index + 1}/dsl` as PathId;
      const rng = createRng(seed).fork(path);
      const own = isShared(scenario) ? hub : strain(scenario, rng.fork('strain'), length, slotsPerDay, slotMs);
      series.push(cleanSeries(measured(path, own, scenario, rng, slotMs)));
      scenarios.push(scenario);
    }
  }
  return { table: { slotMs, slotsPerDay, startAt: START_AT, length, series }, scenarios };
}

/** What weighs on a path, a value a slot. */
interface Strain {
  /** Of a queue, 0…; 1 is full. */
  load: Float64Array;
  delayMs: Float64Array;
  lossRatio: Float64Array;
}

function isShared(scenario: PathScenario): boolean {
  return scenario === 'shared-uplink' || scenario === 'brown-outs';
}

function strain(scenario: PathScenario, rng: Rng, length: number, slotsPerDay: number, slotMs: number): Strain {
  const made: Strain = { load: officeLoad(rng.fork('load'), length, slotsPerDay, peakOf(scenario, rng.fork('peak'))), delayMs: new Float64Array(length), lossRatio: new Float64Array(length) };
  const slotsIn = (ms: number): number => Math.max(1, Math.round(ms / slotMs));
  switch (scenario) {
    case 'nightly-backup':
      backups(made, rng, slotsPerDay, slotsIn(45 * 60_000));
      break;
    case 'loss-bursts':
      bursts(made, rng, slotsIn(10 * 3_600_000), slotsIn(25 * 60_000));
      break;
    case 'route-changes':
      routes(made, rng, slotsIn(30 * 3_600_000));
      break;
    case 'brown-outs':
      brownOuts(made, rng, slotsIn(20 * 3_600_000), slotsIn(15 * 60_000), slotsIn(90 * 60_000));
      break;
    case 'memoryless':
      for (let slot = 0; slot < length; slot++) if (rng.next() < 0.012) made.lossRatio[slot] = 0.03 + 0.07 * rng.next();
      break;
    default:
      break;
  }
  return made;
}

/** Load of the busiest minute of a usual day. */
function peakOf(scenario: PathScenario, rng: Rng): number {
  if (scenario === 'diurnal' || scenario === 'gaps') return 0.88 + 0.12 * rng.next();
  if (scenario === 'shared-uplink') return 0.93;
  return 0.35 + 0.2 * rng.next();
}

/** Office hours, weaker at weekends; each day somewhat heavier or lighter as a whole, and noise that remembers half an hour. */
function officeLoad(rng: Rng, length: number, slotsPerDay: number, peak: number): Float64Array {
  const load = new Float64Array(length);
  let [noise, weight] = [0, 1];
  for (let slot = 0; slot < length; slot++) {
    if (slot % slotsPerDay === 0) {
      const isWeekend = [2, 3].includes(Math.floor(slot / slotsPerDay) % 7);
      weight = (isWeekend ? 0.45 : 1) * (1 + 0.1 * rng.gaussian());
    }
    noise = 0.85 * noise + 0.02 * rng.gaussian();
    load[slot] = Math.max(0, 0.12 + (peak - 0.12) * weight * dayCurve((slot % slotsPerDay) / slotsPerDay) + noise);
  }
  return load;
}

/** A copy at the same time of each night, now and then left out, which fills the queue. */
function backups({ load }: Strain, rng: Rng, slotsPerDay: number, duration: number): void {
  const begin = Math.round(slotsPerDay * (0.05 + 0.15 * rng.next()));
  for (let day = 0; day * slotsPerDay < load.length; day++) {
    if (rng.next() < 0.1) continue;
    const from = day * slotsPerDay + begin + rng.integer(2);
    for (let slot = from; slot < Math.min(load.length, from + duration); slot++) load[slot] = 0.97 + 0.05 * rng.next();
  }
}

/** Gilbert-Elliott: a bad state that is entered and left by chance. */
function bursts({ lossRatio }: Strain, rng: Rng, slotsGood: number, slotsBad: number): void {
  let isBad = false;
  for (let slot = 0; slot < lossRatio.length; slot++) {
    isBad = isBad ? rng.next() >= 1 / slotsBad : rng.next() < 1 / slotsGood;
    if (isBad) lossRatio[slot] = 0.008 + 0.04 * rng.next();
  }
}

/** Another way through the provider's network now and then, longer or shorter, until the next one. */
function routes({ delayMs, load }: Strain, rng: Rng, slotsBetween: number): void {
  let detourMs = 0;
  for (let slot = 0; slot < delayMs.length; slot++) {
    if (rng.next() < 1 / slotsBetween) {
      detourMs = rng.next() < 0.5 ? 0 : 120 * rng.next();
      load[slot] = 0.95;
    }
    delayMs[slot] = detourMs;
  }
}

/** Hours in which a provider is unwell; most announce themselves by jitter. */
function brownOuts({ load, delayMs, lossRatio }: Strain, rng: Rng, slotsBetween: number, slotsBefore: number, duration: number): void {
  for (let slot = 0; slot < load.length; slot++) {
    if (rng.next() >= 1 / slotsBetween) continue;
    const isAnnounced = rng.next() < 0.6;
    const last = Math.min(load.length, slot + slotsBefore + Math.ceil(duration * (0.3 + 1.4 * rng.next())));
    const extraMs = 40 + 120 * rng.next();
    for (let at = slot; at < last; at++) {
      const ramp = Math.min(1, (at - slot + 1) / (slotsBefore + 1));
      if (ramp < 1 && !isAnnounced) continue;
      load[at] = Math.max(load[at]!, 0.55 + 0.35 * ramp);
      if (ramp < 1) continue;
      delayMs[at] = extraMs * (0.8 + 0.4 * rng.next());
      lossRatio[at] = 0.005 + 0.03 * rng.next();
    }
    slot = last;
  }
}

/** What probes would have counted. */
function measured(path: PathId, { load, delayMs, lossRatio }: Strain, scenario: PathScenario, rng: Rng, slotMs: number): PathSeries {
  const length = load.length;
  const made: PathSeries = { path, latencyMs: new Float32Array(length), jitterMs: new Float32Array(length), lossRatio: new Float32Array(length) };
  const [baseMs, baseJitterMs, queueMs] = [25 + 85 * rng.next(), 0.5 + 2.5 * rng.next(), 4 + 3 * rng.next()];
  const probes = (slotMs / 1000) * PROBES_PER_SECOND;
  let wobble = 0;
  let silent = 0;
  for (let slot = 0; slot < length; slot++) {
    wobble = 0.9 * wobble + 0.012 * rng.gaussian();
    const filled = Math.min(0.985, load[slot]!);
    const queuedMs = Math.min(150, (queueMs * filled) / (1 - filled));
    made.latencyMs[slot] = (baseMs + queuedMs + delayMs[slot]!) * Math.exp(wobble);
    made.jitterMs[slot] = (baseJitterMs + 0.22 * queuedMs + 0.05 * delayMs[slot]!) * Math.exp(0.25 * rng.gaussian());
    made.lossRatio[slot] = counted(0.0002 + lossRatio[slot]! + Math.max(0, load[slot]! - 0.95) * 0.35, probes, rng);
    if (silent > 0 || rng.next() < (scenario === 'gaps' ? 0.02 : 0.0005)) {
      silent = silent > 0 ? silent - 1 : rng.integer(24);
      for (const values of [made.latencyMs, made.jitterMs, made.lossRatio]) values[slot] = Number.NaN;
    } else if (scenario === 'gaps' && rng.next() < 0.01) {
      const nonsense = [1e9, -5, Number.NaN, Number.POSITIVE_INFINITY][rng.integer(4)]!;
      [made.latencyMs, made.jitterMs, made.lossRatio][rng.integer(3)]![slot] = nonsense;
    }
  }
  return made;
}

/** Share of `probes` that is lost with this probability, by the normal approximation. */
function counted(probability: number, probes: number, rng: Rng): number {
  const deviation = Math.sqrt((probability * (1 - probability)) / probes);
  return Math.min(1, Math.max(0, probability + deviation * rng.gaussian()));
}
