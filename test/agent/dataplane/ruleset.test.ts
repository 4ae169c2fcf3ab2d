import { describe, expect, it } from 'vitest';
import { buildRuleset, checkWanted, rulesetKey, rulesetTransactions, staged } from '../../../agent/dataplane/index.ts';
import type { DataplaneWanted } from '../../../agent/ports.ts';
import { ForemeshError } from '../../../src/base/index.ts';
import { classId, type NodeConfig, siteId, type TrafficMatch, type TunnelId } from '../../../src/model/index.ts';
import { CONFIG, SHARED_LAN, WANTED } from './support.ts';

function chain(wanted: DataplaneWanted, name: string, management: { protocol: 'tcp' | 'udp'; port: number }[] = []): string[] {
  return buildRuleset(wanted, management).chains.find((one) => one.name === name)?.lines ?? [];
}

describe('the ruleset', () => {
  it('brings no set or map with the transaction that packets notice: the kernel finds new ones empty for a moment', () => {
    const [beside, inForce, ...away] = rulesetTransactions(staged(buildRuleset(WANTED)), { chains: [], counters: [], sets: [] });
    expect(away).toEqual([]);
    expect(beside).not.toContain('type filter hook');
    expect(beside).toMatch(/vmap \{/);
    const [inet] = inForce!.split('table ip ');
    expect(inet).not.toMatch(/[{] .* [}]/);
    const jumps = [...inet!.matchAll(/^\t\tjump (\S+)$/gm)].map((match) => match[1]);
    expect(jumps).not.toEqual([]);
    for (const name of jumps) expect(beside).toContain(`chain ${name} {`);
  });

  it('is laid beside the one in force, taken by the base chains in one transaction, and only then is the old one taken away', () => {
    expect(rulesetTransactions(staged(buildRuleset(WANTED)), { chains: ['to_rome'], counters: ['o_rome__bulk'], sets: ['spare'] }).join('# next\n')).toMatchInlineSnapshot(`
      "table inet foremesh {
      	counter leak {
      	}
      	counter refused {
      	}
      	counter o_paris__voice {
      	}
      	counter o_paris__bulk {
      	}
      	chain c_paris__voice.db6953a9 {
      	}
      	chain c_paris__bulk.db6953a9 {
      	}
      	chain to_paris.db6953a9 {
      	}
      	chain allowed.db6953a9 {
      	}
      	chain uplink_out.db6953a9 {
      	}
      	chain in_prerouting.db6953a9 {
      	}
      	chain in_forward.db6953a9 {
      	}
      	chain in_clamp.db6953a9 {
      	}
      	chain in_input.db6953a9 {
      	}
      	chain in_leaving.db6953a9 {
      	}
      }
      flush chain inet foremesh c_paris__voice.db6953a9
      flush chain inet foremesh c_paris__bulk.db6953a9
      flush chain inet foremesh to_paris.db6953a9
      flush chain inet foremesh allowed.db6953a9
      flush chain inet foremesh uplink_out.db6953a9
      flush chain inet foremesh in_prerouting.db6953a9
      flush chain inet foremesh in_forward.db6953a9
      flush chain inet foremesh in_clamp.db6953a9
      flush chain inet foremesh in_input.db6953a9
      flush chain inet foremesh in_leaving.db6953a9
      table inet foremesh {
      	chain c_paris__voice.db6953a9 {
      		iifname "lan" counter name "o_paris__voice"
      		meta mark set 0x3ea
      	}
      	chain c_paris__bulk.db6953a9 {
      		iifname "lan" counter name "o_paris__bulk"
      		meta l4proto { tcp, udp, sctp } ip frag-off & 0x3fff == 0 meta mark set jhash ip saddr . ip daddr . th sport . th dport mod 100 seed 0xe0f1e39a map { 0-1 : 0x3ea, 2-6 : 0x3e9, 7 : 0x3ea, 8-13 : 0x3e9, 14 : 0x3ea, 15 : 0x3e9, 16-17 : 0x3ea, 18-20 : 0x3e9, 21 : 0x3ea, 22 : 0x3e9, 23 : 0x3ea, 24 : 0x3e9, 25 : 0x3ea, 26 : 0x3e9, 27 : 0x3ea, 28-30 : 0x3e9, 31 : 0x3ea, 32 : 0x3e9, 33 : 0x3ea, 34-35 : 0x3e9, 36 : 0x3ea, 37-40 : 0x3e9, 41-44 : 0x3ea, 45 : 0x3e9, 46 : 0x3ea, 47-51 : 0x3e9, 52 : 0x3ea, 53-55 : 0x3e9, 56-60 : 0x3ea, 61 : 0x3e9, 62 : 0x3ea, 63-64 : 0x3e9, 65 : 0x3ea, 66-67 : 0x3e9, 68-72 : 0x3ea, 73-77 : 0x3e9, 78 : 0x3ea, 79 : 0x3e9, 80 : 0x3ea, 81-85 : 0x3e9, 86-88 : 0x3ea, 89-91 : 0x3e9, 92 : 0x3ea, 93-94 : 0x3e9, 95 : 0x3ea, 96 : 0x3e9, 97-98 : 0x3ea, 99 : 0x3e9 } return
      		meta mark set jhash ip saddr . ip daddr mod 100 seed 0xe0f1e39a map { 0-1 : 0x3ea, 2-6 : 0x3e9, 7 : 0x3ea, 8-13 : 0x3e9, 14 : 0x3ea, 15 : 0x3e9, 16-17 : 0x3ea, 18-20 : 0x3e9, 21 : 0x3ea, 22 : 0x3e9, 23 : 0x3ea, 24 : 0x3e9, 25 : 0x3ea, 26 : 0x3e9, 27 : 0x3ea, 28-30 : 0x3e9, 31 : 0x3ea, 32 : 0x3e9, 33 : 0x3ea, 34-35 : 0x3e9, 36 : 0x3ea, 37-40 : 0x3e9, 41-44 : 0x3ea, 45 : 0x3e9, 46 : 0x3ea, 47-51 : 0x3e9, 52 : 0x3ea, 53-55 : 0x3e9, 56-60 : 0x3ea, 61 : 0x3e9, 62 : 0x3ea, 63-64 : 0x3e9, 65 : 0x3ea, 66-67 : 0x3e9, 68-72 : 0x3ea, 73-77 : 0x3e9, 78 : 0x3ea, 79 : 0x3e9, 80 : 0x3ea, 81-85 : 0x3e9, 86-88 : 0x3ea, 89-91 : 0x3e9, 92 : 0x3ea, 93-94 : 0x3e9, 95 : 0x3ea, 96 : 0x3e9, 97-98 : 0x3ea, 99 : 0x3e9 }
      	}
      	chain to_paris.db6953a9 {
      		udp dport { 5000-5099, 6000 } ip dscp { 46 } goto c_paris__voice.db6953a9
      		goto c_paris__bulk.db6953a9
      	}
      	chain allowed.db6953a9 {
      		ip saddr { 10.1.0.0/24 } ip daddr { 10.2.0.0/24 } accept
      		ip saddr { 10.2.0.0/24 } ip daddr { 10.1.0.0/24 } accept
      	}
      	chain uplink_out.db6953a9 {
      		ip saddr { 100.64.1.1, 100.64.2.1 } udp sport { 500, 4500 } accept
      		ip saddr { 100.64.1.1, 100.64.2.1 } meta l4proto esp accept
      		ip daddr { 10.0.0.0/8, 172.30.0.1, 172.30.0.3 } counter name "leak" drop
      		ip saddr { 100.64.1.1, 100.64.2.1 } icmp type { echo-request, echo-reply } accept
      		ip saddr { 100.64.1.1, 100.64.2.1 } udp sport 68 udp dport 67 accept
      		drop
      	}
      	chain in_prerouting.db6953a9 {
      		ip daddr vmap { 10.2.0.0/24 : jump to_paris.db6953a9 }
      	}
      	chain in_forward.db6953a9 {
      		oifname { "isp1", "isp2" } ip daddr { 10.0.0.0/8, 172.30.0.1, 172.30.0.3 } counter name "leak" drop
      		oifname { "isp1", "isp2" } counter name "refused" drop
      		iifname "lan" oifname "t-*" jump allowed.db6953a9
      		iifname "t-*" oifname "t-*" jump allowed.db6953a9
      		iifname "t-*" oifname "lan" jump allowed.db6953a9
      	}
      	chain in_clamp.db6953a9 {
      		oifname "t-*" tcp flags syn tcp option maxseg size set rt mtu
      	}
      	chain in_input.db6953a9 {
      		ip daddr { 172.30.0.0, 172.30.0.2 } iifname != { "ipsec0", "lo" } drop
      	}
      	chain in_leaving.db6953a9 {
      		oifname { "isp1", "isp2" } goto uplink_out.db6953a9
      	}
      }
      # next
      table inet foremesh {
      	chain prerouting {
      		type filter hook prerouting priority -150; policy accept;
      	}
      	chain forward {
      		type filter hook forward priority 0; policy drop;
      	}
      	chain clamp {
      		type filter hook forward priority -150; policy accept;
      	}
      	chain input {
      		type filter hook input priority 0; policy accept;
      	}
      	chain leaving {
      		type filter hook postrouting priority 300; policy accept;
      	}
      }
      flush chain inet foremesh prerouting
      flush chain inet foremesh forward
      flush chain inet foremesh clamp
      flush chain inet foremesh input
      flush chain inet foremesh leaving
      table inet foremesh {
      	chain prerouting {
      		type filter hook prerouting priority -150; policy accept;
      		jump in_prerouting.db6953a9
      	}
      	chain forward {
      		type filter hook forward priority 0; policy drop;
      		jump in_forward.db6953a9
      	}
      	chain clamp {
      		type filter hook forward priority -150; policy accept;
      		jump in_clamp.db6953a9
      	}
      	chain input {
      		type filter hook input priority 0; policy accept;
      		jump in_input.db6953a9
      	}
      	chain leaving {
      		type filter hook postrouting priority 300; policy accept;
      		jump in_leaving.db6953a9
      	}
      }
      table ip foremesh {
      }
      delete table ip foremesh
      # next
      flush chain inet foremesh to_rome
      delete chain inet foremesh to_rome
      delete counter inet foremesh o_rome__bulk
      delete set inet foremesh spare
      "
    `);
  });

  it('clones packets of lanes with copies and passes the first of each on, telling classes as the sender does', () => {
    const [voice, bulk] = CONFIG.classes;
    const config = { ...CONFIG, classes: [{ id: classId('games'), priority: 0, match: [{ protocol: 'udp' as const, ports: [{ from: 9, to: 9 }], dscp: [] }] }, { ...voice!, duplicate: true as const }, bulk!] };
    const twice: DataplaneWanted = { ...WANTED, config, lanes: [WANTED.lanes[0]!, { ...WANTED.lanes[1]!, copy: null }] };
    const ruleset = buildRuleset(twice);
    expect(ruleset.ipChains).toEqual([
      { name: 'copy', lines: ['type filter hook forward priority 10; policy accept;', 'iifname "lan" oifname "t-*" ip frag-off & 0x3fff == 0 meta l4proto { tcp, udp, icmp } dup to meta mark map { 0x3ea : 240.0.3.234 }'] },
      { name: 'tell_copies', lines: ['type filter hook output priority -150; policy accept;', 'oifname "t-*" meta mark { 0x3ea } ip frag-off set 0xc000'] },
    ]);
    expect(chain(twice, 'arriving')).toEqual(['udp dport { 9 } return', 'udp dport { 5000-5099, 6000 } ip dscp { 46 } goto once']);
    expect(chain(twice, 'deduplicate')).toEqual(['type filter hook prerouting priority -160; policy accept;', 'iifname "t-*" ip daddr { 10.1.0.0/24 } ip frag-off & 0x3fff == 0 meta l4proto { tcp, udp, icmp } jump arriving']);
    expect(ruleset.sets.map(({ name }) => name)).toEqual(['originals', 'originals_tcp', 'copies', 'copies_tcp']);
    // a receiver is ready before it sends twice itself, and who has no such class has nothing of this
    expect(buildRuleset({ ...twice, lanes: WANTED.lanes })).toMatchObject({ ipChains: [], sets: ruleset.sets });
    expect(buildRuleset(WANTED)).toMatchObject({ ipChains: [], sets: [] });
  });

  it('chooses lanes by weight, with the same choice for the same node and another for another', () => {
    const lines = chain(WANTED, 'c_paris__bulk');
    expect(lines).toHaveLength(3);
    expect(lines[2]).toMatch(/^meta mark set jhash ip saddr \. ip daddr mod 100 seed 0x[0-9a-f]+ map \{ .* \}$/);
    const shares = [...lines[2]!.matchAll(/(\d+)(?:-(\d+))? : (0x\w+)/g)].map(([, from, to, mark]) => ({ mark, size: Number(to ?? from) - Number(from) + 1 }));
    const sizeOf = (mark: string): number => shares.filter((share) => share.mark === mark).reduce((sum, { size }) => sum + size, 0);
    expect([sizeOf('0x3e9'), sizeOf('0x3ea')]).toEqual([60, 40]);
    expect(chain({ ...WANTED }, 'c_paris__bulk')).toEqual(lines);
    const elsewhere = { ...WANTED, config: { ...CONFIG, node: 'rome-gw1' as NodeConfig['node'] } };
    expect(chain(elsewhere, 'c_paris__bulk')).not.toEqual(lines);
  });

  it('marks nothing where there is no lane, and counts all the same', () => {
    expect(chain({ ...WANTED, steering: [] }, 'c_paris__bulk')).toEqual(['iifname "lan" counter name "o_paris__bulk"']);
  });

  it.each<[string, TrafficMatch, string]>([
    ['everything', { protocol: 'any', ports: [], dscp: [] }, 'goto c_paris__x'],
    ['a protocol', { protocol: 'tcp', ports: [], dscp: [] }, 'meta l4proto tcp goto c_paris__x'],
    ['ports of any protocol', { protocol: 'any', ports: [{ from: 53, to: 53 }], dscp: [] }, 'meta l4proto { tcp, udp } th dport { 53 } goto c_paris__x'],
    ['a range of ports', { protocol: 'tcp', ports: [{ from: 80, to: 89 }], dscp: [] }, 'tcp dport { 80-89 } goto c_paris__x'],
    ['DSCP', { protocol: 'any', ports: [], dscp: [46, 34] }, 'ip dscp { 46, 34 } goto c_paris__x'],
    ['destinations', { protocol: 'udp', ports: [], dscp: [], prefixes: ['10.2.0.0/25', '10.2.0.128/26'] }, 'meta l4proto udp ip daddr { 10.2.0.0/25, 10.2.0.128/26 } goto c_paris__x'],
    ['a mark of somebody else', { protocol: 'any', ports: [], dscp: [], fwmark: 16 }, 'meta mark { 0x10 } goto c_paris__x'],
    ['icmp, which has no ports', { protocol: 'icmp', ports: [{ from: 1, to: 2 }], dscp: [] }, 'meta l4proto icmp goto c_paris__x'],
  ])('tells a class by %s', (_case, match, line) => {
    const wanted = { ...WANTED, config: { ...CONFIG, classes: [{ id: classId('x'), priority: 0, match: [match] }] }, steering: [] };
    expect(chain(wanted, 'to_paris')).toEqual([line]);
  });

  it('tells a class by host name with addresses that answers gave, and those in use', () => {
    const named = { id: classId('teams'), priority: 0, match: [{ protocol: 'tcp' as const, ports: [{ from: 443, to: 443 }], dscp: [], names: ['*.teams.example'] }] };
    const wanted = { ...WANTED, config: { ...CONFIG, classes: [named, ...CONFIG.classes] } };
    expect(chain(wanted, 'to_paris').slice(0, 2)).toEqual([
      'tcp dport { 443 } ip daddr @n_teams__0 update @u_teams__0 { ip daddr } goto c_paris__teams',
      'tcp dport { 443 } ip daddr @u_teams__0 update @u_teams__0 { ip daddr } goto c_paris__teams',
    ]);
    expect(buildRuleset(wanted).sets.map(({ name }) => name)).toEqual(['n_teams__0', 'u_teams__0']);
  });

  it('has answers of resolvers come by while somebody renews that, and lets nobody else write to where they are heard', () => {
    const named = { id: classId('teams'), priority: 0, match: [{ protocol: 'any' as const, ports: [], dscp: [], names: ['a.example'] }] };
    const wanted = { ...WANTED, config: { ...CONFIG, classes: [named, ...CONFIG.classes], resolvers: ['10.1.0.1', '10.2.0.53'] } };
    const diverted = (resolver: string, port: number): string => `ip saddr ${resolver} ip saddr @diverted udp sport 53 ip daddr { 10.1.0.0/24 } ip daddr != 10.1.0.1 ip frag-off & 0x3fff == 0 ip saddr set ip daddr udp sport set udp dport udp dport set ${port} ip daddr set 10.1.0.1 accept`;
    expect(chain(wanted, 'answers')).toEqual([
      'type filter hook prerouting priority -155; policy accept;',
      'iifname != "lo" ip daddr 10.1.0.1 udp dport { 8624, 8625 } drop',
      `iifname "t-*" ${diverted('10.2.0.53', 8625)}`,
    ]);
    expect(chain(wanted, 'own_answers')).toEqual([
      'type route hook output priority -155; policy accept;',
      'ip saddr 10.1.0.1 udp sport 8624 ip saddr set 10.1.0.1 udp sport set 53 accept',
      'ip saddr 10.1.0.1 udp sport 8625 ip saddr set 10.2.0.53 udp sport set 53 accept',
      `oifname "lan" ${diverted('10.1.0.1', 8624)}`,
    ]);
    const shared = { ...wanted, config: { ...wanted.config, lan: SHARED_LAN } };
    expect(chain(shared, 'answers')[1]).toContain('ip daddr 169.254.255.1 udp dport');
    expect(buildRuleset({ ...wanted, config: { ...wanted.config, serving: false } }).chains.map(({ name }) => name)).not.toContain('answers');
  });

  it('notes which hosts are active only where that may be counted, by class and by role', () => {
    expect(rulesetKey(buildRuleset(WANTED))).not.toContain('users_');
    const wanted = { ...WANTED, config: { ...CONFIG, countUsers: { roles: [{ name: 'tills', prefixes: ['10.1.0.0/26', '10.1.0.64/27'] }] } } };
    expect(chain(wanted, 'c_paris__voice').slice(0, 2)).toEqual(['iifname "lan" counter name "o_paris__voice"', 'iifname "lan" update @users_class__voice { ip saddr }']);
    expect(chain(wanted, 'roles')).toEqual(['type filter hook prerouting priority -152; policy accept;', 'iifname "lan" ip daddr { 10.2.0.0/24 } ip saddr { 10.1.0.0/26, 10.1.0.64/27 } update @users_role__tills { ip saddr }']);
    expect(buildRuleset(wanted).sets.map(({ name }) => name)).toEqual(['users_class__voice', 'users_class__bulk', 'users_role__tills']);
    const far6 = { ...wanted, config: { ...wanted.config, sites: [CONFIG.sites[0]!, { id: siteId('paris'), prefixes: ['2001:db8:2::/48'] }] } };
    const { chains, sets } = buildRuleset(far6);
    const named = chains.flatMap(({ lines }) => lines.flatMap((line) => [...line.matchAll(/ @(users_\w+)/g)].map((match) => match[1]!)));
    expect(named).toEqual(['users_class__voice', 'users_class__bulk']);
    expect(sets.map(({ name }) => name)).toEqual(expect.arrayContaining(named));
  });

  it('tries classes in their order, and none behind one that takes everything', () => {
    const [voice, bulk] = CONFIG.classes;
    const wanted = { ...WANTED, config: { ...CONFIG, classes: [voice!, bulk!, { id: classId('never'), priority: 2, match: [{ protocol: 'tcp' as const, ports: [], dscp: [] }] }] } };
    expect(chain(wanted, 'to_paris')).toEqual(['udp dport { 5000-5099, 6000 } ip dscp { 46 } goto c_paris__voice', 'goto c_paris__bulk']);
  });

  it('names no prefix twice in a set, nor one inside another', () => {
    const wanted = { ...WANTED, config: { ...CONFIG, protectedPrefixes: ['10.0.0.0/8', '10.1.0.0/16', '172.30.0.0/16'], allow: [{ from: ['10.1.0.0/24', '10.1.0.0/24'], to: ['10.2.0.0/24', '10.2.0.0/25'] }] } };
    expect(chain(wanted, 'allowed')).toEqual(['ip saddr { 10.1.0.0/24 } ip daddr { 10.2.0.0/24 } accept', 'ip saddr { 10.2.0.0/24 } ip daddr { 10.1.0.0/24 } accept']);
    expect(chain(wanted, 'uplink_out')).toContain('ip daddr { 10.0.0.0/8, 172.30.0.0/16 } counter name "leak" drop');
  });

  it('lets the gateway\'s own management through, after what must never leave', () => {
    const lines = chain(WANTED, 'uplink_out', [{ protocol: 'tcp', port: 8443 }]);
    const leak = lines.findIndex((line) => line.includes('"leak"'));
    expect(lines.indexOf('tcp dport 8443 accept')).toBeGreaterThan(leak);
    expect(lines.indexOf('tcp sport 8443 accept')).toBeGreaterThan(leak);
    expect(lines.at(-1)).toBe('drop');
  });

  it('forwards nothing without allowed pairs, uplinks or sites', () => {
    const bare = { ...WANTED, config: { ...CONFIG, allow: [], uplinks: [], sites: [] }, overlayAddresses: [] };
    expect(chain(bare, 'allowed')).toEqual([]);
    expect(chain(bare, 'forward')[0]).toContain('policy drop');
    expect(chain(bare, 'leaving')).toHaveLength(1);
  });
});

describe('the last gate before programs run as root', () => {
  it('lets a plan through', () => {
    expect(() => checkWanted(WANTED)).not.toThrow();
    expect(() => checkWanted({ ...WANTED, config: { ...CONFIG, lan: { ...CONFIG.lan, address: '10.1.0.1/24' } } })).not.toThrow();
  });

  it('refuses everything that is no name, number or address, all at once', () => {
    const evil = '; drop table';
    const wanted: DataplaneWanted = {
      ...WANTED,
      config: {
        ...CONFIG,
        lan: { interface: 'lan" accept', address: '10.1.0.1/33', prefixes: ['10.1.0.1/24'] },
        uplinks: [{ name: 'x', interface: '-force', address: '1.2.3' }],
        protectedPrefixes: [evil],
        classes: [{ id: evil as never, priority: 0, match: [{ protocol: 'udp', ports: [{ from: 9, to: 8 }], dscp: [64] }] }],
        sites: [{ id: siteId('ok'), prefixes: [evil] }],
        allow: [{ from: [evil], to: ['10.0.0.0/8'] }],
      },
      overlayAddresses: ['fd00::1'],
      interfaces: [{ tunnel: 't-xyz' as TunnelId, localOverlay: '172.30.0.0', remoteOverlay: '172.30.0.0', uplink: 'isp1 metric 0', underlay: 'ipv4', esp: [] }],
      lanes: [254, 0, 1.5, 2 ** 32].map((mark) => ({ mark, prefixes: [evil], active: 'eth0' as TunnelId })),
    };
    const refusal = ((): unknown => {
      try {
        checkWanted(wanted);
        return null;
      } catch (cause) {
        return cause;
      }
    })();
    expect(refusal).toBeInstanceOf(ForemeshError);
    expect(refusal).toMatchObject({ code: 'AGENT_PLAN_INVALID', what: expect.stringMatching(/^27 values/) as string });
  });
});
