import { hash32 } from '../base/index.ts';
import type { ClassId, SiteId } from './ids.ts';

export type AnomalyKind = 'surge' | 'drop' | 'new-pair' | 'fan-out';
export const ANOMALY_KINDS: readonly AnomalyKind[] = ['surge', 'drop', 'new-pair', 'fan-out'];
export type AnomalySeverity = 'low' | 'medium' | 'high';

/** Traffic that is not what was to be expected, from when it began until it was over. */
export interface Anomaly {
  /** Of kind, ends and begin: the same event keeps it. */
  id: string;
  kind: AnomalyKind;
  from: SiteId;
  /** Null of a fan-out, which goes to many. */
  to: SiteId | null;
  classId: ClassId | null;
  /** Begin of the first slot that was unusual, epoch ms. */
  startAt: number;
  /** End of the last slot that was. */
  lastAt: number;
  /** Null while it goes on. */
  endedAt: number | null;
  severity: AnomalySeverity;
  /** How far beyond what is usual for this pair, in its own bounds: 1 is the bound itself. */
  score: number;
  /** Mean of the slots since its begin, Mbit/s. */
  expectedMbps: number;
  seenMbps: number;
  /** The same in a sentence. */
  words: string;
}

/** Of the newest, so that a storm of them stays readable. */
export const ANOMALIES_KEPT_MAX = 200;

export function anomalyId(kind: AnomalyKind, from: string, to: string | null, classId: string | null, startAt: number): string {
  return `a-${hash32(`${kind} ${from} ${to ?? ''} ${classId ?? ''} ${startAt}`).toString(16).padStart(8, '0')}`;
}
