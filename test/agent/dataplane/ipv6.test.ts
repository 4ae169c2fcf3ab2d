import { describe, expect, it } from 'vitest';
import { buildRuleset, checkWanted, clearChanges, driverOf, laneLines, nextHopsOf, type Observed, planChanges, rulesetKey } from '../../../agent/dataplane/index.ts';
import type { DataplaneWanted } from '../../../agent/ports.ts';
import { classId, type NodeConfig, siteId } from '../../../src/model/index.ts';
import { bareMachine, CONFIG, installedBy, kernelAfter, SHARED_LAN, T1, T2, WANTED } from './support.ts';

const SITES: NodeConfig['sites'] = [
  { id: siteId('berlin'), prefixes: ['10.1.0.0/24', 'fd00:1::/64'] },
  { id: siteId('paris'), prefixes: ['10.2.0.0/24', 'fd00:2::/64'] },
];
/** The gateway of `support.ts` with hosts of both families and a second uplink with an IPv6 address. */
const BOTH: DataplaneWanted = {
  ...WANTED,
  config: {
    ...CONFIG,
    lan: { ...CONFIG.lan, address6: 'fd00:1::1/64', prefixes: SITES[0]!.prefixes },
    uplinks: [CONFIG.uplinks[0]!, { name: 'dsl', interface: 'isp2', address: '2001:db8:2::1' }],
    protectedPrefixes: ['10.0.0.0/8', 'fd00::/8'],
    sites: SITES,
    allow: [{ from: SITES[0]!.prefixes, to: SITES[1]!.prefixes }],
  },
  lanes: WANTED.lanes.map((lane) => ({ ...lane, prefixes: SITES[1]!.prefixes })),
};

const OFF_SWITCHES = ['all', 'default', 'lan'].map((name) => `net/ipv6/conf/${name}/disable_ipv6`);

function machine(disabled: string | null): Observed {
  const bare = bareMachine();
  const ipv6 = new Map<string, string | null>([...OFF_SWITCHES.map((name) => [name, disabled] as const), ['net/ipv6/conf/all/forwarding', '0'], ['net/ipv6/conf/isp1/accept_ra', '0'], ['net/ipv6/conf/isp2/accept_ra', '1']]);
  return { ...bare, sysctls: new Map([...bare.sysctls, ...ipv6]) };
}

function commandsOf(wanted: DataplaneWanted, kernel: Observed): string[] {
  return planChanges(wanted, kernel, null)
    .phases.flat()
    .flatMap((change) => change.commands)
    .map((command) => (command.do === 'ip' ? `${command.family ? '-6 ' : ''}${command.line}` : command.do === 'sysctl' ? `${command.name} = ${command.value}` : command.do));
}

/** The kernel after everything was done, and what would be done next. */
function settled(wanted: DataplaneWanted, kernel: Observed): { kernel: Observed; again: string[] } {
  const commands = planChanges(wanted, kernel, null).phases.flat().flatMap((change) => change.commands);
  const after = commands.reduce(kernelAfter, kernel);
  const nft = commands.find((command) => command.do === 'nft');
  return { kernel: after, again: planChanges(wanted, after, nft?.do === 'nft' ? installedBy(nft.transactions.join(''), wanted) : null).phases.flat().map(({ says }) => says) };
}

describe('IPv6 beside IPv4', () => {
  it('is guarded first, goes through the same tunnels by the same marks, and is forwarded last', () => {
    const six = commandsOf(BOTH, machine('0')).filter((line) => /fd00|fe80|ipv6|-6 /.test(line));
    expect(six).toEqual([
      'route replace unreachable fd00::/8 metric 9999',
      'neigh replace fe80::ac1e:1 dev t-00000001 lladdr 02:fe:ac:1e:00:01 nud permanent',
      'neigh replace fe80::ac1e:3 dev t-00000002 lladdr 02:fe:ac:1e:00:03 nud permanent',
      'route replace fd00:2::/64 via fe80::ac1e:1 dev t-00000001 onlink table 1001',
      'route replace fd00:2::/64 via fe80::ac1e:3 dev t-00000002 onlink table 1002',
      '-6 rule add fwmark 0x3e9 lookup 1001 priority 1000',
      '-6 rule add fwmark 0x3ea lookup 1002 priority 1000',
      'net/ipv6/conf/isp2/accept_ra = 2',
      'net/ipv6/conf/all/forwarding = 1',
      'addr add fd00:1::1/64 dev lan metric 250 nodad',
    ]);
  });

  it('is done once, and taken away altogether', () => {
    const { kernel, again } = settled(BOTH, machine('0'));
    expect(again).toEqual([]);
    const cleared = clearChanges(kernel).flat().flatMap((change) => change.commands).reduce(kernelAfter, kernel);
    expect({ ...cleared, sysctls: machine('0').sysctls }).toEqual(machine('0'));
  });

  it('goes when no site has it any more, with the address on the LAN', () => {
    const { kernel } = settled(BOTH, machine('0'));
    const commands = commandsOf(WANTED, kernel).filter((line) => /fd00|-6 /.test(line));
    expect(commands).toEqual(['route del fd00:2::/64 table 1001', 'route del fd00:2::/64 table 1002', 'addr del fd00:1::1/64 dev lan', 'route del unreachable fd00::/8 metric 9999']);
  });

  it.each<[string, string | null]>([
    ['switched off', '1'],
    ['not in this kernel', null],
  ])('is left out where it is %s, and IPv4 does not suffer', (_, disabled) => {
    const plan = planChanges(BOTH, machine(disabled), null);
    expect(plan.lacksIpv6).toBe(true);
    const lines = commandsOf(BOTH, machine(disabled));
    expect(lines.filter((line) => /fd00|fe80|ipv6|-6 /.test(line))).toEqual([]);
    expect(lines).toContain('route replace 10.2.0.0/24 via 172.30.0.1 dev t-00000001 onlink table 1001');
  });

  it('is unreachable over an interface whose MTU is too small for it', () => {
    const kernel = { ...machine('0'), links: machine('0').links.map((link) => (link.name === 'isp1' ? { ...link, mtu: 1300 } : link)) };
    const lines = commandsOf(BOTH, kernel).filter((line) => /fe80|fd00:2/.test(line));
    expect(lines).toEqual([
      'neigh replace fe80::ac1e:3 dev t-00000002 lladdr 02:fe:ac:1e:00:03 nud permanent',
      'route replace unreachable fd00:2::/64 table 1001',
      'route replace fd00:2::/64 via fe80::ac1e:3 dev t-00000002 onlink table 1002',
    ]);
  });

  it('is switched with IPv4 in one batch, by each driver in its way', () => {
    const lane = BOTH.lanes[0]!;
    expect(laneLines(lane, nextHopsOf(BOTH, driverOf('libipsec'), machine('0')))).toEqual([
      'route replace 10.2.0.0/24 via 172.30.0.1 dev t-00000001 onlink table 1001',
      'route replace fd00:2::/64 via fe80::ac1e:1 dev t-00000001 onlink table 1001',
    ]);
    expect(laneLines({ ...lane, active: T2 }, nextHopsOf(BOTH, driverOf('xfrm'), machine('0')))).toEqual(['route replace 10.2.0.0/24 dev t-00000002 table 1001', 'route replace fd00:2::/64 dev t-00000002 table 1001']);
    expect(laneLines({ ...lane, active: null }, new Map())).toEqual(['route replace unreachable 10.2.0.0/24 table 1001', 'route replace unreachable fd00:2::/64 table 1001']);
    expect(T1).toBe(lane.active);
  });

  it('of a shared LAN has its way to the hosts, and the kernel is told to advertise', () => {
    const shared = { ...BOTH, config: { ...BOTH.config, lan: { ...BOTH.config.lan, shared: SHARED_LAN.shared! } } };
    expect(commandsOf(shared, machine('0')).filter((line) => / lan |\/lan\//.test(line) && /fd00|ipv6/.test(line))).toEqual(['net/ipv6/conf/lan/ndisc_notify = 1', 'route replace fd00:1::/64 dev lan metric 500']);
  });

  it('refuses an IPv6 LAN address that ip could read as more', () => {
    for (const address6 of ['fd00:1::1', 'fd00:1::1/64 dev eth0', '10.1.0.1/24', 'FD00::1/64']) expect(() => checkWanted({ ...BOTH, config: { ...BOTH.config, lan: { ...BOTH.config.lan, address6 } } })).toThrow(/IPv6 LAN address/);
  });
});

describe('the rules for IPv6', () => {
  const classes: NodeConfig['classes'] = [
    { id: classId('voice'), priority: 0, dscp: 46, match: [{ protocol: 'udp', ports: [], dscp: [46], prefixes: ['10.2.0.0/25', 'fd00:2::/65'] }] },
    { id: classId('ping'), priority: 1, match: [{ protocol: 'icmp', ports: [], dscp: [] }, { protocol: 'any', ports: [], dscp: [], prefixes: ['fd00:2::8/128'] }] },
    { id: classId('bulk'), priority: 2, match: [{ protocol: 'any', ports: [], dscp: [] }] },
  ];
  const rules = buildRuleset({ ...BOTH, config: { ...BOTH.config, classes } });
  const chain = (name: string): string[] => rules.chains.find((one) => one.name === name)?.lines ?? [];

  it('find site and class by the header of each family', () => {
    expect(chain('prerouting').slice(1)).toEqual(['ip daddr vmap { 10.2.0.0/24 : jump to_paris }', 'ip6 daddr vmap { fd00:2::/64 : jump to_paris }']);
    expect(chain('to_paris')).toEqual([
      'meta l4proto udp ip dscp { 46 } ip daddr { 10.2.0.0/25 } goto c_paris__voice',
      'meta l4proto udp ip6 dscp { 46 } ip6 daddr { fd00:2::/65 } goto c_paris__voice',
      'meta l4proto icmp goto c_paris__ping',
      'meta l4proto ipv6-icmp goto c_paris__ping',
      'ip6 daddr { fd00:2::8/128 } goto c_paris__ping',
      'goto c_paris__bulk',
    ]);
    expect(chain('c_paris__voice').slice(1, 3)).toEqual(['iifname "lan" ip dscp set 46', 'iifname "lan" ip6 dscp set 46']);
  });

  it('split flows by addresses and ports, fragments by addresses alone', () => {
    const heads = chain('c_paris__bulk').slice(1).map((line) => line.split(' mod ')[0]);
    expect(heads.slice(2)).toEqual(['meta l4proto { tcp, udp, sctp } exthdr frag missing meta mark set jhash ip6 saddr . ip6 daddr . th sport . th dport', 'meta mark set jhash ip6 saddr . ip6 daddr']);
  });

  it('forward allowed pairs within a family, and let out what an uplink needs after what must not leave was counted', () => {
    expect(chain('allowed')).toEqual([
      'ip saddr { 10.1.0.0/24 } ip daddr { 10.2.0.0/24 } accept',
      'ip saddr { 10.2.0.0/24 } ip daddr { 10.1.0.0/24 } accept',
      'ip6 saddr { fd00:1::/64 } ip6 daddr { fd00:2::/64 } accept',
      'ip6 saddr { fd00:2::/64 } ip6 daddr { fd00:1::/64 } accept',
    ]);
    expect(chain('uplink_out')).toEqual([
      'ip saddr { 100.64.1.1 } udp sport { 500, 4500 } accept',
      'ip saddr { 100.64.1.1 } meta l4proto esp accept',
      'ip6 saddr { 2001:db8:2::1 } udp sport { 500, 4500 } accept',
      'ip6 saddr { 2001:db8:2::1 } meta l4proto esp accept',
      'ip daddr { 10.0.0.0/8, 172.30.0.1, 172.30.0.3 } counter name "leak" drop',
      'ip6 daddr { fd00::/8 } counter name "leak" drop',
      'ip saddr { 100.64.1.1 } icmp type { echo-request, echo-reply } accept',
      'ip saddr { 100.64.1.1 } udp sport 68 udp dport 67 accept',
      'ip6 saddr { 2001:db8:2::1 } icmpv6 type { echo-request, echo-reply } accept',
      'icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report } accept',
      'ip6 saddr fe80::/10 udp sport 546 udp dport 547 accept',
      'drop',
    ]);
  });

  it('are none on a gateway without it: nothing of IPv6 is forwarded or leaves', () => {
    expect(rulesetKey(buildRuleset(WANTED))).not.toMatch(/ip6|icmpv6|exthdr/);
    expect(buildRuleset(WANTED).chains.find(({ name }) => name === 'forward')!.lines[0]).toContain('policy drop');
  });
});
