import { type IpFamily, ofFamily, prefixContains } from '../../src/base/index.ts';
import type { ClassId, TrafficMatch } from '../../src/model/index.ts';
import { markText, nameSets } from './names.ts';

/** A chain of nft; the first line of a base chain is its hook. */
export interface Chain {
  name: string;
  lines: string[];
}

export function hook(name: 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting', priority: number, policy: 'accept' | 'drop' = 'accept'): string {
  return `type filter hook ${name} priority ${priority}; policy ${policy};`;
}

/** What nft calls the addresses and the DSCP of a family's header. */
export const HEADER: Record<IpFamily, 'ip' | 'ip6'> = { ipv4: 'ip', ipv6: 'ip6' };

/**
 * The conditions of a match, each with a space behind it, '' for everything: one, or one for each of the families where
 * it asks for something that they write differently; [] when it fits none of them.
 * @param marks  what a packet's mark may be for a match by mark: the one that it came with, or later its lane's
 */
function matchTexts(match: TrafficMatch, families: readonly IpFamily[], marks?: readonly number[]): string[] {
  const { protocol, dscp, prefixes } = match;
  const isSameForAll = dscp.length === 0 && !prefixes && protocol !== 'icmp';
  if (isSameForAll) return [matchText(match, 'ipv4', marks)];
  return families.filter((family) => !prefixes || ofFamily(prefixes, family).length > 0).map((family) => matchText(match, family, marks));
}

function matchText({ protocol, ports, dscp, prefixes, fwmark }: TrafficMatch, family: IpFamily, marks?: readonly number[]): string {
  const portSet = ports.length > 0 && protocol !== 'icmp' ? setOf(ports.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`))) : null;
  const parts: string[] = [];
  if (portSet && protocol === 'any') parts.push(`meta l4proto { tcp, udp } th dport ${portSet}`);
  else if (portSet) parts.push(`${protocol} dport ${portSet}`);
  else if (protocol === 'icmp' && family === 'ipv6') parts.push('meta l4proto ipv6-icmp');
  else if (protocol !== 'any') parts.push(`meta l4proto ${protocol}`);
  if (dscp.length > 0) parts.push(`${HEADER[family]} dscp ${setOf(dscp.map(String))}`);
  if (prefixes) parts.push(`${HEADER[family]} daddr ${setOf(disjoint(prefixes, family))}`);
  if (fwmark !== undefined) parts.push(`meta mark ${setOf((marks ?? [fwmark]).map(markText))}`);
  return parts.map((part) => `${part} `).join('');
}

/**
 * The conditions of which one has to hold: as `matchTexts`, and two for a match by host name. An address counts while its
 * answer holds, and beyond that while packets go to it, so that no flow changes its class half-way. Names are learned
 * from answers with IPv4 addresses alone.
 * @param touch  whether the packet is to keep its address in use
 */
export function conditionsOf(classId: ClassId, index: number, match: TrafficMatch, families: readonly IpFamily[], { marks, touch = false }: { marks?: readonly number[]; touch?: boolean } = {}): string[] {
  if (!match.names) return matchTexts(match, families, marks);
  const { learned, used } = nameSets(classId, index);
  return matchTexts(match, ['ipv4'], marks).flatMap((text) => [learned, used].map((set) => `${text}ip daddr @${set} ${touch ? `update @${used} { ip daddr } ` : ''}`));
}

/** Those of one family, without the ones that lie inside another: a set refuses overlapping elements. */
export function disjoint(prefixes: readonly string[], family: IpFamily): string[] {
  const alike = unique(ofFamily(prefixes, family));
  return alike.filter((inner) => !alike.some((outer) => outer !== inner && prefixContains(outer, inner)));
}

/** Those of IPv4 alone, likewise. */
export function ipv4(prefixes: readonly string[]): string[] {
  return disjoint(prefixes, 'ipv4');
}

/** The families that are among these, IPv4 first; IPv4 where there is nothing. */
export function familiesOf(prefixes: readonly string[]): IpFamily[] {
  const found = FAMILIES.filter((family) => ofFamily(prefixes, family).length > 0);
  return found.length > 0 ? found : ['ipv4'];
}

export const FAMILIES: readonly IpFamily[] = ['ipv4', 'ipv6'];

export function setOf(elements: readonly string[]): string {
  return `{ ${elements.join(', ')} }`;
}

export function quote(text: string): string {
  return `"${text}"`;
}

export function unique(texts: readonly string[]): string[] {
  return [...new Set(texts)].sort();
}
