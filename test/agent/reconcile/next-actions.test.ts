import { describe, expect, it } from 'vitest';
import type { IkeDaemon, NodeConfig, TunnelId } from '../../../src/model/index.ts';
import type { SaState } from '../../../agent/ports.ts';
import type { ProbeView } from '../../../agent/probe/index.ts';
import { type Action, type Desired, differences, firstMemory, keptTunnels, type Memory, nextActions, noteObserved, type Observed, remember, rememberDesired } from '../../../agent/reconcile/index.ts';
import { laneMark } from '../../support/agent-ports.ts';
import { berlin, configOf, paris, t1, t2, t3, tunnelOf } from '../../support/node-configs.ts';

/** What a test says about the machine; the rest is quiet. */
interface Machine {
  nowMs: number;
  connections: TunnelId[];
  sas: (TunnelId | SaState)[];
  interfaces: TunnelId[];
  probes: Record<string, Partial<ProbeView>>;
  rx: Record<string, number>;
  daemon: boolean;
  ike: IkeDaemon;
  /** The kernel's SAs go on without the daemon. */
  keepsSas: boolean;
}

/** The agent's memory across passes, without executor and ports: each `pass` gives the list and takes it as done. */
function scenario(config: NodeConfig, earlier: NodeConfig[] = [], start = 0) {
  let desired: Desired = { config, earlier, credentialsSerial: 1, isLanLost: false, adoptedAreCurrent: true, ppks: new Map() };
  let memory: Memory = rememberDesired(firstMemory(start), desired, start);
  const read = (machine: Partial<Machine>): { observed: Observed; nowMs: number } => {
    const { sas = [], connections = [], interfaces = [], probes = {}, rx = {}, nowMs = start, daemon = true, keepsSas = false, ike = { version: '5.9.8', mlKem: false } } = machine;
    const views: Observed['probes'] = new Map(Object.entries(probes).map(([tunnel, view]) => [tunnel as TunnelId, { state: 'up', wasEverUp: view.state !== 'unknown', peerInUse: null, violated: [], peerLame: false, isDoubted: false, isReturning: false, peerRenews: false, mtu: null, ...view }]));
    return {
      nowMs,
      observed: {
        daemon: daemon ? { connections, sas: sas.map((sa) => (typeof sa === 'string' ? saOf(sa) : sa)), ike } : null,
        interfaces,
        kept: keepsSas ? keptTunnels(desired, interfaces, views) : [],
        probes: views,
        rxPackets: new Map(Object.entries(rx) as [TunnelId, number][]),
      },
    };
  };
  return {
    want(next: NodeConfig, nowMs: number): void {
      desired = { ...desired, config: next, earlier: [desired.config] };
      memory = rememberDesired(memory, desired, nowMs);
    },
    renew(): void {
      desired = { ...desired, credentialsSerial: desired.credentialsSerial + 1 };
    },
    pass(machine: Partial<Machine>): string[] {
      const { observed, nowMs } = read(machine);
      memory = noteObserved(memory, desired, observed, nowMs);
      const actions = nextActions(desired, observed, memory, nowMs);
      for (const action of actions) memory = remember(memory, action, nowMs);
      return actions.map(textOf);
    },
    differences(machine: Partial<Machine>): string[] {
      const { observed, nowMs } = read(machine);
      return differences(desired, observed, memory, nowMs);
    },
  };
}

function saOf(tunnel: TunnelId, childState: string | null = 'INSTALLED'): SaState {
  return { tunnel, ikeState: 'ESTABLISHED', childState, ikeSuite: '', espSuite: '', bytesIn: 0, bytesOut: 0, packetsIn: 0, packetsOut: 0, establishedSeconds: 0, ikeId: 1, besides: 0 };
}

function textOf(action: Action): string {
  switch (action.kind) {
    case 'apply': {
      const { overlayAddresses, interfaces, lanes, steering } = action.wanted;
      const ways = lanes.map(({ mark, active }) => `${mark}→${active ?? 'none'}`).join(',');
      const used = steering.map((entry) => entry.lanes.map(({ mark }) => mark).join('+')).join(',');
      return `apply overlays=${overlayAddresses.join(',')} interfaces=${interfaces.map(({ tunnel, pathMtuBytes }) => (pathMtuBytes === undefined ? tunnel : `${tunnel}/${pathMtuBytes}`)).join(',')} lanes=${ways} steering=${used}`;
    }
    case 'load-connection':
      return `load ${action.spec.tunnel}${action.spec.mlKem ? ` with ML-KEM ${action.spec.mlKem}` : ''}`;
    case 'load-credentials':
      return 'load-credentials';
    case 'wait':
      return `wait ${action.untilMs}: ${action.for}`;
    default:
      return `${action.kind} ${action.tunnel}`;
  }
}

const m1 = laneMark([t1]);
const m2 = laneMark([t2]);
const onT1 = configOf(berlin, [t1], [[t1]]);
const onT2 = configOf(berlin, [t2], [[t2]]);

/** A scenario that runs on t1 and is at rest at 1000. */
function runningOnT1() {
  const story = scenario(onT1);
  story.pass({});
  story.pass({ nowMs: 50, connections: [t1], sas: [t1] });
  story.pass({ nowMs: 80, connections: [t1], sas: [t1], interfaces: [t1], probes: { [t1]: {} } });
  expect(story.pass({ nowMs: 1000, connections: [t1], sas: [t1], interfaces: [t1], probes: { [t1]: {} } })).toEqual(['wait 30080: comparison with the kernel']);
  return story;
}

describe('a peer behind NAT', () => {
  it('is waited for: nothing is begun towards an address that nobody knows', () => {
    const config = configOf(paris, [t1], [[t1]]);
    const [tunnel] = config.tunnels;
    const story = scenario({ ...config, tunnels: [{ ...tunnel!, initiator: false, initiatorNumber: 2, remote: { overlay: tunnel!.remote.overlay } }] });
    expect(story.pass({}).filter((line) => line.startsWith('load'))).toEqual(['load-credentials', `load ${t1}`]);
    for (const nowMs of [50, 5_000, 20_000]) expect(story.pass({ nowMs, connections: [t1] }).filter((line) => line.startsWith('initiate'))).toEqual([]);
  });
});

describe('many tunnels that come up at once', () => {
  it('are begun from the first on by the end that initiates, and later from the last on by the other', () => {
    const begun = (node: typeof berlin, initiator: boolean): string[] => {
      const config = configOf(node, [t1, t2, t3], []);
      const story = scenario({ ...config, tunnels: config.tunnels.map((tunnel) => ({ ...tunnel, initiator })) });
      const inPass = (machine: Partial<Machine>): string[] => story.pass(machine).filter((line) => line.startsWith('initiate'));
      return [...inPass({}), ...inPass({ nowMs: 2_000, connections: [t1, t2, t3] })];
    };
    expect(begun(paris, false)).toEqual([t3, t2, t1].map((tunnel) => `initiate ${tunnel}`));
    expect(begun(berlin, true).slice(0, 3)).toEqual([t1, t2, t3].map((tunnel) => `initiate ${tunnel}`));
  });
});

describe('a path that carries less than its uplink', () => {
  it('is fitted to in one apply, and no more once it carries everything', () => {
    const story = runningOnT1();
    const at = (nowMs: number, pathBytes: number) => ({ nowMs, connections: [t1], sas: [t1], interfaces: [t1], probes: { [t1]: { mtu: { pathBytes, interfaceBytes: 1350 } } } });
    expect(story.pass(at(1_100, 1350))).toEqual(['wait 30080: comparison with the kernel']);
    expect(story.pass(at(1_200, 1168))).toEqual([expect.stringMatching(`^apply .* interfaces=${t1}/1168 `)]);
    expect(story.pass(at(1_300, 1168))).toEqual(['wait 31200: comparison with the kernel']);
    expect(story.pass(at(1_400, 1350))).toEqual([expect.stringMatching(`^apply .* interfaces=${t1} `)]);
  });
});

describe('a new certificate', () => {
  it('is a reason to look again soon, for as long as a tunnel has not got it', () => {
    const story = runningOnT1();
    story.renew();
    const at = { connections: [t1], sas: [t1], interfaces: [t1], probes: { [t1]: {} } };
    expect(story.pass({ nowMs: 2_000, ...at })).toEqual(['load-credentials']);
    expect(story.pass({ nowMs: 2_001, ...at })).toEqual([`wait 2051: new keys of ${t1}`]);
    expect(story.pass({ nowMs: 5_001, ...at })).toEqual([`initiate-beside ${t1}`]);
    const second = { ...saOf(t1), ikeId: 2, besides: 1 };
    expect(story.pass({ nowMs: 5_050, ...at, sas: [second] })).toEqual([`wait 5100: new keys of ${t1}`]);
    expect(story.pass({ nowMs: 5_350, ...at, sas: [second] })).toEqual([`terminate-some ${t1}`]);
    expect(story.pass({ nowMs: 5_360, ...at, sas: [second] })).toEqual([`wait 5410: new keys of ${t1}`]);
    expect(story.pass({ nowMs: 5_370, ...at, sas: [{ ...second, besides: 0 }] })[0]).toMatch(/comparison with the kernel/);
  });

  it('is tried again a minute after the peer has not taken a second SA', () => {
    const story = runningOnT1();
    story.renew();
    const at = { connections: [t1], sas: [t1], interfaces: [t1], probes: { [t1]: {} } };
    for (const nowMs of [2_000, 2_001]) story.pass({ nowMs, ...at });
    expect(story.pass({ nowMs: 5_001, ...at })).toEqual([`initiate-beside ${t1}`]);
    expect(story.pass({ nowMs: 20_001, ...at })).toEqual(['wait 21001: tunnels that want new keys']);
    story.pass({ nowMs: 80_001, ...at });
    expect(story.pass({ nowMs: 80_002, ...at })).toEqual([`wait 80052: new keys of ${t1}`]);
  });
});

describe('a daemon that was killed and started again', () => {
  const before = { interfaces: [t1], probes: { [t1]: {} } };

  it('leaves traffic alone where the kernel has the SAs: they are made anew under it', () => {
    const story = runningOnT1();
    expect(story.pass({ nowMs: 2_000, ...before, keepsSas: true, daemon: false })).toEqual(['wait 3000: the IKE daemon']);
    expect(story.pass({ nowMs: 3_000, ...before, keepsSas: true })).toEqual(['load-credentials', `load ${t1}`, `initiate ${t1}`]);
    expect(story.differences({ nowMs: 3_001, ...before, keepsSas: true, connections: [t1] })).toEqual([`tunnel ${t1} has no SA`]);
    expect(story.pass({ nowMs: 3_001, ...before, keepsSas: true, connections: [t1] })).toEqual([expect.stringMatching(/^wait \d+: (?:the SA of|the next try)/) as string]);
    expect(story.pass({ nowMs: 3_100, ...before, keepsSas: true, connections: [t1], sas: [t1] })).toEqual(['wait 30080: comparison with the kernel']);
  });

  it('takes the interface with it once probes no longer come back', () => {
    const story = runningOnT1();
    expect(story.pass({ nowMs: 3_000, interfaces: [t1], probes: { [t1]: { state: 'down' } }, keepsSas: true })).toContain(`apply overlays=10.255.1.1 interfaces= lanes=${m1}→none steering=${m1}`);
  });

  it('has its interfaces made anew where it did ESP itself', () => {
    const story = runningOnT1();
    expect(story.pass({ nowMs: 3_000, ...before })).toContain(`apply overlays=10.255.1.1 interfaces= lanes=${m1}→none steering=${m1}`);
  });

  it('is no reason to keep a tunnel that is not wanted any more', () => {
    const story = runningOnT1();
    story.want(onT2, 2_000);
    expect(story.pass({ nowMs: 3_000, ...before, keepsSas: true }).find((action) => action.startsWith('apply'))).toMatch(/^apply overlays=\S+ interfaces= /);
  });
});

describe('the first config of a node', () => {
  it('gets addresses before exchanges, interfaces before probes, and traffic last', () => {
    const story = scenario(onT1);
    expect(story.pass({})).toEqual(['load-credentials', `apply overlays=10.255.1.1 interfaces= lanes=${m1}→none steering=${m1}`, `load ${t1}`, `initiate ${t1}`]);
    expect(story.pass({ nowMs: 1, connections: [t1] })[0]).toMatch(/^wait /);
    expect(story.pass({ nowMs: 50, connections: [t1], sas: [t1] })).toEqual([`apply overlays=10.255.1.1 interfaces=${t1} lanes=${m1}→none steering=${m1}`, `start-probe ${t1}`]);
    expect(story.pass({ nowMs: 70, connections: [t1], sas: [t1], interfaces: [t1], probes: { [t1]: { state: 'unknown' } } })).toEqual(['wait 30050: comparison with the kernel']);
    expect(story.pass({ nowMs: 80, connections: [t1], sas: [t1], interfaces: [t1], probes: { [t1]: {} } })).toEqual([`apply overlays=10.255.1.1 interfaces=${t1} lanes=${m1}→${t1} steering=${m1}`]);
    expect(story.pass({ nowMs: 81, connections: [t1], sas: [t1], interfaces: [t1], probes: { [t1]: {} } })).toEqual(['wait 30080: comparison with the kernel']);
    expect(story.differences({ nowMs: 81, connections: [t1], sas: [t1], interfaces: [t1], probes: { [t1]: {} } })).toEqual([]);
  });

  it('lets the other end initiate, and does so itself when nobody has for the grace time', () => {
    const story = scenario(configOf(paris, [t1], [[t1]]));
    expect(story.pass({})).not.toContain(`initiate ${t1}`);
    expect(story.pass({ nowMs: 1, connections: [t1] })).toEqual([`wait 2000: the peer's exchange for ${t1}`]);
    expect(story.pass({ nowMs: 2_000, connections: [t1] })).toEqual([`initiate ${t1}`]);
  });

  it('tries an exchange again after growing pauses, and gives up an IKE SA that gets no child', () => {
    const story = scenario(onT1);
    story.pass({});
    const childless = [saOf(t1, null)];
    const tries: string[][] = [];
    for (let nowMs = 100; nowMs < 20_000; nowMs += 100) {
      const actions = story.pass({ nowMs, connections: [t1], sas: childless }).filter((text) => /initiate|terminate/.test(text));
      if (actions.length > 0) tries.push([String(nowMs), ...actions]);
    }
    expect(tries.slice(0, 4).map(([, ...actions]) => actions)).toEqual([[`initiate ${t1}`], [`initiate ${t1}`], [`terminate ${t1}`, `initiate ${t1}`], [`terminate ${t1}`, `initiate ${t1}`]]);
    const gaps = tries.map(([at]) => Number(at)).map((at, index, all) => at - (all[index - 1] ?? 0));
    expect(gaps[2]!).toBeGreaterThan(gaps[0]!);
  });

  it('makes the tunnels of a standby gateway as those of a serving one', () => {
    const story = scenario(configOf(berlin, [t1], [[t1]], { serving: false }));
    expect(story.pass({})).toEqual([`load-credentials`, expect.stringContaining('apply overlays=10.255.1.1'), `load ${t1}`, `initiate ${t1}`]);
  });

  it('makes nothing on a node without tunnels', () => {
    const story = scenario(configOf(berlin, [], [], { serving: false }));
    expect(story.pass({})[1]).toBe('apply overlays= interfaces= lanes= steering=');
  });
});

describe('a move from one tunnel to another', () => {
  it('makes the new one, moves when it answers, and ends the old one when both ends have left it', () => {
    const story = runningOnT1();
    story.want(onT2, 2_000);
    const before = { connections: [t1], sas: [t1], interfaces: [t1], probes: { [t1]: { peerInUse: true } } };
    expect(story.pass({ nowMs: 2_000, ...before })).toEqual([
      `apply overlays=10.255.1.1,10.255.2.1 interfaces=${t1} lanes=${m1}→${t1} steering=${m1}`,
      `load ${t2}`,
      `initiate ${t2}`,
    ]);
    const both = { connections: [t1, t2], sas: [t1, t2] };
    expect(story.pass({ nowMs: 2_050, ...both, interfaces: [t1], probes: { [t1]: { peerInUse: true } } })).toEqual([
      `apply overlays=10.255.1.1,10.255.2.1 interfaces=${t1},${t2} lanes=${m1}→${t1} steering=${m1}`,
      `start-probe ${t2}`,
    ]);
    const up = { ...both, interfaces: [t1, t2] };
    expect(story.pass({ nowMs: 2_060, ...up, probes: { [t1]: { peerInUse: true }, [t2]: { state: 'unknown' } } })).toEqual([`wait 12000: new steering of berlin`]);
    expect(story.pass({ nowMs: 2_070, ...up, probes: { [t1]: { peerInUse: true }, [t2]: {} } })).toEqual([`apply overlays=10.255.1.1,10.255.2.1 interfaces=${t1},${t2} lanes=${m2}→${t2} steering=${m2}`]);
    expect(story.pass({ nowMs: 2_071, ...up, probes: { [t1]: { peerInUse: true }, [t2]: {} } })).toEqual(['wait 2171: old tunnels to drain']);
    expect(story.pass({ nowMs: 2_900, ...up, probes: { [t1]: { peerInUse: true }, [t2]: {} } })).toEqual(['wait 3000: old tunnels to drain']);
    expect(story.pass({ nowMs: 3_000, ...up, probes: { [t1]: { peerInUse: false }, [t2]: {} } })).toEqual([`stop-probe ${t1}`, `terminate ${t1}`, `unload-connection ${t1}`]);
    expect(story.pass({ nowMs: 3_010, connections: [t2], sas: [t2], interfaces: [t1, t2], probes: { [t2]: {} } })).toEqual([`apply overlays=10.255.2.1 interfaces=${t2} lanes=${m2}→${t2} steering=${m2}`]);
    expect(story.pass({ nowMs: 3_012, connections: [t2], sas: [t2], interfaces: [t2], probes: { [t2]: {} } })).toEqual(['wait 33010: comparison with the kernel']);
  });

  it.each([
    { title: 'leaves at once when the old one is dead', t1: { state: 'down' as const }, t2: { state: 'unknown' as const }, afterMs: 70, stays: true, note: 'stale but the new one does not answer either' },
    { title: 'leaves when the new one answers', t1: { state: 'up' as const }, t2: { state: 'up' as const }, afterMs: 70, stays: false, note: '' },
    { title: 'stays beyond the limit while the new one does not answer and the old one does', t1: { state: 'up' as const }, t2: { state: 'unknown' as const }, afterMs: 15_000, stays: true, note: '' },
    { title: 'leaves a silent old one after the limit', t1: { state: 'down' as const }, t2: { state: 'unknown' as const }, afterMs: 15_000, stays: false, note: '' },
  ])('$title $note', ({ t1: old, t2: fresh, afterMs, stays }) => {
    const story = runningOnT1();
    story.want(onT2, 2_000);
    story.pass({ nowMs: 2_000, connections: [t1], sas: [t1], interfaces: [t1], probes: { [t1]: {} } });
    story.pass({ nowMs: 2_050, connections: [t1, t2], sas: [t1, t2], interfaces: [t1], probes: { [t1]: {} } });
    const actions = story.pass({ nowMs: 2_000 + afterMs, connections: [t1, t2], sas: [t1, t2], interfaces: [t1, t2], probes: { [t1]: old, [t2]: fresh } });
    expect(actions.some((text) => text.endsWith(`steering=${m2}`))).toBe(!stays);
  });

  it('keeps lanes that do not change and asks only the new ones to be ready', () => {
    const story = runningOnT1();
    story.want(configOf(berlin, [t1, t2], [[t1], [t2]]), 2_000);
    story.pass({ nowMs: 2_000, connections: [t1], sas: [t1], interfaces: [t1], probes: { [t1]: {} } });
    expect(story.pass({ nowMs: 2_050, connections: [t1, t2], sas: [t1, t2], interfaces: [t1], probes: { [t1]: {} } })[0]).toMatch(new RegExp(`lanes=${m1}→${t1} steering=${m1}$`));
    expect(story.pass({ nowMs: 2_070, connections: [t1, t2], sas: [t1, t2], interfaces: [t1, t2], probes: { [t1]: {}, [t2]: {} } })).toEqual([
      `apply overlays=10.255.1.1,10.255.2.1 interfaces=${t1},${t2} lanes=${m1}→${t1},${m2}→${t2} steering=${m1}+${m2}`,
    ]);
  });

  it('drops a (site, class) that is not wanted any more at once', () => {
    const story = runningOnT1();
    story.want(configOf(berlin, [t1], []), 2_000);
    expect(story.pass({ nowMs: 2_000, connections: [t1], sas: [t1], interfaces: [t1], probes: { [t1]: {} } })).toEqual([`apply overlays=10.255.1.1 interfaces=${t1} lanes= steering=`]);
  });

  it.each([
    { title: '300 ms when the peer has left', peerInUse: false, rx: () => 5, goneAtMs: 300 },
    { title: '300 ms without a packet when the peer says nothing', peerInUse: null, rx: () => 5, goneAtMs: 300 },
    { title: 'at most 30 s while packets come and the peer says nothing', peerInUse: null, rx: (ms: number) => ms, goneAtMs: 30_000 },
    { title: 'at most 30 s for a peer that says it still sends', peerInUse: true, rx: (ms: number) => ms, goneAtMs: 30_000 },
  ])('drains an old tunnel for $title', ({ peerInUse, rx, goneAtMs }) => {
    const story = runningOnT1();
    story.want(configOf(berlin, [], []), 2_000);
    story.pass({ nowMs: 2_000, connections: [t1], sas: [t1], interfaces: [t1], probes: { [t1]: {} } });
    let terminatedAtMs = Number.NaN;
    for (let ms = 0; ms <= 40_000 && Number.isNaN(terminatedAtMs); ms += 100) {
      const actions = story.pass({ nowMs: 2_000 + ms, connections: [t1], sas: [t1], interfaces: [t1], probes: { [t1]: { peerInUse } }, rx: { [t1]: rx(ms) } });
      if (actions.includes(`terminate ${t1}`)) terminatedAtMs = ms;
    }
    expect(terminatedAtMs).toBe(goneAtMs);
  });
});

describe('a restarted agent', () => {
  it('adopts what works, touches nothing until its probes have judged it, and then changes nothing', () => {
    const story = scenario(onT1, [], 500_000);
    const found = { nowMs: 500_000, connections: [t1], sas: [t1], interfaces: [t1] };
    expect(story.pass(found)).toEqual(['load-credentials', `load ${t1}`, `start-probe ${t1}`, 'wait 500700: probes of adopted tunnels']);
    expect(story.pass({ ...found, nowMs: 500_010, probes: { [t1]: { state: 'unknown' } } })).toEqual(['wait 500700: probes of adopted tunnels']);
    expect(story.pass({ ...found, nowMs: 500_020, probes: { [t1]: {} } })).toEqual([`apply overlays=10.255.1.1 interfaces=${t1} lanes=${m1}→${t1} steering=${m1}`]);
  });

  it('keeps traffic where it is when the peers do not answer', () => {
    const story = scenario(onT1, [], 500_000);
    const found = { connections: [t1], sas: [t1], interfaces: [t1], probes: { [t1]: { state: 'down' as const, wasEverUp: false } } };
    story.pass({ ...found, nowMs: 500_000, probes: {} });
    expect(story.pass({ ...found, nowMs: 500_200 })).toEqual([`apply overlays=10.255.1.1 interfaces=${t1} lanes=${m1}→${t1} steering=${m1}`]);
  });

  it('finishes a move that was under way when it died, make before break', () => {
    const story = scenario(onT2, [onT1], 500_000);
    const found = { connections: [t1], sas: [t1], interfaces: [t1] };
    expect(story.pass({ ...found, nowMs: 500_000 })).toEqual(['load-credentials', `start-probe ${t1}`, 'wait 500700: probes of adopted tunnels']);
    expect(story.pass({ ...found, nowMs: 500_030, probes: { [t1]: {} } })).toEqual([
      'load-credentials',
      `apply overlays=10.255.1.1,10.255.2.1 interfaces=${t1} lanes=${m1}→${t1} steering=${m1}`,
      `load ${t2}`,
      `initiate ${t2}`,
    ]);
  });

  it('ends SAs and connections of no config, and leaves those of other people alone', () => {
    const story = scenario(configOf(berlin, [], []));
    const stranger = 'road-warrior' as TunnelId;
    expect(story.pass({ connections: [t3, stranger], sas: [t3, stranger], interfaces: [t3] })).toEqual(['load-credentials', 'apply overlays= interfaces= lanes= steering=', `terminate ${t3}`, `unload-connection ${t3}`]);
  });
});

describe('trouble', () => {
  it('builds everything anew after the daemon came back empty', () => {
    const story = runningOnT1();
    expect(story.pass({ nowMs: 2_000, daemon: false })).toEqual([`apply overlays=10.255.1.1 interfaces= lanes=${m1}→none steering=${m1}`]);
    expect(story.pass({ nowMs: 2_001, daemon: false })).toEqual(['wait 3001: the IKE daemon']);
    expect(story.pass({ nowMs: 2_500 })).toEqual(['load-credentials', `load ${t1}`, `initiate ${t1}`]);
  });

  it('makes an interface again that somebody removed', () => {
    const story = runningOnT1();
    const machine = { connections: [t1], sas: [t1], interfaces: [], probes: { [t1]: {} } };
    expect(story.pass({ nowMs: 2_000, ...machine })).toEqual([`apply overlays=10.255.1.1 interfaces=${t1} lanes=${m1}→${t1} steering=${m1}`]);
    expect(story.pass({ nowMs: 2_001, ...machine })).toEqual(['wait 2250: interfaces']);
  });

  it('establishes a tunnel anew when its addresses changed', () => {
    const story = runningOnT1();
    const moved = { ...tunnelOf(berlin, t1), remote: { address: '203.0.113.9', overlay: '10.255.1.2' } };
    story.want({ ...onT1, tunnels: [moved] }, 2_000);
    const actions = story.pass({ nowMs: 2_000, connections: [t1], sas: [t1], interfaces: [t1], probes: { [t1]: {} } });
    expect(actions.slice(1)).toEqual([`load ${t1}`, `terminate ${t1}`]);
  });

  it('gives way to a new tunnel that has the overlay address of an old one', () => {
    const story = runningOnT1();
    story.want({ ...onT2, tunnels: [tunnelOf(berlin, t2, 1)] }, 2_000);
    const actions = story.pass({ nowMs: 2_000, connections: [t1], sas: [t1], interfaces: [t1], probes: { [t1]: {} } });
    expect(actions).toContain(`terminate ${t1}`);
  });

  it('compares with the kernel every 30 s', () => {
    const story = runningOnT1();
    expect(story.pass({ nowMs: 30_080, connections: [t1], sas: [t1], interfaces: [t1], probes: { [t1]: {} } })).toEqual([`apply overlays=10.255.1.1 interfaces=${t1} lanes=${m1}→${t1} steering=${m1}`]);
  });
});

describe('a tunnel that asks for ML-KEM', () => {
  const asking = (postQuantum: 'mlkem' | 'mlkem-preferred'): NodeConfig => {
    const config = configOf(berlin, [t1], [[t1]]);
    return { ...config, tunnels: config.tunnels.map((tunnel) => ({ ...tunnel, postQuantum })) };
  };
  const loads = (config: NodeConfig, machine: Partial<Machine>): string[] => scenario(config).pass({ nowMs: 10, ...machine }).filter((line) => /^(?:load|initiate) t-/.test(line));
  const hybrid = { version: '6.1.0', mlKem: true };

  it('does not come up where the daemon has none, and says how to mend that', () => {
    const config = asking('mlkem');
    expect(loads(config, { connections: [t1] })).toEqual([]);
    const said = scenario(config).differences({ nowMs: 10 }).find((line) => line.includes('ML-KEM'));
    expect(said).toContain('AGENT_MLKEM_MISSING');
    expect(said).toContain('(5.9.8)');
    expect(said).toContain('install strongSwan 6');
  });

  it('comes up with it as soon as another daemon runs, and with nothing less', () => {
    expect(loads(asking('mlkem'), { ike: hybrid })).toContain(`load ${t1} with ML-KEM required`);
  });

  it('comes up without it where that is allowed, and with it where the daemon can', () => {
    expect(loads(asking('mlkem-preferred'), {})).toContain(`load ${t1}`);
    expect(loads(asking('mlkem-preferred'), { ike: hybrid })).toContain(`load ${t1} with ML-KEM preferred`);
    expect(scenario(asking('mlkem-preferred')).differences({ nowMs: 10 }).join()).not.toContain('ML-KEM');
  });
});
