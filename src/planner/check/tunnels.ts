import { createHash } from 'node:crypto';
import { addressAt, canonicalJson, prefixContains } from '../../base/index.ts';
import type { Intent, Plan, SecurityProfile, Tunnel, TunnelEnd } from '../../model/index.ts';
import { fits, ruleFor } from './rules.ts';

/** Ids, ends, profiles and permission of every tunnel. */
export function checkTunnels(intent: Intent, plan: Plan): string[] {
  return plan.tunnels.flatMap((tunnel) => {
    const name = `tunnel ${tunnel.id}`;
    return [
      ...checkIdentity(plan, tunnel).map((problem) => `${name}: ${problem}`),
      ...[tunnel.a, tunnel.b].flatMap((end) => checkEnd(intent, plan, end)).map((problem) => `${name}: ${problem}`),
      ...[...checkServing(plan, tunnel), ...checkReach(intent, tunnel), ...checkPermission(intent, plan, tunnel)].map((problem) => `${name}: ${problem}`),
    ];
  });
}

/** Each overlay address belongs to one tunnel end and comes from the prefix by the tunnel's index. */
export function checkAddresses(intent: Intent, plan: Plan): string[] {
  const problems: string[] = [];
  const owners = new Map<string, string>();
  const indices = new Map<number, string>();
  const prefix = intent.mesh.overlayPrefix;
  for (const tunnel of plan.tunnels) {
    const twin = indices.get(tunnel.index);
    if (twin) problems.push(`tunnels ${twin} and ${tunnel.id} have the same index ${tunnel.index}`);
    indices.set(tunnel.index, tunnel.id);
    for (const [end, offset] of [[tunnel.a, 4], [tunnel.b, 5]] as const) {
      const owner = owners.get(end.overlay);
      if (owner) problems.push(`overlay address ${end.overlay} belongs to ${owner} and to ${tunnel.id}`);
      owners.set(end.overlay, tunnel.id);
      const expected = addressAt(prefix, offset + 2 * tunnel.index);
      if (end.overlay !== expected) problems.push(`tunnel ${tunnel.id}: overlay address ${end.overlay} at ${end.node}, index ${tunnel.index} gives ${expected}`);
      if (!prefixContains(prefix, `${end.overlay}/32`)) problems.push(`tunnel ${tunnel.id}: overlay address ${end.overlay} is not in ${prefix}`);
    }
  }
  return problems;
}

/** No node holds more tunnels than it can. */
export function checkLimits(intent: Intent, plan: Plan): string[] {
  return intent.sites.flatMap((site) =>
    site.nodes.flatMap((node) => {
      const count = plan.tunnels.filter((tunnel) => tunnel.a.node === node.id || tunnel.b.node === node.id).length;
      return count > node.tunnelsMax ? [`node ${node.id} has ${count} tunnels and holds ${node.tunnelsMax} at most`] : [];
    }),
  );
}

function checkIdentity(plan: Plan, tunnel: Tunnel): string[] {
  const problems: string[] = [];
  const profile = plan.securityProfiles.find(({ name }) => name === tunnel.securityProfile);
  if (tunnel.path !== `${tunnel.a.uplink}~${tunnel.b.uplink}`) problems.push(`path ${tunnel.path} is not that of its ends ${tunnel.a.uplink} and ${tunnel.b.uplink}`);
  if (tunnel.a.uplink >= tunnel.b.uplink) problems.push('end a must be the one with the lesser uplink id');
  if (tunnel.a.address.includes(':') !== tunnel.b.address.includes(':')) problems.push(`its ends ${tunnel.a.address} and ${tunnel.b.address} are not of the same address family`);
  if (!profile) return [...problems, `security profile ${tunnel.securityProfile} is not in the plan`];
  if (tunnel.id !== expectedId(tunnel, profile)) problems.push(`the id should be ${expectedId(tunnel, profile)} for its path and profile`);
  return problems;
}

function expectedId(tunnel: Tunnel, { ike, esp, pfs, postQuantum }: SecurityProfile): string {
  const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
  return `t-${sha256(`${tunnel.path}#sha256:${sha256(canonicalJson({ ike, esp, pfs, postQuantum }))}`).slice(0, 8)}`;
}

function checkEnd(intent: Intent, plan: Plan, end: TunnelEnd): string[] {
  const site = intent.sites.find(({ id }) => id === end.site);
  const node = site?.nodes.find(({ id }) => id === end.node);
  const uplink = node?.uplinks.find(({ id }) => id === end.uplink);
  if (!site) return [`site ${end.site} is not in the intent`];
  if (!node) return [`node ${end.node} is no node of site ${end.site}`];
  if (!uplink) return [`uplink ${end.uplink} is no uplink of node ${end.node}`];
  const problems: string[] = [];
  if (uplink.address !== end.address) problems.push(`address ${end.address} is not that of uplink ${end.uplink} (${uplink.address})`);
  if (uplink.drain) problems.push(`uplink ${end.uplink} is being drained`);
  return problems;
}

/** Somebody has to be there to be spoken to: of two ends behind NAT one needs a public address. */
function checkReach(intent: Intent, { a, b }: Tunnel): string[] {
  const uplinks = intent.sites.flatMap(({ nodes }) => nodes.flatMap((node) => node.uplinks));
  const hidden = [a, b].filter((end) => uplinks.some(({ id, nat }) => id === end.uplink && nat !== undefined && nat.publicAddress === undefined));
  return hidden.length > 1 ? [`neither ${a.uplink} nor ${b.uplink} can be reached: both are behind NAT without a public address`] : [];
}

/** At least one end serves its site: two standby gateways have nothing to say to each other. */
function checkServing(plan: Plan, { a, b }: Tunnel): string[] {
  const idle = [a, b].filter((end) => !isServing(plan, end));
  return idle.length > 1 ? [`neither ${a.node} nor ${b.node} serves its site`] : [];
}

/** The checker's own reading of who carries a site's traffic. */
export function isServing(plan: Plan, end: TunnelEnd): boolean {
  return plan.servingNodes.some((serving) => serving.site === end.site && serving.node === end.node);
}

function checkPermission(intent: Intent, plan: Plan, tunnel: Tunnel): string[] {
  const [one, other] = tunnel.a.site < tunnel.b.site ? [tunnel.a.site, tunnel.b.site] : [tunnel.b.site, tunnel.a.site];
  const rule = ruleFor(intent, one, other);
  const pair = `${one} and ${other}`;
  const problems: string[] = [];
  if (!plan.admitted.some(([left, right]) => left === one && right === other)) problems.push(`${pair} are not admitted in the plan`);
  if (!rule || rule.mode === 'never') return [...problems, `the intent forbids ${pair} to connect`];
  if (rule.securityProfile !== tunnel.securityProfile) problems.push(`${pair} need security profile ${rule.securityProfile}, not ${tunnel.securityProfile}`);
  const stated = plan.securityProfiles.find(({ name }) => name === tunnel.securityProfile);
  const wanted = intent.securityProfiles.find(({ name }) => name === tunnel.securityProfile);
  if (stated && wanted && canonicalJson(stated) !== canonicalJson(wanted)) problems.push(`security profile ${wanted.name} in the plan differs from the intent's`);
  for (const end of [tunnel.a, tunnel.b]) {
    const name = end.uplink.slice(end.uplink.indexOf('/') + 1);
    if (rule.avoid.uplinks.some((avoided) => fits(avoided, end.uplink) || avoided === name)) problems.push(`connection ${rule.name} avoids uplink ${end.uplink}`);
    const site = intent.sites.find(({ id }) => id === end.site);
    if (site && rule.avoid.regions.some((region) => fits(region, site.region))) problems.push(`connection ${rule.name} avoids region ${site.region}`);
  }
  return problems;
}
