import { formatMbps } from '../../base/index.ts';
import type { Anomaly } from '../../model/index.ts';

/** Beyond this a multiple says more of how little was expected than of what came. */
const TOLD_AS_A_MULTIPLE = 100;

/** What happened, in a sentence without figures that nobody asked for. */
export function wordsOf(anomaly: Omit<Anomaly, 'words' | 'id'>, opened: readonly string[] = []): string {
  const { kind, from, to, classId, seenMbps, expectedMbps } = anomaly;
  const who = to === null ? `traffic from ${from}` : `${classId === null ? 'traffic' : `${classId} traffic`} from ${from} to ${to}`;
  const lasting = `for ${minutesOf(anomaly.lastAt - anomaly.startAt)}`;
  if (kind === 'new-pair') return `${who} ${lasting}, ${formatMbps(seenMbps)}, where there was none for long`;
  if (kind === 'fan-out') return `${from} began to talk to ${opened.length} destinations and ports that it did not talk to before, a little to each: ${opened.slice(0, 5).join(', ')}${opened.length > 5 ? ', …' : ''}`;
  if (kind === 'surge' && seenMbps > TOLD_AS_A_MULTIPLE * expectedMbps) return `${who} ${lasting}: ${formatMbps(seenMbps)}, where next to nothing was expected`;
  const factor = kind === 'surge' ? `${(seenMbps / expectedMbps).toFixed(1)} times` : `${((100 * seenMbps) / expectedMbps).toFixed(0)} % of`;
  return `${who} ${lasting}: ${formatMbps(seenMbps)}, ${factor} the ${formatMbps(expectedMbps)} that were expected`;
}

function minutesOf(durationMs: number): string {
  const minutes = durationMs / 60_000;
  if (minutes >= 120) return `${(minutes / 60).toFixed(1)} h`;
  return minutes >= 2 ? `${minutes.toFixed(0)} min` : `${(durationMs / 1000).toFixed(0)} s`;
}
