import { describe, expect, it } from 'vitest';
import { createProcHost } from '../../../agent/posture/index.ts';
import { parseCpu, parseMemory, parseProcess } from '../../../agent/posture/proc-text.ts';
import { type CounterReading, readingOf, samplesOf } from '../../../agent/report/index.ts';
import { berlin, configOf, t1 } from '../../support/node-configs.ts';

describe('the load of a gateway', () => {
  it('is read off the texts of /proc', () => {
    expect(parseCpu('cpu  100 10 50 800 40 0 0 0 0 0\ncpu0 1 2 3\n')).toEqual({ cpuBusyMs: 1_600, cpuTotalMs: 10_000 });
    expect(parseMemory('MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    600 kB\n')).toEqual({ memoryTotalBytes: 1_024_000, memoryUsedBytes: 409_600 });
    const rest = Array.from({ length: 49 }, (_, index) => index + 4).join(' ');
    expect(parseProcess(`7 (char) on ) S ${rest}`)).toEqual({ pid: 7, name: 'char) on ', cpuMs: (14 + 15) * 10, rssBytes: 24 * 4096 });
    expect(parseProcess('')).toBeNull();
  });

  it('is that of this machine and this process, and counts no connections unless permitted', async () => {
    const host = createProcHost();
    const first = await host.read(false);
    expect(first).toMatchObject({ agent: { pid: process.pid }, connections: null });
    expect(first.memoryTotalBytes).toBeGreaterThan(first.memoryUsedBytes);
    expect(first.agent.rssBytes).toBeGreaterThan(10_000_000);
    expect(Math.abs(first.agent.rssBytes - process.memoryUsage().rss)).toBeLessThan(50_000_000);
    for (let busy = 0, until = performance.now() + 60; performance.now() < until; busy++) Math.sqrt(busy);
    const second = await host.read(false);
    expect(second.agent.cpuMs).toBeGreaterThan(first.agent.cpuMs);
    expect(second.cpuBusyMs).toBeGreaterThan(first.cpuBusyMs);
    expect(second.cpuTotalMs - second.cpuBusyMs).toBeGreaterThanOrEqual(first.cpuTotalMs - first.cpuBusyMs);
  });
});

describe('a sample of it', () => {
  const config = configOf(berlin, [t1], [[t1]]);
  const host = { cpuBusyMs: 1_000, cpuTotalMs: 20_000, load: 1, memoryUsedBytes: 5, memoryTotalBytes: 10, agent: { pid: 1, cpuMs: 500, rssBytes: 70 }, daemon: { pid: 2, cpuMs: 100, rssBytes: 20 }, connections: null };
  const counters = (bytes: number) => ({ offered: [], tunnels: [], links: [{ interface: 'isp1', rxBytes: bytes, txBytes: 2 * bytes }, { interface: 'lo', rxBytes: 9, txBytes: 9 }], shaped: [], leakPackets: 0 });
  const samples = (before: CounterReading, now: CounterReading) => samplesOf(before, now, { config, paths: new Map(), probedMs: 10_000, isActive: () => false }).filter(({ kind }) => kind === 'uplink' || kind === 'host');

  it('gives shares of the window, and bytes of the uplinks that the config names', () => {
    const later = { ...host, cpuBusyMs: 6_000, cpuTotalMs: 40_000, agent: { ...host.agent, cpuMs: 1_500 }, daemon: { ...host.daemon, cpuMs: 2_100 } };
    expect(samples(readingOf(counters(100), 10_000, host), readingOf(counters(400), 20_000, later))).toEqual([
      { kind: 'uplink', sampledAt: 20_000, windowMs: 10_000, node: berlin, uplink: 'berlin-gw1/up1', rxBytes: 300, txBytes: 600 },
      { kind: 'host', sampledAt: 20_000, windowMs: 10_000, node: berlin, cpuRatio: 0.25, load: 1, memoryUsedBytes: 5, memoryTotalBytes: 10, agentCpuRatio: 0.1, agentRssBytes: 70, daemonCpuRatio: 0.2, daemonRssBytes: 20, connections: null },
    ]);
  });

  it('says how many hosts are active only where that may be counted, and of fewer than five nothing', () => {
    const users = [{ group: 'class' as const, name: 'voice', hosts: 4 }, { group: 'role' as const, name: 'tills', hosts: 5 }];
    const [before, now] = [1, 2].map((turn) => readingOf({ ...counters(0), users }, turn * 10_000)) as [CounterReading, CounterReading];
    const told = (countUsers: object): unknown[] => samplesOf(before, now, { config: { ...config, ...countUsers }, paths: new Map(), probedMs: 10_000, isActive: () => false }).flatMap((sample) => (sample.kind === 'users' ? [[sample.group, sample.name, sample.hosts]] : []));
    expect(told({})).toEqual([]);
    expect(told({ countUsers: { roles: [] } })).toEqual([['class', 'voice', 0], ['role', 'tills', 5]]);
    expect(JSON.stringify(now)).not.toContain('"hosts":4'); // nor on disk
  });

  it('has the bytes of a tunnel without what the gateway itself said in it', () => {
    const tunnelsOf = (rxBytes: number, own: object): CounterReading => readingOf({ ...counters(0), tunnels: [{ tunnel: t1, rxBytes, txBytes: rxBytes, rxPackets: 1, txPackets: 1, ...own }] }, rxBytes * 10);
    const bytes = (before: CounterReading, now: CounterReading): unknown[] => samplesOf(before, now, { config, paths: new Map(), probedMs: 10_000, isActive: () => false }).flatMap((sample) => (sample.kind === 'tunnel' ? [[sample.rxBytes, sample.txBytes]] : []));
    expect(bytes(tunnelsOf(1000, { ownRxBytes: 900, ownTxBytes: 800 }), tunnelsOf(3000, { ownRxBytes: 2900, ownTxBytes: 1300 }))).toEqual([[0, 1500]]);
    expect(bytes(tunnelsOf(1000, {}), tunnelsOf(3000, {}))).toEqual([[2000, 2000]]);
    expect(bytes(tunnelsOf(1000, { ownRxBytes: 5000, ownTxBytes: 5000 }), tunnelsOf(3000, { ownRxBytes: 100, ownTxBytes: 100 }))).toEqual([[1900, 1900]]); // the table was made anew
  });

  it('says nothing of a daemon that was restarted meanwhile, nor of a machine that was, nor of an interface that is new', () => {
    const restarted = { ...host, cpuTotalMs: 30_000, daemon: { pid: 3, cpuMs: 5, rssBytes: 21 } };
    expect(samples(readingOf(counters(1), 10_000, host), readingOf(counters(1), 20_000, restarted)).at(-1)).toMatchObject({ daemonCpuRatio: null, daemonRssBytes: 21 });
    expect(samples(readingOf(counters(1), 10_000, host), readingOf(counters(1), 20_000, { ...host, cpuTotalMs: 50 })).map(({ kind }) => kind)).toEqual(['uplink']);
    expect(samples({ readAt: 10_000, offered: [], tunnels: [] }, readingOf(counters(1), 20_000, host))).toEqual([]);
  });
});
