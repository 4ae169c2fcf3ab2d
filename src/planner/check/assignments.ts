import type { Assignment, Connection, Intent, Plan, SiteId, Tunnel, TunnelId } from '../../model/index.ts';
import { fits, ruleFor } from './rules.ts';
import { isServing } from './tunnels.ts';

/** Routes lead from site to site over tunnels that exist, relays are allowed to relay, weights add up, both directions agree. */
export function checkAssignments(intent: Intent, plan: Plan): string[] {
  const tunnels = new Map<string, Tunnel>(plan.tunnels.map((tunnel) => [tunnel.id, tunnel]));
  const byKey = new Map(plan.assignments.map((assignment) => [`${assignment.from}>${assignment.to} ${assignment.classId}`, assignment]));
  const problems: string[] = [];
  for (const assignment of plan.assignments) {
    const name = `assignment ${assignment.from}>${assignment.to} ${assignment.classId}`;
    const connection = ruleFor(intent, assignment.from, assignment.to);
    const found = [
      ...checkScope(intent, plan, assignment, connection),
      ...checkRoutes(assignment, tunnels),
      ...checkCopies(intent, assignment, tunnels),
      ...checkStandbys(plan, assignment, tunnels),
      ...checkRelays(intent, assignment, connection, tunnels, byKey),
    ];
    const mirror = byKey.get(`${assignment.to}>${assignment.from} ${assignment.classId}`);
    if (!mirror) found.push('the other direction is missing');
    else if (routesText(mirror.routes, true) !== routesText(assignment.routes, false)) found.push('the other direction goes another way');
    else if (waysText(mirror.copies, true) !== waysText(assignment.copies, false)) found.push('second copies of the other direction go another way');
    problems.push(...found.map((problem) => `${name}: ${problem}`));
  }
  return problems;
}

function checkScope(intent: Intent, plan: Plan, { from, to, classId }: Assignment, connection: Connection | undefined): string[] {
  const problems: string[] = [];
  const [one, other] = from < to ? [from, to] : [to, from];
  if (from === to) problems.push('from and to are the same site');
  if (!intent.classes.some(({ id }) => id === classId)) problems.push(`class ${classId} is not in the intent`);
  if (!connection || connection.mode === 'never') problems.push('the intent forbids the two sites to connect');
  else if (connection.classes.length > 0 && !connection.classes.includes(classId)) problems.push(`connection ${connection.name} does not carry class ${classId}`);
  if (!plan.admitted.some(([left, right]) => left === one && right === other)) problems.push('the pair is not admitted in the plan');
  return problems;
}

function checkRoutes({ from, to, routes, backups }: Assignment, tunnels: ReadonlyMap<string, Tunnel>): string[] {
  const problems: string[] = [];
  const sum = routes.reduce((total, { weight }) => total + weight, 0);
  if (routes.length === 0) problems.push('it has no route');
  else if (sum !== 100) problems.push(`weights sum to ${sum}, not 100`);
  if (new Set(routes.map((route) => route.tunnels.join())).size !== routes.length) problems.push('two routes are the same');
  if (new Set(backups.map((backup) => backup.join())).size !== backups.length) problems.push('two backups are the same');
  if (routes.length === 1 && backups.some((backup) => backup.join() === routes[0]!.tunnels.join())) problems.push('its only route is its own backup');
  for (const list of [...routes.map((route) => route.tunnels), ...backups]) {
    const end = walk(list, from, tunnels);
    if (list.length < 1 || list.length > 2) problems.push(`a way has ${list.length} tunnels, one or two are possible`);
    else if (end === null) problems.push(`way ${list.join(', ')} does not hang together from ${from}`);
    else if (end !== to) problems.push(`way ${list.join(', ')} ends at ${end}`);
  }
  return problems;
}

/** Copies are for classes that are sent twice, and share no uplink with at least one route: else both would die together. */
function checkCopies(intent: Intent, { from, to, classId, routes, copies }: Assignment, tunnels: ReadonlyMap<string, Tunnel>): string[] {
  if (!copies) return [];
  const problems: string[] = [];
  const uplinksOf = (list: readonly string[]): string[] => list.flatMap((id) => [tunnels.get(id)?.a.uplink ?? '', tunnels.get(id)?.b.uplink ?? '']);
  if (intent.classes.find(({ id }) => id === classId)?.protection !== 'duplicate') problems.push(`it has copies, but class ${classId} is not sent twice`);
  if (copies.length === 0) problems.push('its list of copies is empty');
  if (new Set(copies.map((list) => list.join())).size !== copies.length) problems.push('two ways of copies are the same');
  for (const list of copies) {
    if (walk(list, from, tunnels) !== to) problems.push(`copies over ${list.join(', ')} do not lead from ${from} to ${to}`);
    const isApart = routes.some((route) => !uplinksOf(route.tunnels).some((uplink) => uplinksOf(list).includes(uplink)));
    if (!isApart) problems.push(`copies over ${list.join(', ')} share an uplink with every route`);
  }
  return problems;
}

/** Tunnels of standby gateways are for falling back to, after everything else; two tunnels meet at one gateway, not only at one site. */
function checkStandbys(plan: Plan, { routes, backups }: Assignment, tunnels: ReadonlyMap<string, Tunnel>): string[] {
  const problems: string[] = [];
  const usesStandby = (list: readonly string[]): boolean => list.some((id) => [tunnels.get(id)?.a, tunnels.get(id)?.b].some((end) => end !== undefined && !isServing(plan, end)));
  for (const { tunnels: list } of routes) if (usesStandby(list)) problems.push(`route ${list.join(', ')} leads through a gateway that does not serve its site`);
  for (const [index, list] of backups.entries()) {
    if (!usesStandby(list) && backups.slice(0, index).some(usesStandby)) problems.push(`backup ${list.join(', ')} comes after one through a standby gateway`);
  }
  for (const list of [...routes.map((route) => route.tunnels), ...backups]) {
    const [first, second] = list.map((id) => tunnels.get(id));
    if (!first || !second) continue;
    const nodes = [first.a.node, first.b.node];
    if (!nodes.includes(second.a.node) && !nodes.includes(second.b.node)) problems.push(`way ${list.join(', ')} meets at two different gateways`);
  }
  return problems;
}

function checkRelays(
  intent: Intent,
  assignment: Assignment,
  connection: Connection | undefined,
  tunnels: ReadonlyMap<string, Tunnel>,
  byKey: ReadonlyMap<string, Assignment>,
): string[] {
  const problems: string[] = [];
  const primaries = new Set(assignment.routes.map((route) => route.tunnels));
  for (const list of [...primaries, ...assignment.backups]) {
    if (list.length !== 2) continue;
    const relay = walk(list.slice(0, 1), assignment.from, tunnels);
    const site = intent.sites.find(({ id }) => id === relay);
    if (relay === null || !site) continue;
    if (!site.relay) problems.push(`site ${relay} may not relay`);
    if (connection?.relays === 'deny') problems.push(`connection ${connection.name} denies relays, but a way goes over ${relay}`);
    for (const end of [assignment.from, assignment.to]) {
      const hop = ruleFor(intent, end, relay);
      if (!hop || hop.mode === 'never') problems.push(`it is relayed by ${relay}, which ${end} may not talk to`);
      else if (connection && levelOf(intent, hop) < levelOf(intent, connection)) problems.push(`the tunnel ${end}–${relay} is less secure than connection ${connection.name} asks for`);
    }
    if (connection && touchesAvoided(connection, site)) problems.push(`connection ${connection.name} avoids ${relay}`);
    const own = byKey.get(`${relay}>${assignment.to} ${assignment.classId}`);
    const second = list[1]!;
    if (primaries.has(list) && own && !own.routes.some((route) => route.tunnels.length === 1 && route.tunnels[0] === second)) {
      problems.push(`${relay} sends this class to ${assignment.to} by its own assignment, which does not use ${second}`);
    }
  }
  return problems;
}

/** The site at the end of a list of tunnels begun at `from`; null when two do not meet or one does not exist. */
function walk(list: readonly string[], from: SiteId, tunnels: ReadonlyMap<string, Tunnel>): SiteId | null {
  let at: SiteId | null = from;
  for (const id of list) {
    const tunnel = tunnels.get(id);
    if (!tunnel || at === null) return null;
    at = tunnel.a.site === at ? tunnel.b.site : tunnel.b.site === at ? tunnel.a.site : null;
  }
  return at;
}

function levelOf(intent: Intent, connection: Connection): number {
  return intent.securityProfiles.find(({ name }) => name === connection.securityProfile)?.level ?? 0;
}

function touchesAvoided({ avoid }: Connection, site: Intent['sites'][number]): boolean {
  return avoid.regions.some((region) => fits(region, site.region)) || avoid.providers.some((provider) => fits(provider, site.provider));
}

function routesText(routes: Assignment['routes'], isMirrored: boolean): string {
  return routes
    .map(({ tunnels, weight }) => `${(isMirrored ? tunnels.toReversed() : tunnels).join()}=${weight}`)
    .sort()
    .join(' ');
}

function waysText(ways: readonly TunnelId[][] | undefined, isMirrored: boolean): string {
  return (ways ?? []).map((tunnels) => (isMirrored ? tunnels.toReversed() : tunnels).join()).join(' ');
}
