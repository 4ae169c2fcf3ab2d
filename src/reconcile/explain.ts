import { ForemeshError } from '../base/index.ts';
import { connectionFor, findSite, pairId, sitesOfPair, type PairId, type PathId, type Plan, type SiteId, type TunnelId } from '../model/index.ts';
import type { EngineState } from './state.ts';

export type ExplainTarget = { kind: 'tunnel'; tunnel: string } | { kind: 'pair'; pair: string };

/** Why something is in the plan: what for, at what price, instead of what, and what would change it. */
export interface Explanation {
  target: string;
  /** One sentence. */
  why: string;
  lines: string[];
  usdPerMonth: number | null;
  /** What it was chosen over. */
  refused: { path: PathId; reason: string }[];
  /** What waits, is held by a person, or would change the answer. */
  wouldChange: string[];
}

/** Explains a tunnel (`t-…`, or a path) or a pair of sites (`berlin>paris`) of the live plan. @throws ForemeshError API_NOT_FOUND, API_REQUEST_INVALID */
export function explainTarget(state: EngineState, target: ExplainTarget): Explanation {
  if (!state.plan) throw new ForemeshError('API_NOT_FOUND', { what: 'there is no plan yet', fix: 'wait for the first cycle' });
  return target.kind === 'tunnel' ? explainTunnel(state, state.plan, target.tunnel) : explainPair(state, state.plan, target.pair);
}

function explainTunnel(state: EngineState, plan: Plan, name: string): Explanation {
  const tunnel = plan.tunnels.find(({ id, path }) => id === name || path === name);
  if (!tunnel) throw new ForemeshError('API_NOT_FOUND', { what: `the plan has no tunnel ${name.slice(0, 60)}`, fix: 'foremesh status lists them' });
  const entry = state.report?.tunnels.find((line) => line.tunnel === tunnel.id);
  const carries = plan.assignments.filter(({ routes }) => routes.some(({ tunnels }) => tunnels.includes(tunnel.id)));
  const backs = plan.assignments.filter(({ backups }) => backups.some((tunnels) => tunnels.includes(tunnel.id)));
  const load = entry ? [`planned for a peak of ${entry.peakMbps} of at most ${entry.limitMbps} Mbit/s`] : [];
  return {
    target: `${tunnel.id} ${tunnel.path}`,
    why: entry?.reason ?? 'it stands since an earlier plan; the next cycle says why',
    lines: [
      `planned since ${new Date(tunnel.plannedAt).toISOString()} under security profile ${tunnel.securityProfile}`,
      ...load,
      ...carries.map(({ from, to, classId }) => `carries ${classId} from ${from} to ${to}`),
      ...backs.map(({ from, to, classId }) => `stands by for ${classId} from ${from} to ${to}`),
    ],
    usdPerMonth: entry?.usdPerMonth ?? null,
    refused: refusedBetween(state, tunnel.a.site, tunnel.b.site),
    wouldChange: wouldChange(state, tunnel.path, tunnel.id),
  };
}

function explainPair(state: EngineState, plan: Plan, name: string): Explanation {
  const [from, to] = sitesOfPair(name as PairId);
  if (!from || !to) throw new ForemeshError('API_REQUEST_INVALID', { what: `${name.slice(0, 60)} is not a pair`, fix: 'write it as berlin>paris' });
  const intent = state.main?.intent;
  if (intent && (!findSite(intent, from) || !findSite(intent, to))) {
    throw new ForemeshError('API_NOT_FOUND', { what: `the intent does not have both sites of ${name.slice(0, 60)}`, fix: 'foremesh status lists the sites' });
  }
  const rule = intent ? connectionFor(intent, from, to) : null;
  const assignments = plan.assignments.filter((entry) => entry.from === from && entry.to === to);
  const demands = state.report?.demands.filter(({ pair }) => pair === pairId(from, to)) ?? [];
  const unplaced = state.report?.unplaced.filter(({ pair }) => pair === pairId(from, to)) ?? [];
  return {
    target: pairId(from, to),
    why: rule ? `connection "${rule.name}" is ${rule.mode}` : 'no connection rule names this pair, so it may not talk',
    lines: [
      ...assignments.map(({ classId, routes }) => `${classId}: ${routes.map(({ weight, tunnels }) => `${weight} % over ${tunnels.map((id) => pathOf(plan, id)).join(' then ')}`).join(', ')}`),
      ...demands.map(({ classId, p50Mbps, p95Mbps, plannedMbps }) => `${classId}: forecast peak ${p50Mbps} (p95 ${p95Mbps}) Mbit/s, planned for ${plannedMbps}`),
      ...eventLines(state, from, to),
      ...(demands.length > 0 ? [`what the forecast rests on: foremesh forecast show '${pairId(from, to)}'`] : []),
      ...unplaced.map(({ classId, mbps, reason }) => `${classId}: ${mbps} Mbit/s found no place: ${reason}`),
    ],
    usdPerMonth: null,
    refused: refusedBetween(state, from, to),
    wouldChange: wouldChange(state, null, pairId(from, to)),
  };
}

/** What planned events add to the forecast of a pair. */
function eventLines(state: EngineState, one: SiteId, other: SiteId): string[] {
  return (state.forecast?.adjustments ?? [])
    .filter(({ from, to }) => from === one && to === other)
    .map(({ event, classId, expected, addedMbps }) => `${classId}: planned event ${event} is expected to mean ${expected}, ${addedMbps.reduce((most, mbps) => (Math.abs(mbps) > Math.abs(most) ? mbps : most), 0)} Mbit/s of the forecast`);
}

function refusedBetween(state: EngineState, one: SiteId, other: SiteId): Explanation['refused'] {
  const pairs = new Set([pairId(one, other), pairId(other, one)]);
  const seen = new Map((state.report?.refused ?? []).filter(({ pair }) => pairs.has(pair)).map(({ path, reason }) => [path, reason]));
  return [...seen].map(([path, reason]) => ({ path, reason }));
}

function wouldChange(state: EngineState, path: PathId | null, name: TunnelId | PairId): string[] {
  const waiting = (state.report?.waiting ?? []).filter(({ what }) => what.includes(name) || (path !== null && what.includes(path)));
  const vetoes = (state.plan?.vetoes ?? []).filter(({ what }) => what.includes(name) || (path !== null && what.includes(path)));
  const overrides = (state.plan?.overrides ?? []).filter(({ what }) => ('path' in what && what.path === path) || ('pair' in what && what.pair === name));
  return [
    ...waiting.map(({ what, reason, until }) => `${what} waits: ${reason}${until === null ? '' : `, until ${new Date(until).toISOString()}`}`),
    ...vetoes.map(({ what, until }) => `a veto on "${what}" ends ${new Date(until).toISOString()}`),
    ...overrides.map(({ why, by, until }) => `an override by ${by} (${why}) ends ${new Date(until).toISOString()}`),
  ];
}

function pathOf(plan: Plan, tunnel: TunnelId): string {
  return plan.tunnels.find(({ id }) => id === tunnel)?.path ?? tunnel;
}
