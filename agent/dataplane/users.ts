import type { ClassId, NodeConfig } from '../../src/model/index.ts';
import type { DataplaneCounters } from '../ports.ts';
import type { Machine } from './machine.ts';
import { NFT_TABLE } from './names.ts';
import { failed } from './observe.ts';
import { type Chain, hook, ipv4, quote, setOf } from './rule-words.ts';

/** A host counts as active for this long after its last packet to another site. */
const ACTIVE = '5m';
/** More hosts than this in one class or role count as this many: listing a set costs time. */
const HOSTS_MAX = 4096;

interface UserRules {
  sets: { name: string; lines: string[] }[];
  chains: Chain[];
}

/** Sets of active hosts by class and by role, where these may be counted. A host may be of several roles. Addresses stay in the kernel: only the sizes of the sets are reported. */
export function userRules(config: NodeConfig, remotePrefixes: readonly string[]): UserRules {
  const { countUsers, classes, lan } = config;
  if (!countUsers) return { sets: [], chains: [] };
  const destinations = ipv4(remotePrefixes);
  const roles = countUsers.roles.filter(({ prefixes }) => ipv4(prefixes).length > 0);
  const names = [...classes.map(({ id }) => usersSet('class', id)), ...roles.map(({ name }) => usersSet('role', name))];
  return {
    sets: names.map((name) => ({ name, lines: ['type ipv4_addr', 'flags dynamic,timeout', `timeout ${ACTIVE}`, `size ${HOSTS_MAX}`] })),
    chains:
      roles.length === 0 || destinations.length === 0
        ? []
        : [{ name: 'roles', lines: [hook('prerouting', -152), ...roles.map(({ name, prefixes }) => `iifname ${quote(lan.interface)} ip daddr ${setOf(destinations)} ip saddr ${setOf(ipv4(prefixes))} update @${usersSet('role', name)} { ip saddr }`)] }],
  };
}

/** In the chain of a class. */
export function userLines({ countUsers, lan }: NodeConfig, classId: ClassId): string[] {
  return countUsers ? [`iifname ${quote(lan.interface)} update @${usersSet('class', classId)} { ip saddr }`] : [];
}

/** How many hosts each set holds now; those whose set is not there yet are left out. @throws ForemeshError DATAPLANE_FAILED */
export async function readUsers(machine: Machine, { classes, countUsers }: NodeConfig): Promise<NonNullable<DataplaneCounters['users']>> {
  const groups = [...classes.map(({ id }) => ({ group: 'class' as const, name: id as string })), ...(countUsers?.roles ?? []).map(({ name }) => ({ group: 'role' as const, name }))];
  const found: NonNullable<DataplaneCounters['users']> = [];
  for (const { group, name } of groups) {
    const result = await machine.run('nft', ['-j', 'list', 'set', 'inet', NFT_TABLE, usersSet(group, name)]);
    if (result.exitCode === 0) found.push({ group, name, hosts: countElements(result.stdout.toString('utf8')) });
    else if (!result.stderr.includes('No such file')) throw failed('nft list set', result.stderr);
  }
  return found;
}

function countElements(listing: string): number {
  const { nftables } = JSON.parse(listing) as { nftables: { set?: { elem?: unknown[] } }[] };
  return nftables.reduce((sum, { set }) => sum + (set?.elem?.length ?? 0), 0);
}

function usersSet(group: 'class' | 'role', name: string): string {
  return `users_${group}__${name}`;
}
