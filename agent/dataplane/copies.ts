import type { DataplaneWanted } from '../ports.ts';
import { copyAlias, markText } from './names.ts';
import { type Chain, conditionsOf, disjoint, hook, quote, setOf } from './rule-words.ts';

/** Second copies that came after the first and were dropped. */
export const DEDUPLICATED_COUNTER = 'deduplicated';
/** A copy arrives within this after the other, or counts as another packet: more than two paths differ in delay, queues included. */
const REMEMBERED = '1s';
/** Packets remembered at a time; rate times (timeout and collection interval, 2 s): good for 65 000 packets a second. More are passed on twice, none is lost. */
const SET_SIZE = 131_072;
/** The header bit that RFC 791 reserves, set on second copies between our gateways and nowhere else. */
const COPY_BIT = '0x8000';
const WHOLE_PACKETS = 'ip frag-off & 0x3fff == 0 meta l4proto { tcp, udp, icmp }';
/** With the first 16 bytes of TCP's header (ports, sequence and acknowledgement numbers, flags, window). */
const TCP_KEY = 'ip saddr . ip daddr . ip id . @th,0,128';
/** With the first 8 bytes of UDP's or ICMP's header, checksum included, which covers what is inside. */
const KEY = 'ip saddr . ip daddr . ip id . @th,0,64';

/**
 * Sending twice and passing on once, in the kernel. A packet of a lane with copies is cloned after it was allowed, so
 * that nothing is copied that would not be forwarded; the clone is routed by the lane's alias address and gets the
 * reserved header bit. The receiver remembers packets without the bit and packets with it in sets of their own and drops
 * a packet whose partner it remembers, with the memory of it: so two equal packets of a host stay two, whichever
 * tunnel they take. Of what it knows nothing it passes everything on. Only whole TCP, UDP and ICMP packets are copied:
 * a fragment cannot be told by its ports. IPv6 is sent once: its header has neither the bit nor an identification.
 */
export interface Copying {
  /** For the table of family `ip`, since `dup` exists in no `inet` one. */
  sending: Chain[];
  /** For the main table. */
  receiving: Chain[];
  sets: { name: string; lines: string[] }[];
  counters: string[];
}

export function copyingRules({ config, lanes }: DataplaneWanted): Copying {
  const aliases = [...new Map(lanes.flatMap(({ mark, copy }) => (copy === undefined ? [] : [[mark, `${markText(mark)} : ${copyAlias(mark)}`] as const]))).values()];
  const marks = setOf(aliases.map((alias) => alias.split(' ')[0]!));
  const sending: Chain[] =
    aliases.length === 0
      ? []
      : [
          { name: 'copy', lines: [hook('forward', 10), `iifname ${quote(config.lan.interface)} oifname "t-*" ${WHOLE_PACKETS} dup to meta mark map ${setOf(aliases)}`] },
          { name: 'tell_copies', lines: [hook('output', -150), `oifname "t-*" meta mark ${marks} ip frag-off set 0xc000`] },
        ];
  const own = disjoint(config.lan.prefixes, 'ipv4');
  if (!receivesCopies(config)) return { sending, receiving: [], sets: [], counters: [] };
  return {
    sending,
    receiving: [
      { name: 'once_copy', lines: ['ip frag-off set 0x4000', ...passOnce('originals', 'copies')] },
      { name: 'once', lines: [`ip frag-off & ${COPY_BIT} != 0 goto once_copy`, ...passOnce('copies', 'originals')] },
      { name: 'arriving', lines: arrivingLines(config.classes) },
      { name: 'deduplicate', lines: [hook('prerouting', -160), `iifname "t-*" ip daddr ${setOf(own)} ${WHOLE_PACKETS} jump arriving`] },
    ],
    sets: ['originals', 'copies'].flatMap((name) => [setOfPackets(name, KEY), setOfPackets(`${name}_tcp`, TCP_KEY)]),
    counters: [DEDUPLICATED_COUNTER],
  };
}

/** True when packets may come twice for hosts behind this gateway. */
export function receivesCopies({ classes, lan }: DataplaneWanted['config']): boolean {
  return classes.some(({ duplicate }) => duplicate) && disjoint(lan.prefixes, 'ipv4').length > 0;
}

/** Drops what is the partner of a remembered packet, and remembers the rest. */
function passOnce(partners: string, mine: string): string[] {
  const drop = (set: string, key: string): string => `${key} @${set} delete @${set} { ${key} } counter name ${quote(DEDUPLICATED_COUNTER)} drop`;
  return [
    `meta l4proto tcp ${drop(`${partners}_tcp`, TCP_KEY)}`,
    `meta l4proto tcp add @${mine}_tcp { ${TCP_KEY} } return`,
    drop(partners, KEY),
    `add @${mine} { ${KEY} }`,
  ];
}

/** Finds the class as the sender did, as far as the last one that is sent twice. */
function arrivingLines(classes: DataplaneWanted['config']['classes']): string[] {
  const last = classes.findLastIndex(({ duplicate }) => duplicate);
  const lines: string[] = [];
  for (const { id, match, duplicate } of classes.slice(0, last + 1)) {
    for (const condition of match.flatMap((one, index) => conditionsOf(id, index, one, ['ipv4']))) {
      lines.push(`${condition}${duplicate ? 'goto once' : 'return'}`);
      if (condition === '') return lines;
    }
  }
  return lines;
}

function setOfPackets(name: string, key: string): Copying['sets'][number] {
  return { name, lines: [`typeof ${key}`, 'flags dynamic,timeout', `timeout ${REMEMBERED}`, 'gc-interval 1s', `size ${SET_SIZE}`] };
}
