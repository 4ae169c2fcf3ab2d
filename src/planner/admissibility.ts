import { familyOf, type IpFamily } from '../base/index.ts';
import { matchesName, reachableAddress, type PathId, type PathState, type Site, type Tunnel, type TrafficClass } from '../model/index.ts';
import { formatBoundMs, formatRatio } from './words.ts';
import type { Network } from './network.ts';
import { PLANNER_SETTINGS } from './settings.ts';
import type { Hop, HopEnd, Pair, Refusal, Way } from './types.ts';

/** All that forbids a path to a pair whatever its class, each with a reason a person can read; [] when it may be used. */
export function refusalsOf(network: Network, pair: Pair, ends: readonly [HopEnd, HopEnd], path: PathId, existing: Tunnel | null, state: PathState): Refusal[] {
  const refusals = [...familyRefusals(ends), ...avoidRefusals(pair, ends, [])];
  for (const end of ends) {
    if (end.uplink.drain) refusals.push({ code: 'drain', reason: `${end.uplink.id} is being drained` });
  }
  if (ends.every((end) => reachableAddress(end.uplink) === null)) {
    refusals.push({ code: 'nat', reason: `${ends[0].uplink.id} and ${ends[1].uplink.id} are both behind NAT, and neither has a public address` });
  }
  for (const constraint of network.inputs.constraints) {
    if (constraint.forbidPath === path) refusals.push({ code: 'forbidden', reason: `refused by policy: ${constraint.reason}` });
  }
  for (const override of network.overrides) {
    if (override.what.kind === 'avoid-path' && override.what.path === path) {
      refusals.push({ code: 'override', reason: `override ${override.id} by ${override.by} avoids it: ${override.why}` });
    }
  }
  if (!existing) refusals.push(...vetoRefusals(network, pair, path));
  if (state === 'down') refusals.push({ code: 'down', reason: 'its probes say down' });
  return refusals;
}

/** IKE and ESP go between two addresses of one family. */
function familyRefusals([one, other]: readonly [HopEnd, HopEnd]): Refusal[] {
  const [left, right] = [familyOf(one.uplink.address), familyOf(other.uplink.address)];
  return left === right ? [] : [{ code: 'family', reason: `${one.uplink.id} has an ${FAMILY_WORDS[left]} address and ${other.uplink.id} an ${FAMILY_WORDS[right]} one` }];
}

const FAMILY_WORDS: Record<IpFamily, string> = { ipv4: 'IPv4', ipv6: 'IPv6' };

/** What the pair's connection wants avoided, at the ends of a path or of a relay's hops. */
export function avoidRefusals(pair: Pair, ends: readonly HopEnd[], relays: readonly Site[]): Refusal[] {
  const { regions, providers, uplinks } = pair.connection.avoid;
  if (regions.length + providers.length + uplinks.length === 0) return [];
  const rule = `connection ${pair.connection.name}`;
  const reasons: string[] = [];
  for (const site of [...ends.map((end) => end.site), ...relays]) {
    if (regions.some((region) => matchesName(region, site.region))) reasons.push(`${rule} avoids region ${site.region} (${site.id})`);
    if (providers.some((provider) => matchesName(provider, site.provider))) reasons.push(`${rule} avoids provider ${site.provider} (${site.id})`);
  }
  for (const { uplink } of ends) {
    if (providers.some((provider) => matchesName(provider, uplink.provider))) reasons.push(`${rule} avoids provider ${uplink.provider} (${uplink.id})`);
    if (uplinks.some((name) => matchesName(name, uplink.id) || name === uplink.name)) reasons.push(`${rule} avoids uplink ${uplink.id}`);
  }
  return [...new Set(reasons)].map((reason) => ({ code: 'avoid', reason }));
}

/** Why a class may not use a way that is otherwise fine: latency, loss, jitter; null when its SLA holds. */
export function slaRefusal(way: Pick<Way, 'latencyMs' | 'lossRatio' | 'jitterMs' | 'measured'>, trafficClass: TrafficClass, tolerance = 1): string | null {
  const { latencyMaxMs, lossMaxRatio, jitterMaxMs } = trafficClass.sla;
  const how = way.measured ? '' : ' (estimated)';
  if (way.latencyMs > latencyMaxMs * tolerance) return `${trafficClass.id}: latency ${formatBoundMs(way.latencyMs)}${how} > ${formatBoundMs(latencyMaxMs)}`;
  if (way.lossRatio > lossMaxRatio * tolerance) return `${trafficClass.id}: loss ${formatRatio(way.lossRatio)} > ${formatRatio(lossMaxRatio)}`;
  if (way.jitterMs > jitterMaxMs * tolerance) return `${trafficClass.id}: jitter ${formatBoundMs(way.jitterMs)} > ${formatBoundMs(jitterMaxMs)}`;
  return null;
}

export function isUsable(hop: Hop): boolean {
  return hop.refusals.length === 0;
}

/** Nothing but its probes speaks against it: better than no path at all. */
export function isLastResort(hop: Hop): boolean {
  return hop.refusals.every((refusal) => refusal.code === 'down');
}

/** A person's pin overrules vetoes and the SLA; never what protects traffic: security, avoidance, policy, drains, a dead path. */
export function isPinnable(hop: Hop): boolean {
  return hop.refusals.every((refusal) => refusal.code === 'veto');
}

function vetoRefusals(network: Network, pair: Pair, path: PathId): Refusal[] {
  return network.inputs.vetoes.flatMap((veto): Refusal[] => {
    const { change } = veto;
    const isHere = change.kind === 'tunnel-add' && change.path === path && change.securityProfile === pair.profile.name;
    if (!isHere || veto.until <= network.now) return [];
    return [{ code: 'veto', reason: `a person took it back (${veto.commit.slice(0, 10)}), until ${new Date(veto.until).toISOString()}` }];
  });
}

/** Latency near the class's bound: who left such a path does not come back for it at once. */
export function isNearSlaEdge(way: Way, trafficClass: TrafficClass): boolean {
  return way.latencyMs > trafficClass.sla.latencyMaxMs * PLANNER_SETTINGS.slaEdgeRatio;
}
