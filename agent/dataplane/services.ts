import type { ClassId, NodeConfig, SiteId } from '../../src/model/index.ts';
import type { ServiceCount } from '../ports.ts';
import type { Machine } from './machine.ts';
import { NFT_TABLE } from './names.ts';
import { failed } from './observe.ts';
import { quote } from './rule-words.ts';

/** A port is forgotten so long after it was last counted; longer than from one reading to the next. */
const FORGOTTEN = '15m';
/**
 * Ports of one class at one site beyond so many are not counted, until others are forgotten; of all together so many,
 * though some of each: whatever of the table is listed, nft 1.0.6 may load all of them.
 */
const PORTS = { eachMax: 512, eachMin: 16, allMax: 8_192 };
/** UDP ports from here on are what senders choose for themselves (RFC 6056 §2.1; Linux from here, others higher): a packet to one of them mostly answers somebody. */
const CHOSEN_PORTS = 32_768;

/**
 * One set of destination ports a site and class, each with a counter: of TCP the first packets (SYN without ACK, so also
 * attempts and repetitions), of UDP all packets to ports below `CHOSEN_PORTS`, since nobody knows its flows. No address
 * is kept, and connection tracking is neither needed nor switched on.
 */
export function serviceSets({ countServices, classes }: NodeConfig, sites: readonly SiteId[]): { name: string; lines: string[] }[] {
  if (!countServices) return [];
  const size = Math.min(PORTS.eachMax, Math.max(PORTS.eachMin, Math.floor(PORTS.allMax / (sites.length * classes.length))));
  return sites.flatMap((site) => classes.map(({ id }) => ({ name: servicesSet(site, id), lines: ['type inet_proto . inet_service', 'flags dynamic,timeout', `timeout ${FORGOTTEN}`, `size ${size}`] })));
}

/** In the chain of a class to one site. A full set ends a rule, not the packet's way; a fragment without ports meets neither. */
export function serviceLines({ countServices, lan }: NodeConfig, to: SiteId, classId: ClassId): string[] {
  if (!countServices) return [];
  const count = `update @${servicesSet(to, classId)} { meta l4proto . th dport counter }`;
  return [`tcp flags & (syn | ack) == syn`, `udp dport < ${CHOSEN_PORTS}`].map((met) => `iifname ${quote(lan.interface)} ${met} ${count}`);
}

/** What was counted since a port was first seen, of these pairs; those whose set is not there yet are left out. @throws ForemeshError DATAPLANE_FAILED */
export async function readServices(machine: Machine, pairs: readonly { to: SiteId; classId: ClassId }[]): Promise<ServiceCount[]> {
  const found: ServiceCount[] = [];
  for (const { to, classId } of pairs) {
    const result = await machine.run('nft', ['-j', 'list', 'set', 'inet', NFT_TABLE, servicesSet(to, classId)]);
    if (result.exitCode === 0) found.push(...parseServices(result.stdout.toString('utf8')).map((one) => ({ to, classId, ...one })));
    else if (!result.stderr.includes('No such file')) throw failed('nft list set', result.stderr);
  }
  return found;
}

/** Of one set as `nft -j` lists it. */
export function parseServices(listing: string): { service: string; count: number }[] {
  const { nftables } = JSON.parse(listing) as { nftables: { set?: { elem?: { elem: { val: { concat: [string | number, string | number] }; counter: { packets: number } } }[] } }[] };
  return nftables.flatMap(({ set }) => set?.elem ?? []).flatMap(({ elem: { val, counter } }) => {
    const [protocol, port] = val.concat;
    return (protocol === 'tcp' || protocol === 'udp') && typeof port === 'number' ? [{ service: `${protocol}/${port}`, count: counter.packets }] : [];
  });
}

function servicesSet(to: SiteId, classId: ClassId): string {
  return `s_${to}__${classId}`;
}
