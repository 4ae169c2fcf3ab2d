import { sortedBy } from '../../base/index.ts';
import type { DoubtKind, NodeId, Quarantine, SiteId, UntrustedSpan } from '../../model/index.ts';
import type { NodeDrift } from './drift-gate.ts';
import type { NodeJudgement, WindowJudgement } from './judge-window.ts';

/** What is remembered of gateways between windows; plain data, so that it can be kept in a file. */
export interface TrustState {
  schema: 'foremesh/trust/v1';
  /** Windows up to this instant are judged. */
  judgedUntilAt: number;
  nodes: TrustOfNode[];
  /** Closed and open times that are not learned from, oldest first. */
  spans: UntrustedSpan[];
  /** The plan that windows are judged by, and since which window it holds: after a restart those before it can be judged, too. */
  topology?: { text: string; windowMs: number; sinceWindow: number };
}

export interface TrustOfNode {
  node: NodeId;
  site: SiteId;
  /** The last judged windows, newest last: was it contradicted? */
  recent: boolean[];
  quarantine: { since: number; kind: DoubtKind; why: string; cleanWindows: number } | null;
}

export interface TrustEvent {
  at: number;
  node: NodeId;
  kind: 'quarantined' | 'released';
  why: string;
}

/** A gateway is in quarantine once 3 of its last 6 judged windows are contradicted; a single one may be chance. */
const WINDOWS_KEPT = 6;
const CONTRADICTED_MIN = 3;
/** And out of it after so many windows in a row in which it agrees. */
export const CLEAN_WINDOWS_NEEDED = 24;
const SPANS_MAX = 500;

export const NO_TRUST_STATE: TrustState = { schema: 'foremesh/trust/v1', judgedUntilAt: 0, nodes: [], spans: [] };

/** Takes the next window into account. Unknown windows change nothing: silence is neither good nor bad. */
export function nextTrust(state: TrustState, judgement: WindowJudgement): { state: TrustState; events: TrustEvent[] } {
  const events: TrustEvent[] = [];
  const known = new Map(state.nodes.map((node) => [node.node, node]));
  let spans: readonly UntrustedSpan[] = state.spans;
  for (const judged of judgement.nodes) {
    const before = known.get(judged.node) ?? { node: judged.node, site: judged.site, recent: [], quarantine: null };
    const { after, event } = nextOfNode(before, judged, judgement.endAt);
    known.set(judged.node, after);
    if (judged.verdict === 'contradicted') spans = withSpan(spans, { site: judged.site, fromAt: judgement.startAt, untilAt: after.quarantine ? null : judgement.endAt, why: judged.why });
    if (event) events.push(event);
    if (event?.kind === 'released') spans = spans.map((span) => (span.site === judged.site && span.to === undefined && span.untilAt === null ? { ...span, untilAt: judgement.endAt } : span));
  }
  return { state: { ...state, judgedUntilAt: judgement.endAt, nodes: sortedBy([...known.values()], ({ node }) => node), spans: kept(withUnlearnable(spans, judgement)) }, events };
}

/** Takes a window into account that was judged before, and again since something came late: it does not count for or against anybody, but what is contradicted in it is not learned from. */
export function againTrust(state: TrustState, judgement: WindowJudgement): TrustState {
  const contradicted = judgement.nodes.filter(({ verdict }) => verdict === 'contradicted');
  const spans = contradicted.reduce((all, { site, why }) => withSpan(all, { site, fromAt: judgement.startAt, untilAt: judgement.endAt, why }), state.spans as readonly UntrustedSpan[]);
  const next = kept(withUnlearnable(spans, judgement));
  return next.length === state.spans.length && next.every((span, index) => sameSpan(span, state.spans[index]!)) ? state : { ...state, spans: next };
}

/** Adds a time in which nobody could hold what a site reports against anything. */
export function withUnheard(state: TrustState, site: SiteId, fromAt: number, untilAt: number, why: string): TrustState {
  return { ...state, spans: kept(withSpan(state.spans, { site, fromAt, untilAt, why })) };
}

function withUnlearnable(spans: readonly UntrustedSpan[], { startAt, endAt, unlearnable }: WindowJudgement): readonly UntrustedSpan[] {
  return unlearnable.reduce((all, { from, to }) => {
    const isOfSite = all.some((span) => span.site === from && span.to === undefined && span.fromAt <= startAt && (span.untilAt ?? Infinity) >= endAt);
    return isOfSite ? all : withSpan(all, { site: from, to, fromAt: startAt, untilAt: endAt, why: `what ${from} reports of traffic to ${to} is more than anybody saw` });
  }, spans);
}

/** The newest of sites and of pairs, so that the many do not push out the few. */
function kept(spans: readonly UntrustedSpan[]): UntrustedSpan[] {
  const [ofSites, ofPairs] = [spans.filter(({ to }) => to === undefined), spans.filter(({ to }) => to !== undefined)];
  if (ofSites.length <= SPANS_MAX && ofPairs.length <= SPANS_MAX) return [...spans];
  const keep = new Set([...ofSites.slice(-SPANS_MAX), ...ofPairs.slice(-SPANS_MAX)]);
  return spans.filter((span) => keep.has(span));
}

function sameSpan(one: UntrustedSpan, other: UntrustedSpan): boolean {
  return one.site === other.site && one.to === other.to && one.fromAt === other.fromAt && one.untilAt === other.untilAt;
}

/** A gateway that drifts is in quarantine as long as it does, from where the drift began. */
export function withDrift(state: TrustState, drifts: readonly NodeDrift[], now: number): { state: TrustState; events: TrustEvent[] } {
  const events: TrustEvent[] = [];
  let { nodes, spans } = state;
  for (const { node, site, fromAt, why } of drifts) {
    const before = nodes.find((one) => one.node === node) ?? { node, site, recent: [], quarantine: null };
    spans = withSpan(spans, { site, fromAt, untilAt: null, why });
    if (before.quarantine !== null) {
      // what drifts does not become clean by being slow
      nodes = replaced(nodes, { ...before, quarantine: { ...before.quarantine, cleanWindows: 0 } });
      continue;
    }
    nodes = replaced(nodes, { ...before, quarantine: { since: now, kind: 'drift', why, cleanWindows: 0 } });
    events.push({ at: now, node, kind: 'quarantined', why });
  }
  return { state: { ...state, nodes, spans: kept(spans) }, events };
}

/** What people see, by node. */
export function quarantinesOf(state: TrustState): Quarantine[] {
  return state.nodes.flatMap(({ node, site, quarantine }) => (quarantine ? [{ node, site, ...quarantine, cleanNeeded: CLEAN_WINDOWS_NEEDED }] : []));
}

function nextOfNode(before: TrustOfNode, { node, verdict, kind, why }: NodeJudgement, at: number): { after: TrustOfNode; event: TrustEvent | null } {
  if (verdict === 'unknown') return { after: before, event: null };
  const recent = [...before.recent, verdict === 'contradicted'].slice(-WINDOWS_KEPT);
  const { quarantine } = before;
  if (quarantine === null) {
    const isBad = recent.filter(Boolean).length >= CONTRADICTED_MIN;
    return { after: { ...before, recent, quarantine: isBad ? { since: at, kind, why, cleanWindows: 0 } : null }, event: isBad ? { at, node, kind: 'quarantined', why } : null };
  }
  const cleanWindows = verdict === 'agrees' ? quarantine.cleanWindows + 1 : 0;
  if (cleanWindows >= CLEAN_WINDOWS_NEEDED) return { after: { ...before, recent: [], quarantine: null }, event: { at, node, kind: 'released', why: `nobody contradicted it in ${cleanWindows} windows` } };
  return { after: { ...before, recent, quarantine: { ...quarantine, ...(verdict === 'contradicted' ? { why, kind } : {}), cleanWindows } }, event: null };
}

/** Joins what touches the newest span of the same site or pair; one that is older than that stands for itself. */
function withSpan(spans: readonly UntrustedSpan[], added: UntrustedSpan): UntrustedSpan[] {
  const isAlike = (span: UntrustedSpan): boolean => span.site === added.site && span.to === added.to;
  const touching = spans.findLast((span) => isAlike(span) && span.fromAt <= (added.untilAt ?? Infinity) && (span.untilAt ?? Infinity) >= added.fromAt);
  if (!touching) return [...spans, added];
  const joined: UntrustedSpan = {
    ...added,
    fromAt: Math.min(touching.fromAt, added.fromAt),
    untilAt: touching.untilAt === null || added.untilAt === null ? null : Math.max(touching.untilAt, added.untilAt),
  };
  return spans.map((span) => (span === touching ? joined : span));
}

function replaced(nodes: readonly TrustOfNode[], node: TrustOfNode): TrustOfNode[] {
  return sortedBy([...nodes.filter((one) => one.node !== node.node), node], (one) => one.node);
}
