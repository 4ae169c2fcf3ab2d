import { compareText } from '../../base/index.ts';
import { ANOMALIES_KEPT_MAX, anomalyId, type Anomaly, type AnomalyKind, type AnomalySeverity, type ClassId, type SiteId } from '../../model/index.ts';
import { FanOutWatch, type Target } from './fan-out.ts';
import { anomalyWindows, type AnomalySettings } from './settings.ts';
import { SeasonForecaster } from './slot-forecaster.ts';
import { WatchedSeries, type ForeseenSlot } from './watched-series.ts';
import { wordsOf } from './words.ts';

export interface AnomalySlot {
  startAt: number;
  demands: { from: SiteId; to: SiteId; classId: ClassId; mbps: number | null; foreseen?: ForeseenSlot }[];
  /** Destination ports told of in this slot, where the mesh permits counting them. */
  services?: { from: SiteId; to: SiteId; service: string }[];
}

/** Tells surges, drops, new pairs and fan-outs, each as one event with begin and end. Feed it every slot once, in order. */
export interface AnomalyDetector {
  step(slot: AnomalySlot): void;
  /** Those that go on first, then the newest; at most `ANOMALIES_KEPT_MAX`. */
  anomalies(): Anomaly[];
  /** End of the newest slot that was taken, epoch ms; null before the first. */
  takenUntilAt(): number | null;
}

interface Found {
  kind: AnomalyKind;
  from: SiteId;
  to: SiteId | null;
  classId: ClassId | null;
  score: number;
  expectedMbps: number;
  seenMbps: number;
  slots: number;
  opened?: string[];
  /** Made of drops of several pairs. */
  isJoined?: boolean;
}

interface Open {
  anomaly: Anomaly;
  /** Slots in a row without it. */
  quiet: number;
  slots: number;
  opened: string[];
}

export function createAnomalyDetector(settings: AnomalySettings): AnomalyDetector {
  return new Detector(settings);
}

class Detector implements AnomalyDetector {
  private readonly settings: AnomalySettings;
  private readonly pairs = new Map<string, WatchedSeries>();
  private readonly totals = new Map<SiteId, WatchedSeries>();
  private readonly fanOuts = new Map<SiteId, FanOutWatch>();
  private readonly open = new Map<string, Open>();
  private ended: Anomaly[] = [];
  private takenUntil: number | null = null;

  constructor(settings: AnomalySettings) {
    this.settings = settings;
  }

  step(slot: AnomalySlot): void {
    const found = [...this.findPairs(slot), ...this.findSites(slot)];
    const told = withoutRepetition(this.joinDrops(found));
    const silent = new Set(slot.demands.filter(({ mbps }) => mbps === null).map(({ from }) => from));
    this.settle(slot.startAt, told, silent);
    this.takenUntil = slot.startAt + this.settings.slotMs;
  }

  anomalies(): Anomaly[] {
    const newestFirst = (left: Anomaly, right: Anomaly): number => right.startAt - left.startAt || compareText(left.id, right.id);
    const active = [...this.open.values()].map(({ anomaly }) => anomaly).sort(newestFirst);
    return [...active, ...this.ended.toSorted(newestFirst)].slice(0, ANOMALIES_KEPT_MAX);
  }

  takenUntilAt(): number | null {
    return this.takenUntil;
  }

  private findPairs({ demands }: AnomalySlot): Found[] {
    return demands.flatMap(({ from, to, classId, mbps, foreseen }) => {
      const watched = getOrMake(this.pairs, `${from}>${to}#${classId}`, () => this.newSeries());
      const found = watched.step(mbps, foreseen);
      return found ? [{ ...found, from, to, classId }] : [];
    });
  }

  /** What single pairs hide: the whole of a site moves less than each of them. */
  private findSites({ demands, services = [] }: AnomalySlot): Found[] {
    const sites = new Map<SiteId, { total: number | null; foreseen: ForeseenSlot; targets: Map<string, Target> }>();
    for (const { from, to, mbps, foreseen } of demands) {
      const site = getOrMake(sites, from, () => ({ total: null, foreseen: { shortP50: 0, longP50: 0 }, targets: new Map<string, Target>() }));
      if (mbps === null) continue;
      site.total = (site.total ?? 0) + mbps;
      site.foreseen = { shortP50: plus(site.foreseen.shortP50, foreseen?.shortP50), longP50: plus(site.foreseen.longP50, foreseen?.longP50) };
      if (mbps > this.settings.minMbps) site.targets.set(to, { name: to, mbps: (site.targets.get(to)?.mbps ?? 0) + mbps });
    }
    for (const { from, to, service } of services) sites.get(from)?.targets.set(`${to} ${service}`, { name: `${to} ${service}`, mbps: null });
    return [...sites].flatMap(([from, { total, foreseen, targets }]): Found[] => {
      const whole = getOrMake(this.totals, from, () => this.newSeries()).step(total, foreseen);
      const fanOut = getOrMake(this.fanOuts, from, () => new FanOutWatch(this.settings)).step([...targets.values()], total);
      return [
        ...(whole && whole.kind !== 'new-pair' ? [{ ...whole, from, to: null, classId: null }] : []),
        ...(fanOut ? [{ kind: 'fan-out' as const, from, to: null, classId: null, score: fanOut.score, expectedMbps: 0, seenMbps: fanOut.mbps, slots: 1, opened: fanOut.opened }] : []),
      ];
    });
  }

  /**
   * What stops for many destinations of a site at once stopped at the site: one event. While it goes on, more of its
   * destinations are no news; those told before it go on as they were.
   */
  private joinDrops(found: readonly Found[]): Found[] {
    const drops = new Map<SiteId, Found[]>();
    for (const one of found) if (one.kind === 'drop' && one.to !== null) getOrMake(drops, one.from, () => []).push(one);
    const joined = new Map<SiteId, Found>();
    for (const [from, of] of drops) {
      const isMany = new Set(of.map(({ to }) => to)).size >= JOINED_MIN;
      if (isMany || (of.length > 1 && this.open.has(keyOf({ kind: 'drop', from, to: null, classId: null })))) joined.set(from, joinedDrop(of));
    }
    const isNews = (one: Found): boolean => one.kind !== 'drop' || !joined.has(one.from) || (one.to !== null && this.open.has(keyOf(one)));
    return [...found.filter(isNews), ...joined.values()];
  }

  private settle(startAt: number, found: readonly Found[], silent: ReadonlySet<SiteId>): void {
    const { slotMs, slotsPerDay } = this.settings;
    const quietMax = anomalyWindows(this.settings).short;
    const seen = new Set<string>();
    for (const one of found) {
      const key = keyOf(one);
      seen.add(key);
      this.open.set(key, extended(this.open.get(key), one, startAt, slotMs));
    }
    for (const [key, entry] of this.open) {
      if (seen.has(key)) continue;
      entry.quiet += 1;
      // where nobody reports, nothing is known to have ended; a day later it is nobody's news
      if (entry.quiet < (silent.has(entry.anomaly.from) ? slotsPerDay : quietMax)) continue;
      this.open.delete(key);
      this.ended.push({ ...entry.anomaly, endedAt: entry.anomaly.lastAt });
      if (this.ended.length > ANOMALIES_KEPT_MAX) this.ended.shift();
    }
  }

  private newSeries(): WatchedSeries {
    return new WatchedSeries(this.settings, new SeasonForecaster(this.settings.slotsPerDay));
  }
}

/** So many destinations that drop in the same slot are one event of their origin. */
const JOINED_MIN = 3;

function joinedDrop(of: readonly Found[]): Found {
  const sumOf = (figure: 'expectedMbps' | 'seenMbps'): number => of.reduce((sum, one) => sum + one[figure], 0);
  return { kind: 'drop', from: of[0]!.from, to: null, classId: null, score: Math.max(...of.map(({ score }) => score)), expectedMbps: sumOf('expectedMbps'), seenMbps: sumOf('seenMbps'), slots: Math.max(...of.map(({ slots }) => slots)), isJoined: true };
}

function keyOf({ kind, from, to, classId }: Pick<Found, 'kind' | 'from' | 'to' | 'classId'>): string {
  return `${kind} ${from} ${to ?? ''} ${classId ?? ''}`;
}

/** A scan opens many pairs and moves the whole of a site: it is told once. So is a surge, as the pair's when it is one pair's. */
function withoutRepetition(found: readonly Found[]): Found[] {
  const scanning = new Set(found.filter(({ kind }) => kind === 'fan-out').map(({ from }) => from));
  const byPair = new Set(found.filter(({ to }) => to !== null).map(({ kind, from }) => `${kind === 'new-pair' ? 'surge' : kind} ${from}`));
  return found.filter(({ kind, from, to, isJoined }) => (kind === 'new-pair' ? !scanning.has(from) : kind === 'fan-out' || to !== null || isJoined === true || !byPair.has(`${kind} ${from}`)));
}

function extended(before: Open | undefined, found: Found, startAt: number, slotMs: number): Open {
  const { kind, from, to, classId } = found;
  const slots = before ? before.slots + 1 : found.slots;
  const mixed = (old: number | undefined, now: number): number => (before && old !== undefined ? old + (now - old) / slots : now);
  const begin = before?.anomaly.startAt ?? startAt - (found.slots - 1) * slotMs;
  const score = Math.max(before?.anomaly.score ?? 0, found.score);
  const opened = [...new Set([...(before?.opened ?? []), ...(found.opened ?? [])])];
  const bare = {
    kind, from, to, classId,
    startAt: begin,
    lastAt: startAt + slotMs,
    endedAt: null,
    severity: severityOf(kind, score, found),
    score,
    expectedMbps: mixed(before?.anomaly.expectedMbps, found.expectedMbps),
    seenMbps: mixed(before?.anomaly.seenMbps, found.seenMbps),
  };
  return { anomaly: { id: before?.anomaly.id ?? anomalyId(kind, from, to, classId, begin), ...bare, words: wordsOf(bare, opened) }, quiet: 0, slots, opened };
}

/** Of size and of how far it is beyond the pair's own bound; whoever talks to many is never harmless. */
function severityOf(kind: AnomalyKind, score: number, { seenMbps, expectedMbps }: Found): AnomalySeverity {
  if (kind === 'fan-out') return score >= 2 ? 'high' : 'medium';
  if (kind === 'new-pair') return score >= 4 ? 'medium' : 'low';
  const factor = kind === 'surge' ? seenMbps / Math.max(expectedMbps, 1e-9) : expectedMbps / Math.max(seenMbps, 1e-9);
  if (score >= 2 || factor >= 10) return 'high';
  return score >= 1.3 || factor >= 4 ? 'medium' : 'low';
}

/** A sum is known when all of its parts are. */
function plus(sum: number | null, part: number | null | undefined): number | null {
  return sum === null || part === null || part === undefined ? null : sum + part;
}

function getOrMake<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}
