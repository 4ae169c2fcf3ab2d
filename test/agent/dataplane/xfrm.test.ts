import { describe, expect, it } from 'vitest';
import { buildRuleset, type Change, type Command, driverOf, laneLines, nextHopsOf, type Observed, planChanges } from '../../../agent/dataplane/index.ts';
import { ifIdOf, isTunnelId } from '../../../agent/driver.ts';
import type { DataplaneWanted } from '../../../agent/ports.ts';
import type { TunnelId } from '../../../src/model/index.ts';
import { bareMachine, installedBy, kernelAfter, T2, WANTED } from './support.ts';

const xfrm = driverOf('xfrm');

function changes(wanted: DataplaneWanted, kernel: Observed, nft = ''): Change[] {
  return planChanges(wanted, kernel, nft === '' ? null : installedBy(nft, wanted, xfrm), [], xfrm).phases.flat();
}

const lines = (some: Change[]): string[] => some.flatMap(({ commands }) => commands.flatMap((command) => (command.do === 'ip' ? [command.line] : [])));

/** A machine that has all of WANTED, and the text of its ruleset. */
function madeMachine(): { kernel: Observed; nft: string } {
  const commands = changes(WANTED, bareMachine(false)).flatMap((change) => change.commands);
  const nft = commands.find((command): command is Extract<Command, { do: 'nft' }> => command.do === 'nft')!.transactions.join('');
  return { kernel: commands.reduce(kernelAfter, bareMachine(false)), nft };
}

describe('a node with XFRM interfaces', () => {
  it('has one interface a tunnel, tied by its id, sized for its uplink, with the far overlay address behind it', () => {
    const narrow = bareMachine(false);
    narrow.links = narrow.links.map((link) => (link.name === 'isp2' ? { ...link, mtu: 1400 } : link));
    expect(lines(changes(WANTED, narrow)).filter((line) => !line.startsWith('addr'))).toEqual([
      'route replace unreachable 10.0.0.0/8 metric 9999',
      'route replace unreachable 172.30.0.1/32 metric 9999',
      'route replace unreachable 172.30.0.3/32 metric 9999',
      'link add t-00000001 type xfrm dev isp1 if_id 1',
      'link set t-00000001 mtu 1438 addrgenmode none up',
      'route replace 172.30.0.1/32 dev t-00000001 src 172.30.0.0',
      'link add t-00000002 type xfrm dev isp2 if_id 2',
      'link set t-00000002 mtu 1338 addrgenmode none up',
      'route replace 172.30.0.3/32 dev t-00000002 src 172.30.0.2',
      'route replace 10.2.0.0/24 dev t-00000001 table 1001',
      'route replace 10.2.0.0/24 dev t-00000002 table 1002',
      'rule add fwmark 0x3e9 lookup 1001 priority 1000',
      'rule add fwmark 0x3ea lookup 1002 priority 1000',
    ]);
  });

  it('needs no device of the daemon, and has nothing to do the second time', () => {
    const { kernel, nft } = madeMachine();
    expect(planChanges(WANTED, kernel, installedBy(nft, WANTED, xfrm), [], xfrm)).toEqual({ phases: [[], [], [], [], [], [], []], queues: [], waiting: [], lacksIpv6: false });
  });

  it.each<[string, (kernel: Observed) => Observed, string[]]>([
    ['follows the MTU of its uplink', (kernel) => ({ ...kernel, links: kernel.links.map((link) => (link.name === 'isp1' ? { ...link, mtu: 1492 } : link)) }), ['link set t-00000001 mtu 1430 addrgenmode none up']],
    ['puts the route of an overlay address back', (kernel) => ({ ...kernel, routes: kernel.routes.filter((route) => route.prefix !== '172.30.0.1/32' || route.via === null) }), ['route replace 172.30.0.1/32 dev t-00000001 src 172.30.0.0']],
    [
      'makes an interface anew that has another id',
      (kernel) => ({ ...kernel, links: kernel.links.map((link) => (link.name === T2 ? { ...link, xfrm: { ifId: 9, lower: 'isp2' } } : link)) }),
      ['link del t-00000002', 'link add t-00000002 type xfrm dev isp2 if_id 2', 'link set t-00000002 mtu 1438 addrgenmode none up', 'route replace 172.30.0.3/32 dev t-00000002 src 172.30.0.2', 'route replace 10.2.0.0/24 dev t-00000002 table 1002'],
    ],
  ])('%s', (_case, change, expected) => {
    const { kernel, nft } = madeMachine();
    expect(lines(changes(WANTED, change(kernel), nft))).toEqual(expected);
  });

  it('takes over from VXLAN interfaces of the same names', () => {
    const before = planChanges(WANTED, bareMachine(), null).phases.flat();
    const kernel = before.flatMap((change) => change.commands).reduce(kernelAfter, bareMachine());
    const taken = lines(changes(WANTED, kernel));
    expect(taken.slice(0, 2)).toEqual(['link del t-00000001', 'link add t-00000001 type xfrm dev isp1 if_id 1']);
    expect(taken).toContain('route replace 10.2.0.0/24 dev t-00000001 table 1001');
  });

  it('switches lanes to the device itself', () => {
    expect(laneLines({ mark: 1001, prefixes: ['10.2.0.0/24'], active: T2 }, nextHopsOf(WANTED, xfrm, bareMachine()))).toEqual(['route replace 10.2.0.0/24 dev t-00000002 table 1001']);
  });

  it('counts what the gateway itself says and hears in each tunnel: its probes pass the interface and are no traffic', () => {
    const ruleset = buildRuleset(WANTED, [], xfrm);
    expect(ruleset.counters.filter((name) => name.startsWith('own_'))).toEqual(['own_in_t-00000001', 'own_out_t-00000001', 'own_in_t-00000002', 'own_out_t-00000002']);
    expect(ruleset.chains.find(({ name }) => name === 'own_out')?.lines[1]).toBe('counter name oifname map { "t-00000001" : "own_out_t-00000001", "t-00000002" : "own_out_t-00000002" }');
    expect(ruleset.chains.find(({ name }) => name === 'input')?.lines[1]).toBe('counter name iifname map { "t-00000001" : "own_in_t-00000001", "t-00000002" : "own_in_t-00000002" }');
    expect(buildRuleset(WANTED).counters.filter((name) => name.startsWith('own_'))).toEqual([]);
  });

  it('lets out what is about to be encrypted, and hears on an overlay address its own tunnel only', () => {
    const chain = (name: string, wanted = WANTED): string[] => buildRuleset(wanted, [], xfrm).chains.find((one) => one.name === name)!.lines;
    expect(chain('uplink_out')[0]).toBe('rt ipsec exists accept');
    expect(chain('input')).toContain('ip daddr { 172.30.0.0, 172.30.0.2 } iifname != "lo" iifname . ip daddr != { "t-00000001" . 172.30.0.0, "t-00000002" . 172.30.0.2 } drop');
    expect(chain('input', { ...WANTED, interfaces: [] })).toContain('ip daddr { 172.30.0.0, 172.30.0.2 } iifname != "lo" drop');
  });
});

describe('the interface id of a tunnel', () => {
  it('is all of its 32 bits; the values that mean something else are no tunnel', () => {
    expect(ifIdOf('t-c0ffee01' as TunnelId)).toBe(0xc0ffee01);
    expect(['t-00000000', 't-fffffffe', 't-ffffffff', 't-1', 'T-00000001', 'x-00000001'].filter(isTunnelId)).toEqual([]);
    expect(['t-00000001', 't-fffffffd'].filter(isTunnelId)).toHaveLength(2);
  });
});
