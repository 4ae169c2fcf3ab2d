import { compareText } from '../base/index.ts';
import { pairId, type ClassId, type PathId, type PlanReport, type SiteId, type TunnelId } from '../model/index.ts';

type Unplaced = PlanReport['unplaced'][number];

/**
 * What the steps have to say, collected while they run and turned into the PlanReport at the end. Written to, never
 * read back by a decision.
 */
export class Notes {
  readonly waiting = new Map<string, PlanReport['waiting'][number]>();
  readonly refused = new Map<string, PlanReport['refused'][number]>();
  readonly unplaced = new Map<string, Unplaced>();
  readonly removed = new Map<TunnelId, { tunnel: TunnelId; path: PathId; reason: string }>();
  readonly claimReasons = new Map<TunnelId, string>();

  wait(what: string, reason: string, until: number | null): void {
    this.waiting.set(`${what}\n${reason}`, { what, reason, until });
  }

  refuse(entry: PlanReport['refused'][number]): void {
    this.refused.set(`${entry.pair}\n${entry.path}\n${entry.reason}`, entry);
  }

  leave(from: SiteId, to: SiteId, classId: ClassId, mbps: number, reason: string, plane = 0): void {
    const entry: Unplaced = { pair: pairId(from, to), classId, mbps, reason };
    const key = `${entry.pair}\n${classId}\n${reason}${plane === 0 ? '' : `\n${plane}`}`;
    if (mbps > 1e-6) this.unplaced.set(key, entry);
  }
}

/** Values of a map in the order of their keys. */
export function sortedValues<T>(map: ReadonlyMap<string, T>): T[] {
  return [...map].sort(([left], [right]) => compareText(left, right)).map(([, value]) => value);
}
