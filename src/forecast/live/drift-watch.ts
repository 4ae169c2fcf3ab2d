import { roundTo } from '../../base/index.ts';
import type { DriftState } from '../../model/index.ts';
import { BASELINES, type Baseline } from './shadow.ts';

/** What one group of demands lost in one slot: mean pinball losses (not divided by anything) and how often p95 held. */
export interface SlotLosses {
  /** Start of the slot that was forecast, epoch ms. */
  slotAt: number;
  champion: { pinball: number; cells: number; held: number };
  baselines: Record<Baseline, number>;
}

/** All that is remembered of a group; plain JSON. */
export interface DriftWatch {
  state: DriftState;
  /** When it came to this state; null: from the start. */
  sinceAt: number | null;
  /** In words, for people; of the last change of state. */
  reason: string;
  /** The rule of thumb that does best lately: what the champion has to beat, and what stands in for it. */
  best: Baseline;
  /** The block that is being filled. */
  block: Block;
  /** The last full blocks, a day of them. */
  recent: Block[];
  /** Smoothed losses of the rules by block. */
  smoothed: Record<Baseline, number>;
  /** ln(champion / best rule) that is normal: the first back-test's, moved to what the first days showed, then following slowly; ≤ 0. */
  normal: number;
  normalBlocks: number;
  /** Cumulated sums: worse than normal; worse than the best rule; p95 held too seldom; better than the best rule. */
  worse: number;
  beaten: number;
  uncovered: number;
  won: number;
}

interface Block {
  slots: number;
  champion: number;
  cells: number;
  held: number;
  baselines: Record<Baseline, number>;
}

/**
 * The thresholds. Sums grow by what a block (a quarter of a day) lies above its allowance and alarm at the limit; they
 * were set by the measurement in docs/regret.md (test/forecast/live/drift-rate.test.ts repeats it).
 */
export const DRIFT_SETTINGS = {
  blocksPerDay: 4,
  /** What is normal is the mean of so many first blocks, the back-test's word weighing as much as so many; later it follows over so many. */
  normalBlocks: 16,
  promiseBlocks: 4,
  followBlocks: 80,
  /** In ln of the ratio of losses: 0.1 is 10 % more loss. */
  worseAllowance: 0.25,
  worseLimit: 3,
  beatenAllowance: 0.1,
  beatenLimit: 1.5,
  /** In share of cells above p95, beyond the 5 % that belong there. */
  uncoveredAllowance: 0.1,
  uncoveredLimit: 0.6,
  /** To be taken back it must beat the best rule by this much in sum. */
  wonAllowance: 0.02,
  wonLimit: 0.8,
  /** One block says no more than this, whatever happened in it. */
  clip: 1,
} as const;

/** @param promised ln of the ratio in the back-test: champion to best rule; null when it is not known */
export function emptyWatch(promised: number | null): DriftWatch {
  return { state: 'ok', sinceAt: null, reason: 'nothing unusual', best: 'ewma', block: emptyBlock(), recent: [], smoothed: noLosses(), normal: Math.min(0, promised ?? 0), normalBlocks: 0, ...NO_SUMS };
}

/**
 * Takes in one slot. Losses are summed to blocks of a quarter day, since they have a daily rhythm and neighbouring slots
 * are alike; each full block moves four cumulated sums (CUSUM) of ln(champion / best rule), weighted by how much there was
 * to lose. `ok` → `drifting` on the sums for "worse than normal" or "p95 held too seldom"; → `failed` on "worse than the
 * best rule"; `drifting` → `ok` after a day that was normal; `failed` → `ok` when it has won again. Models are trained
 * every night, so a training resets nothing: what counts is what comes out. Slots without cells are passed over. Same slots, same watch.
 */
export function watchSlot(watch: DriftWatch, losses: SlotLosses, slotsPerDay: number): DriftWatch {
  if (losses.champion.cells === 0) return watch;
  const block = addSlot(watch.block, losses);
  if (block.slots < Math.max(2, Math.round(slotsPerDay / DRIFT_SETTINGS.blocksPerDay))) return { ...watch, block };
  return closeBlock({ ...watch, block: emptyBlock() }, block, losses.slotAt);
}

function closeBlock(watch: DriftWatch, block: Block, at: number): DriftWatch {
  const s = DRIFT_SETTINGS;
  const smoothed = smooth(watch.smoothed, block.baselines);
  const best = BASELINES.reduce((least, name) => (smoothed[name] < smoothed[least] ? name : least), watch.best);
  const recent = [...watch.recent, block].slice(-s.blocksPerDay);
  const excess = clip(logRatio(block.champion, block.baselines[best]));
  const weight = weightOf(block.baselines[best], smoothed[best]);
  const missed = 1 - block.held / block.cells - 0.05;
  const learnedOver = watch.normalBlocks < s.normalBlocks ? watch.normalBlocks + s.promiseBlocks : s.followBlocks;
  const next: DriftWatch = {
    ...watch,
    best,
    recent,
    smoothed,
    normal: Math.min(0, watch.normal + (weight * (excess - watch.normal)) / learnedOver),
    normalBlocks: watch.normalBlocks + 1,
    worse: Math.max(0, watch.worse + weight * (clip(excess - watch.normal) - s.worseAllowance)),
    beaten: Math.max(0, watch.beaten + weight * (excess - s.beatenAllowance)),
    uncovered: Math.max(0, watch.uncovered + weight * (missed - s.uncoveredAllowance)),
    won: Math.max(0, watch.won + weight * (-excess - s.wonAllowance)),
  };
  return decided(next, at);
}

function decided(watch: DriftWatch, at: number): DriftWatch {
  const s = DRIFT_SETTINGS;
  const day = dayOf(watch);
  const to = (state: DriftState, reason: string): DriftWatch => ({ ...watch, ...NO_SUMS, state, reason, sinceAt: at });
  if (watch.state === 'failed') return watch.won > s.wonLimit ? to('ok', `it beat ${watch.best} again`) : watch;
  if (watch.beaten > s.beatenLimit) return to('failed', `it lost to ${watch.best}: ${percent(Math.expm1(day.excess))} more loss over the last day`);
  if (watch.state === 'drifting') {
    const isCalm = watch.recent.length === s.blocksPerDay && day.excess <= watch.normal + s.worseAllowance && day.missed <= 0.05 + s.uncoveredAllowance && watch.worse < s.worseLimit / 2;
    return isCalm ? to('ok', 'a whole day was as promised again') : watch;
  }
  if (watch.worse > s.worseLimit) return to('drifting', `its lead over ${watch.best} is gone: loss ${percent(Math.expm1(day.excess))} against it over the last day, ${percent(Math.expm1(watch.normal))} is normal`);
  if (watch.uncovered > s.uncoveredLimit) return to('drifting', `P95 held ${percent(1 - day.missed)} of the last day, 95 % is right`);
  return watch;
}

function dayOf({ recent, best }: DriftWatch): { excess: number; missed: number } {
  const sum = recent.reduce((total, block) => ({ champion: total.champion + block.champion, rule: total.rule + block.baselines[best], cells: total.cells + block.cells, held: total.held + block.held }), { champion: 0, rule: 0, cells: 0, held: 0 });
  return { excess: logRatio(sum.champion, sum.rule), missed: sum.cells > 0 ? 1 - sum.held / sum.cells : 0 };
}

const NO_SUMS = { worse: 0, beaten: 0, uncovered: 0, won: 0 };

function noLosses(): Record<Baseline, number> {
  return { persistence: 0, ewma: 0, 'seasonal-naive': 0 };
}

function emptyBlock(): Block {
  return { slots: 0, champion: 0, cells: 0, held: 0, baselines: noLosses() };
}

function addSlot(block: Block, { champion, baselines }: SlotLosses): Block {
  const sums = noLosses();
  for (const name of BASELINES) sums[name] = roundTo(block.baselines[name] + baselines[name], 9);
  return { slots: block.slots + 1, champion: roundTo(block.champion + champion.pinball, 9), cells: block.cells + champion.cells, held: block.held + champion.held, baselines: sums };
}

/** Over about two days: long enough for the daily rhythm, short enough to notice that another rule has become the best. */
function smooth(smoothed: Record<Baseline, number>, block: Record<Baseline, number>): Record<Baseline, number> {
  const next = noLosses();
  for (const name of BASELINES) next[name] = smoothed[name] === 0 ? block[name] : smoothed[name] + (block[name] - smoothed[name]) / 8;
  return next;
}

/** A quiet night says little, and a burst no more than a usual block. */
function weightOf(loss: number, usual: number): number {
  return usual > 0 ? Math.min(1, loss / usual) : 1;
}

function logRatio(champion: number, rule: number): number {
  const floor = 1e-9 + 1e-3 * Math.max(champion, rule);
  return Math.log((champion + floor) / (rule + floor));
}

function clip(value: number): number {
  return Math.max(-DRIFT_SETTINGS.clip, Math.min(DRIFT_SETTINGS.clip, value));
}

function percent(ratio: number): string {
  return `${ratio < 0 ? '−' : ''}${Math.abs(ratio * 100).toFixed(0)} %`;
}
