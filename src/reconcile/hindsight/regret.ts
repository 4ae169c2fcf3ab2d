import { roundTo } from '../../base/index.ts';
import { REGRET_WINDOW_DAYS, SCORED_KINDS, type ForecastRegret, type RegretCounts, type ScoredKind } from '../../model/index.ts';
import type { LedgerEntry } from './ledger-entries.ts';

const DAY_MS = 86_400_000;
const RECENT = 20;

/** How the forecast-driven changes of the last 30 days turned out. @param entries in any order */
export function regretOf(entries: readonly LedgerEntry[], now: number): ForecastRegret {
  const within = entries.filter(({ at, score }) => score !== null && at > now - REGRET_WINDOW_DAYS * DAY_MS).sort((left, right) => right.at - left.at);
  const recent = within.filter(({ score }) => score !== 'unknown').slice(0, RECENT);
  const byKind = Object.fromEntries(SCORED_KINDS.map((kind) => [kind, countsOf(within.filter((entry) => entry.kind === kind))])) as Record<ScoredKind, RegretCounts>;
  return {
    ...countsOf(within),
    windowDays: REGRET_WINDOW_DAYS,
    recentShareNeeded: recent.length > 0 ? roundTo(recent.filter(({ score }) => score === 'needed').length / recent.length, 4) : null,
    byKind,
  };
}

/** One line for a report; null while nothing has been judged. */
export function regretLine({ scored, needed, notNeeded, harmful, windowDays }: ForecastRegret): string | null {
  if (scored === 0) return null;
  const rest = [notNeeded > 0 ? `${notNeeded} not` : '', harmful > 0 ? `${harmful} harmful` : ''].filter((part) => part !== '');
  return `Of ${scored} forecast-driven change${scored === 1 ? '' : 's'} judged in ${windowDays} days ${needed} ${needed === 1 ? 'was' : 'were'} needed${rest.length > 0 ? `, ${rest.join(', ')}` : ''} (foremesh forecast ledger).`;
}

function countsOf(entries: readonly LedgerEntry[]): RegretCounts {
  const count = (score: LedgerEntry['score']): number => entries.filter((entry) => entry.score === score).length;
  const [needed, notNeeded, harmful] = [count('needed'), count('not-needed'), count('harmful')];
  const commits = new Set(entries.filter(({ score }) => score !== 'unknown').map(({ commit }) => commit)).size;
  return { scored: needed + notNeeded + harmful, needed, notNeeded, harmful, unknown: count('unknown'), commits };
}
