import { familyOf, hash32, type IpFamily, ofFamily } from '../../src/base/index.ts';
import type { NodeConfig, SiteId, TunnelId } from '../../src/model/index.ts';
import type { DataplaneWanted, SteeringLane } from '../ports.ts';
import { assignBuckets } from './buckets.ts';
import { copyingRules } from './copies.ts';
import { driverOf, type TunnelDriver } from './driver.ts';
import { markText, NFT_TABLE, offeredCounter, ownCounters } from './names.ts';
import { serviceLines, serviceSets } from './services.ts';
import { shapingChain } from './shaping.ts';
import { answerRules } from './answers.ts';
import { userLines, userRules } from './users.ts';
import { type Chain, conditionsOf, disjoint, FAMILIES, familiesOf, HEADER, hook, quote, setOf, unique } from './rule-words.ts';

/** Packets to protected destinations that were about to leave in clear text. */
export const LEAK_COUNTER = 'leak';
/** Other forwarded packets that were about to leave through an uplink, e.g. a host that looks for the Internet. */
export const REFUSED_COUNTER = 'refused';

/** What the gateway itself may send and receive through its uplinks besides IKE and ESP. */
export interface ManagementTraffic {
  protocol: 'tcp' | 'udp';
  /** On either side: 22 lets ssh in, 8443 lets the agent out to an engine that listens there. */
  port: number;
}

/** All rules of a node. Counters and the contents of sets outlive rulesets; chains are replaced as a whole. */
export interface Ruleset {
  counters: string[];
  sets: { name: string; lines: string[] }[];
  chains: Chain[];
  /** Of a second table, of family `ip`, for what family `inet` cannot do. */
  ipChains: Chain[];
}

/** Takes both tables away. */
export const NO_TABLES = `delete table inet ${NFT_TABLE}\ntable ip ${NFT_TABLE} {\n}\ndelete table ip ${NFT_TABLE}\n`;

/**
 * The rules that a wanted state asks for:
 * - `prerouting`: by destination site and traffic class, count what hosts offer (before anything can drop it) and mark
 *   the packet with its lane; packets of one flow always get the same one
 * - `forward`: nothing, but the allowed prefix pairs, and only between the LAN and tunnels or between two tunnels
 * - `clamp`: TCP segments that fit into the tunnel
 * - `input`: overlay addresses hear what came out of ESP and nothing else
 * - `leaving`: through an uplink goes what the gateway itself sends as IKE, ESP, pings, neighbour discovery (where the
 *   uplink has an IPv6 address) or management, and nothing else
 * - for classes that are sent twice: see `copyingRules`; that are told by host name: `answerRules`; for queues by class: `shapingChain`
 */
export function buildRuleset(wanted: DataplaneWanted, management: readonly ManagementTraffic[] = [], driver: TunnelDriver = driverOf('libipsec')): Ruleset {
  const { config } = wanted;
  const remoteSites = config.sites.filter((site) => site.id !== config.site && site.prefixes.length > 0);
  const uplinks = config.uplinks.length > 0 ? setOf(config.uplinks.map((uplink) => quote(uplink.interface))) : null;
  const steered = remoteSites.flatMap((site) => steeringChains(site, wanted));
  const copying = copyingRules(wanted);
  const answers = answerRules(config);
  const users = userRules(config, remoteSites.flatMap((site) => site.prefixes));
  const own = driver.countsProbes ? ownTraffic(wanted) : { counters: [], input: [], chains: [] };
  const byDestination = FAMILIES.flatMap((family) => {
    const jumps = remoteSites.flatMap((site) => disjoint(site.prefixes, family).map((prefix) => `${prefix} : jump to_${site.id}`));
    return jumps.length > 0 ? [`${HEADER[family]} daddr vmap ${setOf(jumps)}`] : [];
  });

  return {
    counters: [LEAK_COUNTER, REFUSED_COUNTER, ...remoteSites.flatMap((site) => config.classes.map(({ id }) => offeredCounter(site.id, id))), ...copying.counters, ...own.counters],
    sets: [...copying.sets, ...answers.sets, ...users.sets, ...serviceSets(config, remoteSites.map(({ id }) => id))],
    chains: [
      ...copying.receiving,
      ...steered,
      { name: 'allowed', lines: allowLines(config.allow) },
      { name: 'uplink_out', lines: [...driver.outputLines, ...uplinkLines(wanted, management)] },
      { name: 'prerouting', lines: [hook('prerouting', -150), ...byDestination] },
      { name: 'forward', lines: [hook('forward', 0, 'drop'), ...(uplinks ? forwardedLeakLines(uplinks, wanted) : []), ...forwardLines(config.lan.interface)] },
      { name: 'clamp', lines: [hook('forward', -150), 'oifname "t-*" tcp flags syn tcp option maxseg size set rt mtu'] },
      { name: 'input', lines: [hook('input', 0), ...own.input, ...driver.inputLines(wanted)] },
      ...own.chains,
      ...shapingChain(wanted),
      ...answers.chains,
      ...users.chains,
      { name: 'leaving', lines: [hook('postrouting', 300), ...(uplinks ? [`oifname ${uplinks} goto uplink_out`] : [])] },
    ],
    ipChains: copying.sending,
  };
}

/** The chain that finds the class of a packet to one site, and one chain a class that counts and marks it. */
function steeringChains({ id: site, prefixes }: { id: SiteId; prefixes: readonly string[] }, wanted: DataplaneWanted): Ruleset['chains'] {
  const { classes, lan, node } = wanted.config;
  const families = familiesOf(prefixes);
  const classify: string[] = [];
  let isOpen = true;
  for (const { id, match } of classes) {
    for (const condition of match.flatMap((one, index) => conditionsOf(id, index, one, families, { touch: true }))) {
      if (isOpen) classify.push(`${condition}goto c_${site}__${id}`);
      if (condition === '') isOpen = false; // everything has a class now; rules after it would never be met
    }
  }
  const perClass = classes.map(({ id, dscp }) => ({
    name: `c_${site}__${id}`,
    lines: [
      `iifname ${quote(lan.interface)} counter name ${quote(offeredCounter(site, id))}`,
      ...userLines(wanted.config, id),
      ...serviceLines(wanted.config, site, id),
      ...(dscp === undefined ? [] : families.map((family) => `iifname ${quote(lan.interface)} ${HEADER[family]} dscp set ${dscp}`)),
      ...laneLines(wanted.steering.find((steering) => steering.to === site && steering.classId === id)?.lanes ?? [], families, hash32(`lanes/${node}`)),
    ],
  }));
  return [...perClass, { name: `to_${site}`, lines: classify }];
}

/**
 * Chooses the lane by a hash of addresses and ports; of the addresses alone for protocols without ports and for
 * fragments, whose later parts have none. The seed is fixed (an unseeded one changes with every ruleset, and flows
 * would jump) and differs from node to node (else a relay would split what is already one half of a split again in the
 * same place).
 */
function laneLines(lanes: readonly SteeringLane[], families: readonly IpFamily[], seed: number): string[] {
  const used = lanes.filter((lane) => lane.weight > 0);
  const [only] = used;
  if (only === undefined) return [];
  if (used.length === 1) return [`meta mark set ${markText(only.mark)}`];
  const buckets = assignBuckets(used.map(({ mark, weight, key }) => ({ key: key ?? String(mark), weight }))).map((index) => used[index]!.mark);
  const choose = (fields: string): string => `meta mark set jhash ${fields} mod ${buckets.length} seed ${markText(seed === 0 ? 1 : seed)} map ${setOf(rangesOf(buckets))}`;
  return families.flatMap((family) => {
    const ends = `${HEADER[family]} saddr . ${HEADER[family]} daddr`;
    return [`meta l4proto { tcp, udp, sctp } ${WHOLE[family]} ${choose(`${ends} . th sport . th dport`)} return`, choose(ends)];
  });
}

/** What is true of a packet that is no fragment. */
const WHOLE: Record<IpFamily, string> = { ipv4: 'ip frag-off & 0x3fff == 0', ipv6: 'exthdr frag missing' };

/** `0-4 : 0x1001`: neighbouring buckets of one mark together. */
function rangesOf(buckets: readonly number[]): string[] {
  const starts = buckets.flatMap((mark, bucket) => (bucket === 0 || buckets[bucket - 1] !== mark ? [bucket] : []));
  return starts.map((start, index) => {
    const end = (starts[index + 1] ?? buckets.length) - 1;
    return `${start === end ? start : `${start}-${end}`} : ${markText(buckets[start]!)}`;
  });
}

/** Counts per tunnel what the gateway itself says and hears: not traffic, and in the interface's counters nevertheless. */
function ownTraffic({ interfaces }: DataplaneWanted): { counters: string[]; input: string[]; chains: Chain[] } {
  const tunnels = unique(interfaces.map(({ tunnel }) => tunnel)) as TunnelId[];
  if (tunnels.length === 0) return { counters: [], input: [], chains: [] };
  const mapOf = (counter: 'received' | 'sent'): string => setOf(tunnels.map((tunnel) => `${quote(tunnel)} : ${quote(ownCounters(tunnel)[counter])}`));
  return {
    counters: tunnels.flatMap((tunnel) => Object.values(ownCounters(tunnel))),
    input: [`counter name iifname map ${mapOf('received')}`],
    chains: [{ name: 'own_out', lines: [hook('output', 0), `counter name oifname map ${mapOf('sent')}`] }],
  };
}

function allowLines(allow: NodeConfig['allow']): string[] {
  const pairs = allow.flatMap(({ from, to }) =>
    FAMILIES.flatMap((family) => [
      { family, source: disjoint(from, family), destination: disjoint(to, family) },
      { family, source: disjoint(to, family), destination: disjoint(from, family) },
    ]),
  );
  const lines = pairs
    .filter(({ source, destination }) => source.length > 0 && destination.length > 0)
    .map(({ family, source, destination }) => `${HEADER[family]} saddr ${setOf(source)} ${HEADER[family]} daddr ${setOf(destination)} accept`);
  return [...new Set(lines)];
}

function forwardLines(lan: string): string[] {
  return [`iifname ${quote(lan)} oifname "t-*" jump allowed`, 'iifname "t-*" oifname "t-*" jump allowed', `iifname "t-*" oifname ${quote(lan)} jump allowed`];
}

/** The policy would drop these as well; here they are counted. */
function forwardedLeakLines(uplinks: string, wanted: DataplaneWanted): string[] {
  return [...leakLines(wanted).map((line) => `oifname ${uplinks} ${line}`), `oifname ${uplinks} counter name ${quote(REFUSED_COUNTER)} drop`];
}

function uplinkLines(wanted: DataplaneWanted, management: readonly ManagementTraffic[]): string[] {
  const ends = FAMILIES.flatMap((family) => {
    const own = unique(wanted.config.uplinks.map((uplink) => uplink.address).filter((address) => familyOf(address) === family));
    return own.length === 0 ? [] : [{ family, from: `${HEADER[family]} saddr ${setOf(own)}` }];
  });
  // the router that lends an address behind NAT may well have one out of a protected network
  const hasNat = wanted.config.tunnels.some(({ local }) => local.nat === true);
  return [
    ...ends.flatMap(({ family, from }) => [`${from} udp sport { 500, 4500 } accept`, `${from} meta l4proto esp accept`, ...(hasNat && family === 'ipv4' ? [`${from} udp sport 68 udp dport 67 accept`] : [])]),
    ...leakLines(wanted),
    ...ends.flatMap(({ family, from }) => REST[family].map((line) => line.replace('FROM', from))),
    ...management.flatMap(({ protocol, port }) => [`${protocol} dport ${port} accept`, `${protocol} sport ${port} accept`]),
    'drop',
  ];
}

/**
 * Pings and what an address is got and found by, DHCP, and in IPv6 neighbour and router discovery (RFC 4861) and the
 * multicast groups that it needs (RFC 3810), whose packets come from link-local addresses or none.
 */
const REST: Record<IpFamily, readonly string[]> = {
  ipv4: ['FROM icmp type { echo-request, echo-reply } accept', 'FROM udp sport 68 udp dport 67 accept'],
  ipv6: ['FROM icmpv6 type { echo-request, echo-reply } accept', 'icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report } accept', 'ip6 saddr fe80::/10 udp sport 546 udp dport 547 accept'],
};

/** Overlay addresses are protected like the prefixes that the plan names: VXLAN and probes go through ESP or not at all. */
function leakLines({ config, interfaces }: DataplaneWanted): string[] {
  const destinations = unique([...config.protectedPrefixes, ...config.tunnels.map((tunnel) => tunnel.remote.overlay), ...interfaces.map((tunnel) => tunnel.remoteOverlay)]);
  return FAMILIES.filter((family) => ofFamily(destinations, family).length > 0).map((family) => `${HEADER[family]} daddr ${setOf(disjoint(destinations, family))} counter name ${quote(LEAK_COUNTER)} drop`);
}
