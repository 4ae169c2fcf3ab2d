import { describe, expect, it } from 'vitest';
import { buildRuleset, parseServices, rulesetKey } from '../../../agent/dataplane/index.ts';
import type { DataplaneWanted } from '../../../agent/ports.ts';
import { siteId } from '../../../src/model/index.ts';
import { CONFIG, WANTED } from './support.ts';

const counting: DataplaneWanted = { ...WANTED, config: { ...CONFIG, countServices: true } };
const chainOf = (wanted: DataplaneWanted, name: string): string[] => buildRuleset(wanted).chains.find((chain) => chain.name === name)!.lines;

describe('counting by destination port', () => {
  it('is in the rules only where the mesh permits it', () => {
    expect(rulesetKey(buildRuleset(WANTED))).not.toMatch(/s_paris|th dport counter/);
    expect(buildRuleset(counting).sets.map(({ name }) => name)).toEqual(['s_paris__voice', 's_paris__bulk']);
  });

  it('takes first packets of TCP, and of UDP those to ports that senders do not choose, from hosts alone, and ends no packet’s way', () => {
    const lines = chainOf(counting, 'c_paris__voice');
    const count = 'update @s_paris__voice { meta l4proto . th dport counter }';
    expect(lines.slice(0, 3)).toEqual(['iifname "lan" counter name "o_paris__voice"', `iifname "lan" tcp flags & (syn | ack) == syn ${count}`, `iifname "lan" udp dport < 32768 ${count}`]);
    expect(lines.slice(3)).toEqual(chainOf(WANTED, 'c_paris__voice').slice(1));
  });

  it('keeps ports and no addresses, so many of a pair and class, and of all together', () => {
    for (const { lines } of buildRuleset(counting).sets) expect(lines).toEqual(['type inet_proto . inet_service', 'flags dynamic,timeout', 'timeout 15m', 'size 512']);
    const sizeWith = (others: number): string | undefined => {
      const sites = [...CONFIG.sites, ...Array.from({ length: others }, (_, index) => ({ id: siteId(`s${index}`), prefixes: [`10.9.${index}.0/24`] }))];
      return buildRuleset({ ...counting, config: { ...counting.config, sites } }).sets.at(-1)!.lines.at(-1);
    };
    expect([sizeWith(7), sizeWith(8), sizeWith(74), sizeWith(255)]).toEqual(['size 512', 'size 455', 'size 54', 'size 16']);
  });

  it('has the same two rules for a site of both families', () => {
    const both = { ...counting, config: { ...counting.config, sites: [...CONFIG.sites, { id: siteId('rome'), prefixes: ['10.3.0.0/24', '2001:db8:3::/48'] }] } };
    expect(chainOf(both, 'c_rome__bulk').filter((line) => line.includes('@s_rome__bulk'))).toHaveLength(2);
  });

  it('is read as nft 1.0.6 lists it', () => {
    const elem = (protocol: string | number, port: number, packets: number) => ({ elem: { val: { concat: [protocol, port] }, expires: 899, counter: { packets, bytes: 60 } } });
    const listing = { nftables: [{ metainfo: { version: '1.0.6' } }, { set: { family: 'inet', name: 's_paris__bulk', table: 'foremesh', elem: [elem('udp', 53, 100), elem('tcp', 443, 7), elem(132, 9, 1)] } }] };
    expect(parseServices(JSON.stringify(listing))).toEqual([{ service: 'udp/53', count: 100 }, { service: 'tcp/443', count: 7 }]);
    expect(parseServices('{"nftables":[{"set":{"name":"s_paris__bulk"}}]}')).toEqual([]);
  });
});
