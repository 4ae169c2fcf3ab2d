import { isAddress, isPrefix, prefixContains, prefixesOverlap } from '../../src/base/index.ts';
import type { CryptoSuite, NodeConfig } from '../../src/model/index.ts';

const BROKEN_ENCRYPTION = new Set(['null', '3des']);
const BROKEN_INTEGRITY = new Set(['md5']);
const BROKEN_GROUPS = new Set(['modp768', 'modp1024', 'modp1536']);
const WITH_OWN_INTEGRITY = new Set(['aes128gcm16', 'aes256gcm16', 'chacha20poly1305']);
/** Nothing wider than this is a site: 10.0.0.0/8 and fc00::/7 are the widest private ranges. */
const WIDEST_IPV4_BITS = 8;
const WIDEST_IPV6_BITS = 7;
/** What is protected is unreachable but through tunnels: wider than this is not a network of ours but the internet. */
const WIDEST_PROTECTED_BITS = 4;

/**
 * What a node refuses to run whoever signed it, one line each; [] when the config may run. An engine in wrong hands can
 * so neither switch encryption off, nor open the gateway to everything, nor let protected traffic out in clear text,
 * nor take the site's own network away, nor the way on which the next plan would come.
 * @param current  what runs now, null on a fresh node
 * @param engine   the engine's host, as the settings of this node name it; a name that is no address is not looked up
 */
export function floorBreaches(next: NodeConfig, current: NodeConfig | null, engine: string | null = null): string[] {
  return [...cryptoBreaches(next), ...widthBreaches(next), ...endBreaches(next), ...guardBreaches(next, current), ...siteBreaches(next, current), ...managementBreaches(next, current, engine)];
}

function cryptoBreaches(next: NodeConfig): string[] {
  return next.tunnels.flatMap((tunnel) => [
    ...(tunnel.ike.length === 0 || tunnel.esp.length === 0 ? [`tunnel ${tunnel.id} names no cipher`] : []),
    ...tunnel.ike.flatMap((suite) => weaknesses(suite, `IKE of tunnel ${tunnel.id}`)),
    ...tunnel.ike.filter((suite) => suite.group === 'none').map(() => `IKE of tunnel ${tunnel.id} has no key exchange group`),
    ...tunnel.esp.flatMap((suite) => weaknesses(suite, `ESP of tunnel ${tunnel.id}`)),
  ]);
}

function weaknesses(suite: CryptoSuite, of: string): string[] {
  return [
    ...(BROKEN_ENCRYPTION.has(suite.encryption) ? [`${of} uses encryption ${suite.encryption}`] : []),
    ...(BROKEN_INTEGRITY.has(suite.integrity) ? [`${of} uses integrity ${suite.integrity}`] : []),
    ...(BROKEN_GROUPS.has(suite.group) ? [`${of} uses group ${suite.group}`] : []),
    ...(suite.integrity === 'none' && !WITH_OWN_INTEGRITY.has(suite.encryption) ? [`${of} has no integrity with ${suite.encryption}`] : []),
  ];
}

function widthBreaches(next: NodeConfig): string[] {
  const named: [string, readonly string[]][] = [
    ...next.allow.flatMap((pair): [string, readonly string[]][] => [
      ['allow from', pair.from],
      ['allow to', pair.to],
    ]),
    ...next.steering.map((steering): [string, readonly string[]] => [`route to ${steering.to}`, steering.prefixes]),
    ...next.sites.map((site): [string, readonly string[]] => [`site ${site.id}`, site.prefixes]),
    ['the site’s own network', next.lan.prefixes],
  ];
  return [...new Set(named.flatMap(([what, prefixes]) => prefixes.filter(isTooWide).map((prefix) => `${what} ${prefix} is wider than any site`)))];
}

function isTooWide(prefix: string): boolean {
  return !isPrefix(prefix) || lengthOf(prefix) < (prefix.includes(':') ? WIDEST_IPV6_BITS : WIDEST_IPV4_BITS);
}

function lengthOf(prefix: string): number {
  return Number(prefix.slice(prefix.indexOf('/') + 1));
}

/** Protected prefixes may grow, never shrink; and what is routed into tunnels must be protected when they fail. */
function guardBreaches(next: NodeConfig, current: NodeConfig | null): string[] {
  if (next.protectedPrefixes.length === 0) return ['no prefix is protected from leaving in clear text'];
  if (!next.protectedPrefixes.every(isPrefix)) return ['a protected prefix is not a prefix'];
  const vast = next.protectedPrefixes.filter((prefix) => lengthOf(prefix) < WIDEST_PROTECTED_BITS);
  const lost = (current?.protectedPrefixes ?? []).filter((prefix) => !prefixContains(next.protectedPrefixes, prefix));
  const bare = next.steering.flatMap((steering) => steering.prefixes).filter((prefix) => isPrefix(prefix) && !prefixContains(next.protectedPrefixes, prefix));
  return [
    ...vast.map((prefix) => `protected prefix ${prefix} would cut the gateway off from everything, its engine and its operators too`),
    ...lost.map((prefix) => `protected prefix ${prefix} would no longer be protected`),
    ...[...new Set(bare)].map((prefix) => `${prefix} is routed into tunnels but not protected`),
  ];
}

/** A tunnel that began elsewhere would go out by a way that the clear-text guard does not watch. */
function endBreaches(next: NodeConfig): string[] {
  const strays = next.tunnels.filter(({ local }) => !next.uplinks.some((uplink) => uplink.address === local.address && uplink.interface === local.interface));
  return strays.map(({ id, local }) => `tunnel ${id} would start at ${local.address} on ${local.interface}, which is no uplink of this node`);
}

function siteBreaches(next: NodeConfig, current: NodeConfig | null): string[] {
  if (next.uplinks.length === 0) return ['the node would have no uplink'];
  if (next.uplinks.some((uplink) => uplink.interface === next.lan.interface)) return ['the LAN would lie on an uplink'];
  if (next.lan.prefixes.length === 0 || !next.lan.prefixes.every(isPrefix)) return ['the site would have no network of its own'];
  if (!current) return [];
  return [
    ...(current.site === next.site ? [] : [`the node would move from site ${current.site} to ${next.site}`]),
    ...(prefixesOverlap(current.lan.prefixes, next.lan.prefixes) ? [] : [`the site's own network ${current.lan.prefixes.join(', ')} would be gone`]),
    ...(current.uplinks.some((uplink) => next.uplinks.some((other) => other.address === uplink.address)) ? [] : ['every uplink address would change at once']),
    ...(current.uplinks.some((uplink) => next.uplinks.some((other) => other.interface === uplink.interface)) ? [] : ['every uplink would be another interface at once']),
  ];
}

/**
 * The management path: peers are reached past all tunnels, the engine past them or through them. Protected prefixes are
 * unreachable but through tunnels, so one that newly holds a peer's own address ends every tunnel to it, and one that
 * holds the engine's ends all plans, unless a tunnel leads there. What was so before stays a matter of the plan.
 */
function managementBreaches(next: NodeConfig, current: NodeConfig | null, engine: string | null): string[] {
  if (!current || !next.protectedPrefixes.every(isPrefix)) return [];
  const isNewlyProtected = (address: string): boolean => isWithin(next.protectedPrefixes, address) && !isWithin(current.protectedPrefixes, address);
  const peers = [...new Set(next.tunnels.flatMap(({ remote }) => remote.address ?? []))].filter(isNewlyProtected);
  return [...peers.map((address) => `peer ${address} would be a protected address, which nothing but a tunnel reaches`), ...engineBreaches(next, current, engine, isNewlyProtected)];
}

function engineBreaches(next: NodeConfig, current: NodeConfig, engine: string | null, isNewlyProtected: (address: string) => boolean): string[] {
  if (engine === null || !isAddress(engine) || isWithin(next.lan.prefixes, engine) || isSteered(next, engine)) return [];
  if (isSteered(current, engine)) return [`no tunnel would lead to the engine (${engine}) any more`];
  return isNewlyProtected(engine) ? [`the engine (${engine}) would be a protected address, and no tunnel leads to it`] : [];
}

function isSteered({ steering }: NodeConfig, address: string): boolean {
  return steering.some(({ prefixes, lanes }) => isWithin(prefixes.filter(isPrefix), address) && lanes.some(({ tunnels }) => tunnels.length > 0));
}

function isWithin(prefixes: readonly string[], address: string): boolean {
  return prefixContains(prefixes, `${address}/${address.includes(':') ? 128 : 32}`);
}
