import { hash32 } from '../../src/base/index.ts';
import { NFT_TABLE } from './names.ts';
import type { Chain } from './rule-words.ts';
import type { Ruleset } from './ruleset.ts';

/**
 * The ruleset with chains that can stand beside those of another one: all rules are in regular chains whose names end
 * with a hash of the rules, and base chains do nothing but jump there.
 *
 * A transaction of nft switches the rules of a chain in one instant, but an anonymous set or map that it brings along is
 * found empty until the kernel has finished with the rest of the transaction (Linux 6.18: 0.3 ms, 10 ms on a busy
 * machine; a loop of packets and of `nft -f` shows it). Packets met the new rules and no lane. So what has sets is there,
 * and complete, before base chains lead to it; and never in chains of the same names, where packets may be: an agent that
 * was killed finds its own rules in force.
 * @param taken  names of chains that are there
 */
export function staged(ruleset: Ruleset, taken: readonly string[] = []): Ruleset {
  const bodies = ruleset.chains.map((chain) => (isBase(chain) ? { name: `in_${chain.name}`, lines: chain.lines.slice(1) } : chain));
  const suffix = freeSuffix(JSON.stringify(bodies), taken);
  const renamed = new Set(bodies.map(({ name }) => name));
  const withSuffix = (line: string): string => line.replaceAll(/\b(jump|goto) ([\w./-]+)/g, (text, verb: string, name: string) => (renamed.has(name) ? `${verb} ${name}.${suffix}` : text));
  return {
    ...ruleset,
    chains: [
      ...bodies.map(({ name, lines }) => ({ name: `${name}.${suffix}`, lines: lines.map(withSuffix) })),
      ...ruleset.chains.filter(isBase).map(({ name, lines }) => ({ name, lines: [lines[0]!, `jump in_${name}.${suffix}`] })),
    ],
  };
}

/**
 * The nft transactions that put a staged ruleset in force, to be run one after the other: its regular chains beside those
 * in force; the base chains, each in one instant; and away with what is left over. Counters and sets that both have keep
 * what is in them. When one fails, those before it have changed nothing that packets meet.
 * @param stale  chains, counters and sets of the main table as it is that the new ruleset does not have
 */
export function rulesetTransactions(ruleset: Ruleset, stale: { chains: readonly string[]; counters: readonly string[]; sets: readonly string[] }): string[] {
  const table = `table inet ${NFT_TABLE}`;
  const body = (chains: readonly Chain[]): string[] => chains.map(({ name, lines }) => `\tchain ${name} {\n${lines.map((line) => `\t\t${line}\n`).join('')}\t}`);
  const declared = (chains: readonly Chain[]): Chain[] => chains.map(({ name, lines }) => ({ name, lines: lines.filter((line) => line.startsWith('type ')).slice(0, 1) }));
  const emptied = (chains: readonly Chain[]): string[] => chains.map(({ name }) => `flush chain inet ${NFT_TABLE} ${name}`);
  const regular = ruleset.chains.filter((chain) => !isBase(chain));
  const base = ruleset.chains.filter(isBase);
  const beside = [
    `${table} {`,
    ...ruleset.counters.map((name) => `\tcounter ${name} {\n\t}`),
    ...ruleset.sets.map(({ name, lines }) => `\tset ${name} {\n${lines.map((line) => `\t\t${line}\n`).join('')}\t}`),
    ...body(declared(regular)),
    '}',
    ...emptied(regular),
    `${table} {`,
    ...body(regular),
    '}',
  ];
  const inForce = [
    `${table} {`,
    ...body(declared(base)),
    '}',
    ...emptied(base),
    `${table} {`,
    ...body(base),
    '}',
    `table ip ${NFT_TABLE} {`,
    '}',
    `delete table ip ${NFT_TABLE}`,
    ...(ruleset.ipChains.length > 0 ? [`table ip ${NFT_TABLE} {`, ...body(ruleset.ipChains), '}'] : []),
  ];
  const away = [
    ...stale.chains.map((name) => `flush chain inet ${NFT_TABLE} ${name}`),
    ...stale.chains.map((name) => `delete chain inet ${NFT_TABLE} ${name}`),
    ...stale.counters.map((name) => `delete counter inet ${NFT_TABLE} ${name}`),
    ...stale.sets.map((name) => `delete set inet ${NFT_TABLE} ${name}`),
  ];
  return [beside, inForce, away].filter((lines) => lines.length > 0).map((lines) => [...lines, ''].join('\n'));
}

/** What tells a ruleset from another one. */
export function rulesetKey(ruleset: Ruleset): string {
  return rulesetTransactions(staged(ruleset), { chains: [], counters: [], sets: [] }).join('');
}

function freeSuffix(text: string, taken: readonly string[]): string {
  for (let turn = 0; ; turn++) {
    const suffix = hash32(turn === 0 ? text : `${text}${turn}`).toString(16).padStart(8, '0');
    if (!taken.some((name) => name.endsWith(`.${suffix}`))) return suffix;
  }
}

function isBase({ lines }: Chain): boolean {
  return lines[0]?.startsWith('type ') === true;
}
