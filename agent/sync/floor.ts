import { isPrefix, prefixContains, prefixesOverlap } from '../../src/base/index.ts';
import type { CryptoSuite, NodeConfig } from '../../src/model/index.ts';

const BROKEN_ENCRYPTION = new Set(['null', '3des']);
const BROKEN_INTEGRITY = new Set(['md5']);
const BROKEN_GROUPS = new Set(['modp768', 'modp1024', 'modp1536']);
const WITH_OWN_INTEGRITY = new Set(['aes128gcm16', 'aes256gcm16', 'chacha20poly1305']);
/** Nothing wider than this is a site: 10.0.0.0/8 and fc00::/7 are the widest private ranges. */
const WIDEST_IPV4_BITS = 8;
const WIDEST_IPV6_BITS = 7;

/**
 * What a node refuses to run whoever signed it, one line each; [] when the config may run. An engine in wrong hands can
 * so neither switch encryption off, nor open the gateway to everything, nor let protected traffic out in clear text,
 * nor take the site's own network away.
 * @param current  what runs now, null on a fresh node
 */
export function floorBreaches(next: NodeConfig, current: NodeConfig | null): string[] {
  return [...cryptoBreaches(next), ...widthBreaches(next), ...guardBreaches(next, current), ...siteBreaches(next, current)];
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
  ];
  return [...new Set(named.flatMap(([what, prefixes]) => prefixes.filter(isTooWide).map((prefix) => `${what} ${prefix} is wider than any site`)))];
}

function isTooWide(prefix: string): boolean {
  const bits = Number(prefix.slice(prefix.indexOf('/') + 1));
  return !isPrefix(prefix) || bits < (prefix.includes(':') ? WIDEST_IPV6_BITS : WIDEST_IPV4_BITS);
}

/** Protected prefixes may grow, never shrink; and what is routed into tunnels must be protected when they fail. */
function guardBreaches(next: NodeConfig, current: NodeConfig | null): string[] {
  if (next.protectedPrefixes.length === 0) return ['no prefix is protected from leaving in clear text'];
  if (!next.protectedPrefixes.every(isPrefix)) return ['a protected prefix is not a prefix'];
  const lost = (current?.protectedPrefixes ?? []).filter((prefix) => !prefixContains(next.protectedPrefixes, prefix));
  const bare = next.steering.flatMap((steering) => steering.prefixes).filter((prefix) => isPrefix(prefix) && !prefixContains(next.protectedPrefixes, prefix));
  return [
    ...lost.map((prefix) => `protected prefix ${prefix} would no longer be protected`),
    ...[...new Set(bare)].map((prefix) => `${prefix} is routed into tunnels but not protected`),
  ];
}

function siteBreaches(next: NodeConfig, current: NodeConfig | null): string[] {
  if (next.uplinks.length === 0) return ['the node would have no uplink'];
  if (next.lan.prefixes.length === 0 || !next.lan.prefixes.every(isPrefix)) return ['the site would have no network of its own'];
  if (!current) return [];
  return [
    ...(current.site === next.site ? [] : [`the node would move from site ${current.site} to ${next.site}`]),
    ...(prefixesOverlap(current.lan.prefixes, next.lan.prefixes) ? [] : [`the site's own network ${current.lan.prefixes.join(', ')} would be gone`]),
    ...(current.uplinks.some((uplink) => next.uplinks.some((other) => other.address === uplink.address)) ? [] : ['every uplink address would change at once']),
  ];
}
