import { prefixContains } from '../../src/base/index.ts';
import type { NodeConfig } from '../../src/model/index.ts';
import type { LearnedAddress, NamePort } from '../ports.ts';
import { listenForAnswers } from './answer-sockets.ts';
import { failed } from './observe.ts';
import type { Machine } from './machine.ts';
import { answerPort, nameSets, NFT_TABLE } from './names.ts';
import { type Chain, hook, ipv4, quote, setOf } from './rule-words.ts';

/** Resolvers whose answers come here while the agent lives: an element lasts `DIVERTED_SECONDS` and is renewed by the agent. */
const DIVERTED_SET = 'diverted';
/** A dead or stuck agent takes answers from hosts for this long at most; then they pass by it. */
const DIVERTED_SECONDS = 5;
/** An address stays in its class for this long after the last packet to it, whatever its answer said. */
const IN_USE = '10m';
const LEARNED_MAX = 4096;

export interface AnswerRules {
  sets: { name: string; lines: string[] }[];
  chains: Chain[];
}

/** Where the agent hears answers; null when the node has no address for it, or nothing to learn. */
export function answerAddress({ node, serving, lan, resolvers, classes }: NodeConfig): string | null {
  if (!resolvers || !classes.some(({ match }) => match.some(({ names }) => names !== undefined))) return null;
  const own = lan.shared?.members.find((member) => member.node === node)?.address;
  return own ?? (serving && !lan.shared ? lan.address.split('/')[0]! : null);
}

/**
 * Shows the agent what resolvers answer to hosts of the site before the hosts get it. An answer that comes out of a
 * tunnel, or from a resolver on the gateway, is handed to the agent's socket with the host's address and port as its
 * sender; what the agent sends there leaves with the resolver's. Addresses and ports are rewritten packet by packet:
 * there is no state, so the moment that `diverted` runs empty answers go straight to hosts again. Queries are never
 * touched. To the socket itself nobody can send: packets to it are dropped unless these rules made them.
 */
export function answerRules(config: NodeConfig): AnswerRules {
  const sets = config.classes.flatMap(({ id, match }) => match.flatMap(({ names }, index) => (names ? setsOf(nameSets(id, index)) : [])));
  const address = answerAddress(config);
  const hosts = ipv4(config.lan.prefixes);
  if (address === null || hosts.length === 0) return { sets, chains: [] };
  const resolvers = (config.resolvers ?? []).map((resolver, index) => ({ resolver, port: answerPort(index), isOwn: hosts.some((prefix) => prefixContains(prefix, `${resolver}/32`)) }));
  const ports = setOf(resolvers.map(({ port }) => String(port)));
  const divert = (resolver: string, port: number): string =>
    `ip saddr ${resolver} ip saddr @${DIVERTED_SET} udp sport 53 ip daddr ${setOf(hosts)} ip daddr != ${address} ip frag-off & 0x3fff == 0 ip saddr set ip daddr udp sport set udp dport udp dport set ${port} ip daddr set ${address} accept`;
  return {
    sets: [...sets, { name: DIVERTED_SET, lines: ['type ipv4_addr', 'flags timeout'] }],
    chains: [
      {
        name: 'answers',
        lines: [
          hook('prerouting', -155),
          `iifname != "lo" ip daddr ${address} udp dport ${ports} drop`,
          ...resolvers.filter(({ isOwn }) => !isOwn).map(({ resolver, port }) => `iifname "t-*" ${divert(resolver, port)}`),
        ],
      },
      {
        name: 'own_answers',
        lines: [
          hook('output', -155).replace('type filter', 'type route'),
          ...resolvers.map(({ resolver, port }) => `ip saddr ${address} udp sport ${port} ip saddr set ${resolver} udp sport set 53 accept`),
          ...resolvers.filter(({ isOwn }) => isOwn).map(({ resolver, port }) => `oifname ${quote(config.lan.interface)} ${divert(resolver, port)}`),
        ],
      },
    ],
  };
}

/** The kernel's side of learning names: the sets behind `answerRules`, one nft transaction a call. @throws ForemeshError DATAPLANE_FAILED, also while the rules are not there yet */
export function createNamePort(machine: Machine): NamePort {
  const transact = async (lines: readonly string[]): Promise<void> => {
    const result = await machine.run('nft', ['-f', '-'], `${lines.join('\n')}\n`);
    if (result.exitCode !== 0) throw failed('nft add element', result.stderr);
  };
  return {
    addressOf: answerAddress,
    listen: listenForAnswers,
    divert: (resolvers, isWanted) => transact(resolvers.flatMap((resolver) => [...without(DIVERTED_SET, resolver), ...(isWanted ? [withTimeout(DIVERTED_SET, resolver, DIVERTED_SECONDS)] : [])])),
    async learn(learned, forgotten) {
      const lines = [
        ...forgotten.flatMap((one) => Object.values(setsFor(one)).flatMap((set) => without(set, one.address))),
        ...learned.flatMap((one) => [...without(setsFor(one).learned, one.address), withTimeout(setsFor(one).learned, one.address, one.ttlSeconds)]),
      ];
      if (lines.length > 0) await transact(lines);
    },
  };
}

function setsFor({ classId, match }: Pick<LearnedAddress, 'classId' | 'match'>): ReturnType<typeof nameSets> {
  return nameSets(classId, match);
}

/** Adding what is there does not renew it, and deleting what is not there fails: so it is added, deleted and, where wanted, added. */
function without(set: string, address: string): string[] {
  return [`add element inet ${NFT_TABLE} ${set} { ${address} timeout 1s }`, `delete element inet foremesh ${set} { ${address} }`];
}

function withTimeout(set: string, address: string, seconds: number): string {
  return `add element inet ${NFT_TABLE} ${set} { ${address} timeout ${seconds}s }`;
}

/** The second has room for what is in the first and what it does not hold any more: a packet must not lose its class because a set is full. */
function setsOf({ learned, used }: ReturnType<typeof nameSets>): AnswerRules['sets'] {
  return [
    { name: learned, lines: ['type ipv4_addr', 'flags timeout', `size ${LEARNED_MAX}`] },
    { name: used, lines: ['type ipv4_addr', 'flags dynamic,timeout', `timeout ${IN_USE}`, `size ${4 * LEARNED_MAX}`] },
  ];
}
