import { formatMbps, roundTo } from '../base/index.ts';
import type { PlanCertificate } from './plan.ts';

/** Per cent of the bound; less is rounding. */
const NOTHING_PCT = 0.005;

/** One sentence for the operator: how much is carried, and how far from the best possible that is at most. */
export function certificateSentence({ wanted, worth, bound, provenGapPct, unguidedGapPct }: PlanCertificate): string {
  const unguided = unguidedGapPct === undefined ? '' : ` (placed one after the other: within ${within(unguidedGapPct)} %)`;
  const served = share(worth, wanted);
  const most = share(bound, wanted);
  if (provenGapPct < NOTHING_PCT && served === 100) return `all that is wanted is carried within the limits${unguided}`;
  const carried = `of what is wanted, weighed by importance, ${served} % is carried within the limits`;
  if (provenGapPct < NOTHING_PCT) return `${carried}; no plan whatever carries more${unguided}`;
  return `${carried}; no plan whatever carries more than ${most} %: this one is within ${within(provenGapPct)} % of the best possible${unguided}`;
}

/** `12 Mbit/s: hamburg-gw1 holds 3 of 3 tunnels …`: what stands between a plan and its bound. */
export function certificateReasons({ why }: PlanCertificate): string[] {
  return why.map(({ reason, mbps }) => (mbps === null ? reason : `${formatMbps(mbps)}: ${reason}`));
}

function share(part: number, whole: number): number {
  return whole > 0 ? roundTo((100 * part) / whole, 2) : 100;
}

/** Never less than the truth. */
function within(gapPct: number): number {
  return roundTo(Math.ceil(gapPct * 100 - 1e-6) / 100, 2);
}
