import { compareText } from '../base/index.ts';
import { pathId, sitesOfPair, uplinksOfPath, type Assignment, type ClassId, type DemandForecast, type DemandSeries, type NodeId, type Override, type PathId, type PathPin, type SiteId, type TunnelId } from '../model/index.ts';
import { type GatewayEnd, pairKey, type Network } from './network.ts';
import { PLANNER_SETTINGS } from './settings.ts';
import type { DirectionDemand, Pair, Want } from './types.ts';

const NO_DEMAND: DirectionDemand = { plannedMbps: 0, overMaxMbps: 0, p50Mbps: 0, p90Mbps: 0, p95Mbps: 0, meanMbps: 0, peakAt: null, recentMbps: 0 };

/**
 * What every admitted (pair, class) wants, in the order in which places are given: pinned ones; class priority; pairs
 * that must always be connected; those that have a place already; among new ones size; name. Those with a place go by
 * name alone, since their sizes move with every forecast and two alike must not take turns.
 */
export function buildWants(network: Network): Want[] {
  const source = indexDemands(network);
  const before = network.inputs.previous.overrides;
  const wants: Want[] = [];
  for (const pair of network.pairs.values()) {
    const forward = directionDemands(network, source, pair, pair.a.id, pair.b.id);
    const backward = directionDemands(network, source, pair, pair.b.id, pair.a.id);
    for (const [index, trafficClass] of pair.classes.entries()) {
      const key = `${pair.key}|${trafficClass.id}`;
      const pin = pinOf(network, network.overrides, pair, trafficClass.id);
      const there = forward[index]!;
      const back = backward[index]!;
      const halved = (demand: DirectionDemand): DirectionDemand => shareOf(demand, pair.share);
      const isActive = [there.plannedMbps, there.recentMbps, back.plannedMbps, back.recentMbps].some((mbps) => mbps >= PLANNER_SETTINGS.demandFloorMbps);
      const always = pair.connection.mode === 'always';
      const base = always && index === 0;
      wants.push({
        key,
        pair,
        trafficClass,
        forward: halved(isActive ? there : quiet(there)),
        backward: halved(isActive ? back : quiet(back)),
        active: isActive,
        base,
        protect: trafficClass.protection !== 'none' && pair.connection.backup === 'class' && (isActive || always),
        pinned: pin,
        released: pin === null && pinOf(network, before, pair, trafficClass.id) !== null,
        previous: source.previous.get(key) ?? null,
        vetoed: source.vetoed.get(key) ?? [],
      });
    }
  }
  return wants
    .map((want) => ({ want, rank: rankOf(want) }))
    .sort((left, right) => compareRank(left.rank, right.rank) || compareText(left.want.key, right.want.key))
    .map(({ want }) => want);
}

/** Mbit/s of both directions. */
export function sizeOf(want: Want): number {
  return want.forward.plannedMbps + want.backward.plannedMbps;
}

/** One text for a set of routes given as path lists from the lesser site to the other. */
export function routeSetKey(routes: readonly (readonly PathId[])[]): string {
  return [...new Set(routes.map((paths) => paths.join('+')))].sort(compareText).join(' ');
}

interface DemandSource {
  forecasts: Map<string, DemandForecast>;
  observed: Map<string, DemandSeries>;
  previous: Map<string, { key: string; weight: number }[]>;
  vetoed: Map<string, Want['vetoed']>;
}

function indexDemands(network: Network): DemandSource {
  const { inputs } = network;
  return {
    forecasts: new Map((inputs.forecast?.demands ?? []).map((demand) => [`${demand.from}>${demand.to}|${demand.classId}`, demand])),
    observed: new Map(inputs.observation.demands.map((demand) => [`${demand.from}>${demand.to}|${demand.classId}`, demand])),
    previous: previousChoices(inputs.previous.assignments, network),
    vetoed: vetoedRoutes(network),
  };
}

/** Demands of all classes of one direction, the connection's minimum added and its maximum enforced, most urgent class first. */
function directionDemands(network: Network, source: DemandSource, pair: Pair, from: SiteId, to: SiteId): DirectionDemand[] {
  const demands = pair.classes.map((trafficClass) => {
    const key = `${from}>${to}|${trafficClass.id}`;
    return demandOf(network, source.forecasts.get(key), source.observed.get(key));
  });
  const { mode, minMbps, maxMbps } = pair.connection;
  const total = demands.reduce((sum, demand) => sum + demand.plannedMbps, 0);
  const isMinimumDue = mode === 'always' || total >= PLANNER_SETTINGS.demandFloorMbps;
  if (isMinimumDue && total < minMbps && demands.length > 0) {
    const missing = minMbps - total;
    for (const demand of demands) demand.plannedMbps += total > 0 ? (missing * demand.plannedMbps) / total : missing / demands.length;
  }
  if (maxMbps > 0) {
    let left = maxMbps;
    for (const demand of demands) {
      demand.overMaxMbps = Math.max(0, demand.plannedMbps - left);
      demand.plannedMbps -= demand.overMaxMbps;
      left -= demand.plannedMbps;
    }
  }
  return demands;
}

/** The provision's peak over the horizon, or what the last slot saw when that is more. */
function demandOf(network: Network, forecast: DemandForecast | undefined, series: DemandSeries | undefined): DirectionDemand {
  const { now, inputs } = network;
  const { observation } = inputs;
  const { provision, slotMs } = inputs.intent.mesh.forecast;
  const demand: DirectionDemand = { ...NO_DEMAND };
  const future = (forecast?.slots ?? []).filter((slot) => slot.startAt + slotMs > now);
  const slots = future.length > 0 ? future : (forecast?.slots ?? []); // an old forecast is still the best guess there is
  for (const slot of slots) {
    const provided = sane(slot[provision]);
    if (provided > demand.plannedMbps) Object.assign(demand, { plannedMbps: provided, peakAt: slot.startAt });
    demand.p50Mbps = Math.max(demand.p50Mbps, sane(slot.p50));
    demand.p90Mbps = Math.max(demand.p90Mbps, sane(slot.p90));
    demand.p95Mbps = Math.max(demand.p95Mbps, sane(slot.p95));
    demand.meanMbps += sane(slot.p50) / slots.length;
  }
  const window = Math.max(1, Math.ceil(inputs.intent.mesh.idleTimeoutMs / Math.max(1, observation.slotMs)));
  const recent = (series?.mbps ?? []).slice(-window).map((mbps) => sane(mbps ?? 0));
  const last = recent.at(-1) ?? 0;
  demand.recentMbps = recent.reduce((peak, mbps) => Math.max(peak, mbps), 0);
  if (last > demand.plannedMbps) Object.assign(demand, { plannedMbps: last, peakAt: null });
  if (!forecast && recent.length > 0) demand.meanMbps = recent.reduce((sum, mbps) => sum + mbps, 0) / recent.length;
  return demand;
}

function shareOf(demand: DirectionDemand, share: number): DirectionDemand {
  if (share === 1) return demand;
  const { plannedMbps, overMaxMbps, p50Mbps, p90Mbps, p95Mbps, meanMbps, recentMbps } = demand;
  const part = (mbps: number): number => mbps * share;
  return { ...demand, plannedMbps: part(plannedMbps), overMaxMbps: part(overMaxMbps), p50Mbps: part(p50Mbps), p90Mbps: part(p90Mbps), p95Mbps: part(p95Mbps), meanMbps: part(meanMbps), recentMbps: part(recentMbps) };
}

/** Below the floor: shown in the report, provided for by nobody. */
function quiet(demand: DirectionDemand): DirectionDemand {
  return { ...demand, plannedMbps: 0, overMaxMbps: 0 };
}

/** Which ways carried what before, by their keys; both directions are the same, so the lesser site's is read. Each half of a pair has those between its own gateways. */
function previousChoices(assignments: readonly Assignment[], network: Network): DemandSource['previous'] {
  const choices: DemandSource['previous'] = new Map();
  for (const { from, to, classId, routes } of assignments) {
    if (from > to) continue;
    for (const [pair, own] of byHalf(routes, network, from, to, ({ tunnels }) => endsOfTunnels(tunnels, from, network))) {
      const weights = new Map<string, number>();
      const total = own.reduce((sum, { weight }) => sum + weight, 0);
      for (const route of own) {
        const key = wayKeyOf(route.tunnels, from, network);
        if (key !== null) weights.set(key, (weights.get(key) ?? 0) + (route.weight * 100) / total);
      }
      if (weights.size > 0) choices.set(`${pair}|${classId}`, [...weights].map(([key, weight]) => ({ key, weight: Math.round(weight) })).sort((left, right) => compareText(left.key, right.key)));
    }
  }
  return choices;
}

/** What belongs to which half of a pair of sites, by its key; what is between other gateways belongs to the first where nothing else does. */
function byHalf<T>(items: readonly T[], network: Network, from: SiteId, to: SiteId, endsOf: (item: T) => readonly [GatewayEnd, GatewayEnd] | null): Map<string, T[]> {
  const halves = new Map<string, T[]>();
  for (const item of items) {
    const ends = endsOf(item);
    const key = ends && network.pairOf(ends)?.key;
    if (key) halves.set(key, [...(halves.get(key) ?? []), item]);
  }
  return halves.size > 0 ? halves : new Map([[pairKey(from, to), [...items]]]);
}

/** The gateways at the two ends of a way. */
function endsOfTunnels(tunnels: readonly TunnelId[], from: SiteId, network: Network): [GatewayEnd, GatewayEnd] | null {
  const first = network.previousTunnels.get(tunnels[0]!);
  const last = network.previousTunnels.get(tunnels.at(-1)!);
  if (!first || !last) return null;
  const near = first.a.site === from ? first.a : first.b;
  const met = tunnels.length === 1 ? from : (first.a.site === from ? first.b : first.a).site;
  return [near, last.a.site === met ? last.b : last.a];
}

function wayKeyOf(tunnels: readonly TunnelId[], from: SiteId, network: Network): string | null {
  const first = network.previousTunnels.get(tunnels[0]!);
  if (!first) return null;
  if (tunnels.length === 1) return `direct:${first.path}`;
  return `relay:${first.a.site === from ? first.b.site : first.a.site}`;
}

function vetoedRoutes(network: Network): DemandSource['vetoed'] {
  const vetoed: DemandSource['vetoed'] = new Map();
  for (const veto of network.inputs.vetoes) {
    const { change } = veto;
    if (change.kind !== 'reroute' || veto.until <= network.now) continue;
    const [from, to] = change.pair.split('>') as [SiteId, SiteId];
    const [lesser, greater] = from < to ? [from, to] : [to, from];
    const all = from < to ? change.paths : change.paths.map((paths) => paths.toReversed());
    for (const [pair, paths] of byHalf(all, network, lesser, greater, (each) => endsOfPaths(each, lesser, greater, network))) {
      const key = `${pair}|${change.classId}`;
      vetoed.set(key, [...(vetoed.get(key) ?? []), { routes: routeSetKey(paths), until: veto.until, what: veto.what }]);
    }
  }
  return vetoed;
}

function endsOfPaths(paths: readonly PathId[], from: SiteId, to: SiteId, network: Network): [GatewayEnd, GatewayEnd] | null {
  const nodeAt = (site: SiteId, path: PathId | undefined): NodeId | undefined => {
    const nodes = network.sites.find(({ id }) => id === site)?.nodes ?? [];
    return path && uplinksOfPath(path).map((uplink) => nodes.find(({ uplinks }) => uplinks.some(({ id }) => id === uplink))?.id).find((node) => node !== undefined);
  };
  const [near, far] = [nodeAt(from, paths[0]), nodeAt(to, paths.at(-1))];
  return near && far ? [{ site: from, node: near }, { site: to, node: far }] : null;
}

/** The pin of a class of a pair: one of that class before one of the whole pair, of two alike the first by id. It binds the half that its path belongs to; the other goes on as it was. */
function pinOf(network: Network, pins: readonly Override[], pair: Pair, classId: ClassId): Want['pinned'] {
  const here = pins.filter(({ what }) => what.kind === 'pin-path' && isPinOf(what, pair, classId) && isOfHalf(network, what.path, pair));
  const chosen = here.find(({ what }) => what.kind === 'pin-path' && what.classId !== undefined) ?? here[0];
  if (chosen?.what.kind !== 'pin-path') return null;
  const [left, right] = uplinksOfPath(chosen.what.path);
  return left && right ? { path: pathId(left, right), override: chosen.id, isOfClass: chosen.what.classId !== undefined } : null;
}

function isOfHalf(network: Network, path: PathId, pair: Pair): boolean {
  const ends = endsOfPaths([path], pair.a.id, pair.b.id, network);
  const half = ends && network.pairOf(ends);
  return !half || half === pair;
}

function isPinOf({ pair: pinned, classId: only }: PathPin, pair: Pair, classId: ClassId): boolean {
  const [one, other] = sitesOfPair(pinned);
  return pairKey(one, other) === pairKey(pair.a.id, pair.b.id) && (only === undefined || only === classId);
}

function rankOf(want: Want): number[] {
  return [want.pinned ? 0 : 1, want.trafficClass.priority, want.pair.connection.mode === 'always' ? 0 : 1, want.previous ? 0 : 1, want.previous ? 0 : -sizeOf(want)];
}

function compareRank(left: readonly number[], right: readonly number[]): number {
  for (let index = 0; index < left.length; index++) {
    const difference = left[index]! - right[index]!;
    if (difference !== 0) return difference;
  }
  return 0;
}

function sane(mbps: number): number {
  return Number.isFinite(mbps) && mbps > 0 ? mbps : 0;
}
