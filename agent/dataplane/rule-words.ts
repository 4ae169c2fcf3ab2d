import { prefixContains } from '../../src/base/index.ts';
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

/**
 * The condition of a match with a space behind it, '' for everything.
 * @param marks  what a packet's mark may be for a match by mark: the one that it came with, or later its lane's
 */
export function matchText({ protocol, ports, dscp, prefixes, fwmark }: TrafficMatch, marks?: readonly number[]): string {
  const portSet = ports.length > 0 && protocol !== 'icmp' ? setOf(ports.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`))) : null;
  const parts: string[] = [];
  if (portSet && protocol === 'any') parts.push(`meta l4proto { tcp, udp } th dport ${portSet}`);
  else if (portSet) parts.push(`${protocol} dport ${portSet}`);
  else if (protocol !== 'any') parts.push(`meta l4proto ${protocol}`);
  if (dscp.length > 0) parts.push(`ip dscp ${setOf(dscp.map(String))}`);
  if (prefixes) parts.push(`ip daddr ${setOf(ipv4(prefixes))}`);
  if (fwmark !== undefined) parts.push(`meta mark ${setOf((marks ?? [fwmark]).map(markText))}`);
  return parts.map((part) => `${part} `).join('');
}

/**
 * The conditions of which one has to hold: two for a match by host name, else one. An address counts while its answer
 * holds, and beyond that while packets go to it, so that no flow changes its class half-way.
 * @param touch  whether the packet is to keep its address in use
 */
export function conditionsOf(classId: ClassId, index: number, match: TrafficMatch, { marks, touch = false }: { marks?: readonly number[]; touch?: boolean } = {}): string[] {
  const text = matchText(match, marks);
  if (!match.names) return [text];
  const { learned, used } = nameSets(classId, index);
  return [learned, used].map((set) => `${text}ip daddr @${set} ${touch ? `update @${used} { ip daddr } ` : ''}`);
}

/** The IPv4 ones of these, without those that lie inside another: a set refuses overlapping elements. */
export function ipv4(prefixes: readonly string[]): string[] {
  const four = unique(prefixes.filter((prefix) => !prefix.includes(':')));
  return four.filter((inner) => !four.some((outer) => outer !== inner && prefixContains(outer, inner)));
}

export function setOf(elements: readonly string[]): string {
  return `{ ${elements.join(', ')} }`;
}

export function quote(text: string): string {
  return `"${text}"`;
}

export function unique(texts: readonly string[]): string[] {
  return [...new Set(texts)].sort();
}
