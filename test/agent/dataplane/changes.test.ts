import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Change, clearChanges, type Command, type InstalledRuleset, laneLines, macOf, type Observed, type Phases, planChanges, vniOf } from '../../../agent/dataplane/index.ts';
import type { DataplaneWanted, LaneWanted, TunnelInterface } from '../../../agent/ports.ts';
import { hash32 } from '../../../src/base/index.ts';
import type { TunnelId } from '../../../src/model/index.ts';
import { bareMachine, CONFIG, GCM, installedBy, kernelAfter, SHARED_LAN, T1, T2, WANTED } from './support.ts';

/** Commands as one reads them, the ruleset's text left out. */
function lines(phases: Phases): string[] {
  return phases.flat().flatMap((change) => change.commands.map(text));
}

function text(command: Command): string {
  if (command.do === 'ip') return command.line;
  if (command.do === 'sysctl') return `${command.name}=${command.value}`;
  if (command.do === 'tc') return `tc ${command.line}`;
  return command.do === 'nft' ? 'nft' : `announce ${command.interface} ${command.mac}`;
}

/** The kernel after an apply, and what the port remembers of it; `look` sees each moment in between. */
function applied(wanted: DataplaneWanted, before: Observed, installed: InstalledRuleset | null, look: (kernel: Observed, nft: string | null) => void = () => undefined): { kernel: Observed; installed: InstalledRuleset | null; changes: Change[] } {
  let kernel = before;
  let remembered = installed;
  let nft: string | null = null;
  const changes = planChanges(wanted, before, installed).phases.flat();
  for (const command of changes.flatMap((change) => change.commands)) {
    kernel = kernelAfter(kernel, command);
    if (command.do === 'nft') {
      nft = command.transactions.join('');
      remembered = installedBy(nft, wanted);
    }
    look(kernel, nft);
  }
  return { kernel, installed: remembered, changes };
}

describe('the commands for a node', () => {
  it('of an agent that starts anew touch no chain that packets may be in, and come to rest', () => {
    const { kernel } = applied(WANTED, bareMachine(), null);
    const again = applied(WANTED, kernel, null);
    const nft = again.changes.flatMap(({ commands }) => commands).find((command) => command.do === 'nft');
    const [beside = ''] = nft?.do === 'nft' ? nft.transactions : [];
    expect(beside).toContain('chain to_paris.');
    for (const name of kernel.ruleset!.chains) expect(beside).not.toMatch(new RegExp(`chain (?:inet foremesh )?${name.replace('.', '\\.')}(?: |$)`, 'm'));
    expect(planChanges(WANTED, again.kernel, again.installed).phases.flat()).toEqual([]);
  });

  it('begin with guards and end with what brings traffic, on a bare machine', () => {
    expect(lines(planChanges(WANTED, bareMachine(), null).phases)).toEqual([
      'route replace unreachable 10.0.0.0/8 metric 9999',
      'route replace unreachable 172.30.0.1/32 metric 9999',
      'route replace unreachable 172.30.0.3/32 metric 9999',
      'net/ipv4/conf/all/rp_filter=0',
      'net/ipv4/conf/ipsec0/rp_filter=0',
      'net/ipv4/conf/lan/rp_filter=0',
      'net/ipv4/conf/isp1/rp_filter=0',
      'net/ipv4/conf/isp2/rp_filter=0',
      'addr add 172.30.0.0/32 dev lo label lo:fm',
      'addr add 172.30.0.2/32 dev lo label lo:fm',
      'link add t-00000001 type vxlan id 1966080 local 172.30.0.0 remote 172.30.0.1 dev ipsec0 dstport 4789 nolearning noudpcsum',
      'link set t-00000001 address 02:fe:ac:1e:00:00 mtu 1350 addrgenmode none up',
      'neigh replace 172.30.0.1 dev t-00000001 lladdr 02:fe:ac:1e:00:01 nud permanent',
      'link add t-00000002 type vxlan id 1966082 local 172.30.0.2 remote 172.30.0.3 dev ipsec0 dstport 4789 nolearning noudpcsum',
      'link set t-00000002 address 02:fe:ac:1e:00:02 mtu 1350 addrgenmode none up',
      'neigh replace 172.30.0.3 dev t-00000002 lladdr 02:fe:ac:1e:00:03 nud permanent',
      'route replace 10.2.0.0/24 via 172.30.0.1 dev t-00000001 onlink table 1001',
      'route replace 10.2.0.0/24 via 172.30.0.3 dev t-00000002 onlink table 1002',
      'rule add fwmark 0x3e9 lookup 1001 priority 1000',
      'rule add fwmark 0x3ea lookup 1002 priority 1000',
      'nft',
      'net/ipv4/ip_forward=1',
      'addr add 10.1.0.1/24 dev lan label lan:fm',
      'announce lan 02:00:00:00:00:01',
    ]);
  });

  it('are none when everything is as wanted', () => {
    const { kernel, installed } = applied(WANTED, bareMachine(), null);
    expect(planChanges(WANTED, kernel, installed)).toEqual({ phases: [[], [], [], [], [], [], []], queues: [], waiting: [], lacksIpv6: false });
  });

  const is = applied(WANTED, bareMachine(), null);
  const [lane1, lane2] = WANTED.lanes as [LaneWanted, LaneWanted];
  const without = (kernel: Observed, name: string): Observed => kernelAfter(kernel, { do: 'ip', line: `link del ${name}` });

  it('keep packets single on arrival where they may come twice, from the start of an interface, and no longer than that', () => {
    const config = { ...CONFIG, classes: CONFIG.classes.map((one) => ({ ...one, duplicate: true as const })) };
    const made = applied({ ...WANTED, config }, bareMachine(), null);
    const all = lines([made.changes]);
    for (const tunnel of [T1, T2]) expect(all.indexOf(`link set ${tunnel} gro_max_size 1`)).toBeGreaterThan(all.findIndex((line) => line.startsWith(`link add ${tunnel} `)));
    expect(all.indexOf(`link set ${T2} gro_max_size 1`)).toBeLessThan(all.indexOf('nft'));
    expect(planChanges({ ...WANTED, config }, made.kernel, made.installed).phases.flat()).toEqual([]);
    const back = lines(planChanges(WANTED, made.kernel, made.installed).phases).filter((line) => line.startsWith('link '));
    expect(back).toEqual([`link set ${T1} gro_max_size 65536`, `link set ${T2} gro_max_size 65536`]);
    const old = bareMachine();
    const oldKernel = { ...old, links: old.links.map((one) => ({ ...one, joinedMaxBytes: null })) };
    expect(lines(planChanges({ ...WANTED, config }, oldKernel, null).phases).join()).not.toContain('gro_max_size');
  });

  it('send second copies by an address of their own, guarded before there is a way for them', () => {
    const twice: DataplaneWanted = { ...WANTED, lanes: [{ ...lane1, copy: T2 }, lane2] };
    const made = applied(twice, bareMachine(), null);
    const all = lines([made.changes]);
    expect(all.filter((line) => line.includes(' 240.'))).toEqual(['route replace unreachable 240.0.0.0/4 metric 9999', 'route replace 240.0.3.233/32 via 172.30.0.3 dev t-00000002 onlink']);
    expect(planChanges(twice, made.kernel, made.installed).phases.flat()).toEqual([]);
    expect(lines(planChanges({ ...twice, lanes: [{ ...lane1, active: T2, copy: T1 }, lane2] }, made.kernel, made.installed).phases)).toEqual([
      'route replace 10.2.0.0/24 via 172.30.0.3 dev t-00000002 onlink table 1001',
      'route replace 240.0.3.233/32 via 172.30.0.1 dev t-00000001 onlink',
    ]);
    expect(lines(planChanges({ ...twice, lanes: [{ ...lane1, copy: null }, lane2] }, made.kernel, made.installed).phases)).toEqual(['route replace unreachable 240.0.3.233/32']);
    expect(lines(planChanges(twice, without(made.kernel, T2), made.installed).phases)).toContain('route replace 240.0.3.233/32 via 172.30.0.3 dev t-00000002 onlink');
    expect(lines(planChanges(WANTED, made.kernel, made.installed).phases)).toEqual(['nft', 'route del 240.0.3.233/32', 'route del unreachable 240.0.0.0/4 metric 9999']);
    expect(lines(clearChanges(made.kernel))).toContain('route del 240.0.3.233/32');
  });

  it.each<[string, Partial<DataplaneWanted>, Observed, string[]]>([
    ['give routes the MTU that a path was measured to have', { interfaces: WANTED.interfaces.map((one) => (one.tunnel === T1 ? { ...one, pathMtuBytes: 1228 } : one)) }, is.kernel, ['route replace 10.2.0.0/24 via 172.30.0.1 dev t-00000001 onlink mtu 1228 table 1001']],
    ['take it away again', {}, { ...is.kernel, routes: is.kernel.routes.map((one) => (one.table === '1002' ? { ...one, mtuBytes: 1228 } : one)) }, ['route replace 10.2.0.0/24 via 172.30.0.3 dev t-00000002 onlink table 1002']],
    ['point a lane at another tunnel', { lanes: [{ ...lane1, active: T2 }, lane2] }, is.kernel, ['route replace 10.2.0.0/24 via 172.30.0.3 dev t-00000002 onlink table 1001']],
    ['make a lane without a tunnel unreachable', { lanes: [{ ...lane1, active: null }, lane2] }, is.kernel, ['route replace unreachable 10.2.0.0/24 table 1001']],
    [
      'build a replaced lane before the rules name it, and take the old one away after',
      { lanes: [{ ...lane1, mark: 1003 }, lane2], steering: [{ ...WANTED.steering[1]!, lanes: [{ mark: 1003, weight: 100 }] }] },
      is.kernel,
      ['route replace 10.2.0.0/24 via 172.30.0.1 dev t-00000001 onlink table 1003', 'rule add fwmark 0x3eb lookup 1003 priority 1000', 'nft', 'rule del fwmark 0x3e9 lookup 1001 priority 1000', 'route del 10.2.0.0/24 table 1001'],
    ],
    [
      'take a tunnel away after its lanes',
      { interfaces: [WANTED.interfaces[0]!], overlayAddresses: ['172.30.0.0'], lanes: [lane1, { ...lane2, active: T1 }] },
      is.kernel,
      ['route replace 10.2.0.0/24 via 172.30.0.1 dev t-00000001 onlink table 1002', 'nft', 'link del t-00000002', 'addr del 172.30.0.2/32 dev lo', 'route del unreachable 172.30.0.3/32 metric 9999'],
    ],
    ['give the LAN address up', { config: { ...CONFIG, serving: false } }, is.kernel, ['addr del 10.1.0.1/24 dev lan']],
    [
      'make ready to share the LAN address, which stays where it is, and leave it to others',
      { config: { ...CONFIG, serving: false, lan: SHARED_LAN } },
      is.kernel,
      ['route replace unreachable 169.254.255.0/24 metric 9999', 'net/ipv4/conf/lan/arp_notify=1', 'addr add 169.254.255.1/24 dev lan scope link label lan:fm', 'route replace 10.1.0.0/24 dev lan scope link metric 500'],
    ],
    [
      'also share the address of another gateway that carries traffic: of two addresses of one network one may be given up',
      { config: { ...CONFIG, serving: false, lan: { ...SHARED_LAN, shared: { ...SHARED_LAN.shared!, others: [{ address: '10.1.0.2/24', preferred: SHARED_LAN.shared!.members[1]!.node }] } } } },
      is.kernel,
      ['route replace unreachable 169.254.255.0/24 metric 9999', 'net/ipv4/conf/lan/arp_notify=1', 'net/ipv4/conf/lan/promote_secondaries=1', 'addr add 169.254.255.1/24 dev lan scope link label lan:fm', 'route replace 10.1.0.0/24 dev lan scope link metric 500'],
    ],
    [
      'end sharing: the own address and the LAN route go, the LAN address is kept by the one that serves',
      {},
      applied({ ...WANTED, config: { ...CONFIG, lan: SHARED_LAN } }, is.kernel, is.installed).kernel,
      ['addr del 169.254.255.1/24 dev lan', 'route del 10.1.0.0/24 dev lan metric 500', 'route del unreachable 169.254.255.0/24 metric 9999'],
    ],
    [
      'make an interface again that vanished with its routes',
      {},
      without(is.kernel, T1),
      [
        'link add t-00000001 type vxlan id 1966080 local 172.30.0.0 remote 172.30.0.1 dev ipsec0 dstport 4789 nolearning noudpcsum',
        'link set t-00000001 address 02:fe:ac:1e:00:00 mtu 1350 addrgenmode none up',
        'neigh replace 172.30.0.1 dev t-00000001 lladdr 02:fe:ac:1e:00:01 nud permanent',
        'route replace 10.2.0.0/24 via 172.30.0.1 dev t-00000001 onlink table 1001',
      ],
    ],
    [
      'make an interface anew that leads elsewhere, and its lanes with it',
      {},
      { ...is.kernel, links: is.kernel.links.map((link) => (link.name === T1 ? { ...link, vxlan: { ...link.vxlan!, remote: '172.30.9.9' } } : link)) },
      [
        'link del t-00000001',
        'link add t-00000001 type vxlan id 1966080 local 172.30.0.0 remote 172.30.0.1 dev ipsec0 dstport 4789 nolearning noudpcsum',
        'link set t-00000001 address 02:fe:ac:1e:00:00 mtu 1350 addrgenmode none up',
        'neigh replace 172.30.0.1 dev t-00000001 lladdr 02:fe:ac:1e:00:01 nud permanent',
        'route replace 10.2.0.0/24 via 172.30.0.1 dev t-00000001 onlink table 1001',
      ],
    ],
    ['set an interface right that somebody changed', {}, { ...is.kernel, links: is.kernel.links.map((link) => (link.name === T1 ? { ...link, mtu: 1500, isUp: false } : link)) }, ['link set t-00000001 address 02:fe:ac:1e:00:00 mtu 1350 addrgenmode none up']],
    ['remove a route from a lane that does not belong there', {}, { ...is.kernel, routes: [...is.kernel.routes, { table: '1001', prefix: '10.7.0.0/24', via: null, metric: 0 }] }, ['route del unreachable 10.7.0.0/24 table 1001']],
    ['write rules again that somebody changed', {}, { ...is.kernel, ruleset: { ...is.kernel.ruleset!, digest: 'sha256:other' } }, ['nft']],
    ['leave addresses, rules and routes of others alone', {}, { ...is.kernel, addresses: [...is.kernel.addresses, { interface: 'lo', address: '192.0.2.1/32', label: 'lo' }], rules: [...is.kernel.rules, { family: 'ipv4', priority: 10, mark: 5, table: '5' }] }, []],
  ])('%s', (_case, difference, kernel, expected) => {
    expect(lines(planChanges({ ...WANTED, ...difference }, kernel, is.installed).phases)).toEqual(expected);
  });

  it('make no interface and lead no lane through one while the daemon\'s device is missing, and say what waits', () => {
    const { phases, waiting } = planChanges(WANTED, bareMachine(false), null);
    expect(waiting).toEqual([T1, T2]);
    expect(lines(phases).filter((line) => line.startsWith('link') || line.includes('table'))).toEqual(['route replace unreachable 10.2.0.0/24 table 1001', 'route replace unreachable 10.2.0.0/24 table 1002']);
  });

  it('take away what is on the LAN interface too, for a process that knows no config: addresses, ways to the hosts, and nothing of others', () => {
    const made = applied({ ...WANTED, config: { ...CONFIG, lan: SHARED_LAN } }, bareMachine(), null).kernel;
    const others = [{ interface: 'lan', address: '10.1.0.77/24', label: 'lan' }, { interface: 'isp1', address: '100.64.1.1/32', label: 'isp1' }];
    const owned = { ...made, addresses: [...made.addresses, { interface: 'lan', address: '10.1.0.1/24', label: 'lan:fm' }, ...others] };
    const cleared = clearChanges(owned).flat().flatMap((change) => change.commands).reduce(kernelAfter, owned);
    expect(cleared.addresses.filter(({ interface: name }) => name !== 'lo')).toEqual(others);
    expect(cleared.routes.filter(({ via }) => via?.interface === 'lan')).toEqual([]);
  });

  it('take everything away again, guards last', () => {
    const phases = clearChanges(is.kernel);
    const cleared = phases.flat().flatMap((change) => change.commands).reduce(kernelAfter, is.kernel);
    const bare = bareMachine();
    expect({ ...cleared, sysctls: bare.sysctls }).toEqual(bare);
    expect(lines(phases).slice(-3).every((line) => line.startsWith('route del unreachable'))).toBe(true);
  });
});

describe('the fast switch', () => {
  it('is one line a prefix, and nothing for a tunnel without an interface', () => {
    const overlays = new Map([[T1, { interface: T1, address: '172.30.0.1', address6: 'fe80::ac1e:1' }]]);
    expect(laneLines({ mark: 1001, prefixes: ['10.2.0.0/24', '10.3.0.0/24'], active: T1 }, overlays)).toEqual([
      'route replace 10.2.0.0/24 via 172.30.0.1 dev t-00000001 onlink table 1001',
      'route replace 10.3.0.0/24 via 172.30.0.1 dev t-00000001 onlink table 1001',
    ]);
    expect(laneLines({ mark: 1001, prefixes: ['10.2.0.0/24'], active: null }, overlays)).toEqual(['route replace unreachable 10.2.0.0/24 table 1001']);
    expect(laneLines({ mark: 1001, prefixes: ['10.2.0.0/24'], active: T2 }, overlays)).toBeNull();
  });
});

describe('names of a tunnel', () => {
  it('are the same from both ends, and those of no other tunnel', () => {
    expect(vniOf('172.30.0.4', '172.30.0.5')).toBe(vniOf('172.30.0.5', '172.30.0.4'));
    expect(vniOf('172.30.0.9', '172.30.0.10')).toBe(0x1e0009);
    const vnis = Array.from({ length: 500 }, (_, index) => vniOf(`172.30.${index >> 7}.${(index * 2) & 255}`, `172.30.${index >> 7}.${((index * 2) & 255) + 1}`));
    expect(new Set(vnis).size).toBe(500);
    expect(macOf('172.30.0.10')).toBe('02:fe:ac:1e:00:0a');
  });
});

const tunnels: TunnelInterface[] = [0, 1, 2, 3].map((index) => ({ tunnel: `t-0000001${index}` as TunnelId, localOverlay: `172.30.0.${index * 2}`, remoteOverlay: `172.30.0.${index * 2 + 1}`, uplink: 'isp1', underlay: 'ipv4', esp: [GCM] }));
/** Wanted states as the agent makes them: a lane's mark follows from its list of tunnels, the active one is any that has an interface. */
const wanted: fc.Arbitrary<DataplaneWanted> = fc
  .record({
    up: fc.subarray(tunnels),
    serving: fc.boolean(),
    isShared: fc.boolean(),
    classLanes: fc.array(fc.array(fc.record({ tunnels: fc.shuffledSubarray(tunnels, { minLength: 1 }), weight: fc.integer({ min: 1, max: 100 }), pick: fc.nat(3) }), { maxLength: 3 }), { minLength: 2, maxLength: 2 }),
  })
  .map(({ up, serving, isShared, classLanes }) => {
    const lanes = new Map<number, LaneWanted>();
    const steering = WANTED.steering.map((one, index) => ({
      ...one,
      lanes: classLanes[index]!.map((lane) => {
        const mark = 1000 + (hash32(lane.tunnels.map(({ tunnel }) => tunnel).join()) % 100_000);
        const able = lane.tunnels.filter((tunnel) => up.includes(tunnel));
        if (!lanes.has(mark)) lanes.set(mark, { mark, prefixes: ['10.2.0.0/24'], active: able[lane.pick % Math.max(1, able.length)]?.tunnel ?? null });
        return { mark, weight: lane.weight };
      }),
    }));
    return { config: { ...CONFIG, serving, ...(isShared ? { lan: SHARED_LAN } : {}) }, overlayAddresses: up.map(({ localOverlay }) => localOverlay), interfaces: up, lanes: [...lanes.values()], steering };
  });

describe('any run of wanted states', () => {
  it('ends as wanted each time, keeps the guard, and never has a rule whose lane is not there', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ wanted, daemonDies: fc.boolean() }), { minLength: 1, maxLength: 5 }), (steps) => {
        let state: { kernel: Observed; installed: InstalledRuleset | null } = { kernel: bareMachine(), installed: null };
        let nft = '';
        // said at the end: an `expect` for every command, mark and route of 200 runs took most of a minute
        const faults: string[] = [];
        for (const step of steps) {
          if (step.daemonDies) {
            for (const { name, vxlan } of state.kernel.links) if (vxlan) state = { ...state, kernel: kernelAfter(state.kernel, { do: 'ip', line: `link del ${name}` }) };
          }
          state = applied(step.wanted, state.kernel, state.installed, (kernel, written) => {
            nft = written ?? nft;
            if (!kernel.routes.some((route) => route.prefix === '10.0.0.0/8' && route.via === null && route.metric === 9999)) faults.push('no guard');
            // routes that went with the daemon come back as the step goes on; until then the guard holds
            const lanesAreIntact = written !== null || !step.daemonDies;
            for (const mark of lanesAreIntact ? marksIn(nft) : []) {
              if (!kernel.rules.some((rule) => rule.mark === mark)) faults.push(`no rule for ${mark}`);
              if (!kernel.routes.some((route) => route.table === String(mark) && route.prefix === '10.2.0.0/24')) faults.push(`no route for ${mark}`);
            }
          });
          expect(faults).toEqual([]);
          expect(planChanges(step.wanted, state.kernel, state.installed).phases.flat()).toEqual([]);
          expect(new Set(state.kernel.rules.map((rule) => rule.mark))).toEqual(new Set(step.wanted.lanes.map((lane) => lane.mark)));
        }
      }),
      { numRuns: 200 },
    );
  }, 240_000); // most of a minute on an idle machine
});

/** The lanes that packets are sent to by a ruleset. */
function marksIn(nft: string): number[] {
  return [...nft.matchAll(/meta mark set (0x[0-9a-f]+)$|: (0x[0-9a-f]+)/gm)].map((match) => Number(match[1] ?? match[2]));
}
