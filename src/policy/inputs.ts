import { compareText, sortedBy } from '../base/index.ts';
import {
  connectionFor,
  isAdmitted,
  nodesOf,
  siteId,
  type Anomaly,
  type Assignment,
  type ChangeInput,
  type Connection,
  type Intent,
  type NodeStatus,
  type Plan,
  type PlanReport,
  type SiteId,
  type Tunnel,
  type TunnelEnd,
  type TunnelId,
  type Uplink,
} from '../model/index.ts';

/** What `data.foremesh.intent` sees: the normalised intent, and the time, since Rego has no clock here. */
export function intentInput(intent: Intent, now: number): unknown {
  return { schema: 'foremesh/policy-intent/v1', now, intent };
}

/**
 * What `data.foremesh.plan` sees: the plan with everything a rule has to look up already joined to it, so that rules
 * stay short and their time stays linear in the plan. It joins and counts; it judges nothing.
 * `tunnels`, `nodes`, `sites`, `classes` and `pairs` are maps by id. `pairs` holds the pairs in use, lesser site first,
 * with the ways of their traffic in either direction and any class: once each, since that is most of the input's size.
 * @param anomalies  traffic that is not what was to be expected and goes on; [] where nobody watches
 * @param statuses  what nodes say of themselves; [] where nobody was asked, and then `mlKem` is null: not known
 */
export function planInput(intent: Intent, plan: Plan, previous: Plan, report: PlanReport, now: number, statuses: readonly NodeStatus[] = [], anomalies: readonly Anomaly[] = []): unknown {
  const before = new Set(previous.tunnels.map((tunnel) => tunnel.id));
  const reported = new Map(report.tunnels.map((tunnel) => [tunnel.tunnel, tunnel]));
  const uplinks = new Map<string, Uplink>(nodesOf(intent).flatMap((node) => node.uplinks.map((uplink) => [uplink.id, uplink])));
  const levels = new Map([...intent.securityProfiles, ...plan.securityProfiles].map((profile) => [profile.name, profile.level]));
  const profiles = new Map([...intent.securityProfiles, ...plan.securityProfiles].map((profile) => [profile.name, profile]));
  const daemons = new Map(statuses.map(({ node, ike }) => [node, ike]));
  const held = countsOf(plan.tunnels.flatMap(({ a, b }) => [a.node, b.node]));
  return {
    schema: 'foremesh/policy-plan/v1',
    now,
    mesh: plan.mesh,
    tunnels: byKey(plan.tunnels, (tunnel) => tunnel.id, (tunnel) => ({
      id: tunnel.id,
      path: tunnel.path,
      pair: pairName(tunnel.a.site, tunnel.b.site),
      ends: [endOf(tunnel.a, uplinks), endOf(tunnel.b, uplinks)],
      securityProfile: tunnel.securityProfile,
      securityLevel: levels.get(tunnel.securityProfile) ?? 0,
      postQuantum: profiles.get(tunnel.securityProfile)?.postQuantum ?? 'off',
      isNew: !before.has(tunnel.id),
      plannedAt: tunnel.plannedAt,
      usdPerMonth: reported.get(tunnel.id)?.usdPerMonth ?? 0,
      peakMbps: reported.get(tunnel.id)?.peakMbps ?? 0,
    })),
    nodes: byKey(nodesOf(intent), (node) => node.id, (node) => ({ site: node.site, role: node.role, tunnelsMax: node.tunnelsMax, tunnels: held.get(node.id) ?? 0, mlKem: daemons.get(node.id)?.mlKem ?? null })),
    sites: byKey(intent.sites, (site) => site.id, (site) => ({ provider: site.provider, region: site.region, country: site.location.country, relay: site.relay })),
    classes: byKey(intent.classes, (one) => one.id, ({ priority, protection }) => ({ priority, protection })),
    pairs: pairsOf(intent, plan, levels),
    admittedUnfounded: plan.admitted.filter(([one, other]) => !isAdmitted(intent, one, other)).map(([one, other]) => pairName(one, other)),
    securityProfiles: plan.securityProfiles,
    overrides: plan.overrides,
    anomalies,
    totals: { tunnels: plan.tunnels.length, tunnelsBefore: previous.tunnels.length, usdPerMonth: report.usdPerMonth },
  };
}

/** What `data.foremesh.change` sees. */
export function changeInput(input: ChangeInput): unknown {
  return { schema: 'foremesh/policy-change/v1', ...input };
}

function endOf(end: TunnelEnd, uplinks: ReadonlyMap<string, Uplink>): object {
  const uplink = uplinks.get(end.uplink);
  return { node: end.node, site: end.site, uplink: end.uplink, provider: uplink?.provider ?? 'unknown', drain: uplink?.drain ?? false };
}

interface PairTraffic {
  ways: Map<string, { tunnels: readonly TunnelId[]; relays: SiteId[] }>;
  carried: Map<string, { routes: number; backups: number }>;
}

function pairsOf(intent: Intent, plan: Plan, levels: ReadonlyMap<string, number>): Record<string, object> {
  const tunnels = new Map(plan.tunnels.map((tunnel) => [tunnel.id, tunnel]));
  const traffic = new Map<string, PairTraffic>();
  for (const { a, b } of plan.tunnels) traffic.set(pairName(a.site, b.site), { ways: new Map(), carried: new Map() });
  for (const assignment of plan.assignments) {
    const pair = pairName(assignment.from, assignment.to);
    const { ways, carried } = traffic.get(pair) ?? { ways: new Map(), carried: new Map() };
    traffic.set(pair, { ways, carried });
    for (const ids of [...assignment.routes.map((route) => route.tunnels), ...assignment.backups]) {
      const inOrder = [...ids].sort(compareText);
      ways.set(inOrder.join(' '), { tunnels: inOrder, relays: relaysOf(assignment, ids, tunnels) });
    }
    // the worse of the two directions
    const other = carried.get(assignment.classId) ?? { routes: Infinity, backups: Infinity };
    carried.set(assignment.classId, { routes: Math.min(other.routes, assignment.routes.length), backups: Math.min(other.backups, assignment.backups.length) });
  }
  return byKey([...traffic], ([pair]) => pair, ([pair, { ways, carried }]) => ({
    ...governing(intent, pair, levels),
    ways: sortedBy([...ways], ([key]) => key).map(([, way]) => way),
    carried: Object.fromEntries(carried),
  }));
}

function governing(intent: Intent, pair: string, levels: ReadonlyMap<string, number>): object {
  const [one, other] = pair.split('>').map((name) => siteId(name)) as [SiteId, SiteId];
  const connection = connectionFor(intent, one, other);
  return {
    admitted: one !== other && connection !== null && connection.mode !== 'never',
    connection: connection?.name ?? null,
    mode: connection?.mode ?? 'never',
    relays: connection?.relays ?? 'deny',
    backup: connection?.backup ?? 'none',
    securityProfile: connection?.securityProfile ?? null,
    securityLevel: connection ? (levels.get(connection.securityProfile) ?? 0) : 0,
    avoid: connection?.avoid ?? ({ regions: [], providers: [], uplinks: [] } satisfies Connection['avoid']),
    classes: connection?.classes ?? [],
  };
}

/** The sites on a way other than its two ends. */
function relaysOf({ from, to }: Assignment, ids: readonly TunnelId[], tunnels: ReadonlyMap<TunnelId, Tunnel>): SiteId[] {
  const sites = ids.flatMap((id) => {
    const tunnel = tunnels.get(id);
    return tunnel ? [tunnel.a.site, tunnel.b.site] : [];
  });
  return [...new Set(sites)].filter((site) => site !== from && site !== to).sort(compareText);
}

function countsOf(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

function pairName(one: SiteId, other: SiteId): string {
  return one < other ? `${one}>${other}` : `${other}>${one}`;
}

function byKey<T>(items: readonly T[], key: (item: T) => string, value: (item: T) => object): Record<string, object> {
  return Object.fromEntries(sortedBy(items, key).map((item) => [key(item), value(item)]));
}
