import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type LabNetwork, startNetwork } from '../../../src/lab/network.ts';
import type { PathProfile } from '../../../src/lab/world.ts';
import { pathId, nodeId, uplinkId } from '../../../src/model/index.ts';
import { twoSiteIntent } from '../../support/lab-intent.ts';
import { build } from './built.ts';
import { gatewayAt, inGateway } from './plain-tunnel.ts';

const FIBRE = pathId(uplinkId(nodeId('berlin-gw1'), 'fibre'), uplinkId(nodeId('paris-gw1'), 'fibre'));
const CLEAR: PathProfile = { delayMs: 0, jitterMs: 0, lossRatio: 0, bandwidthMbps: 20, down: false };

describe('the emulated WAN', () => {
  let network: LabNetwork;
  const berlin = (): string => address('berlin-gw1');
  const paris = (): string => address('paris-gw1');
  const address = (node: string): string => gatewayAt(network, node).uplinks[0]!.address;

  beforeAll(async () => {
    await build();
    network = await startNetwork({ intent: twoSiteIntent(), seed: 'wan-test' });
  });
  afterAll(() => network?.close());
  afterEach(() => network.setPath(FIBRE, CLEAR));

  async function pingWan(count: number, intervalSeconds = '0.01'): Promise<{ received: number; minMs: number; meanMs: number; deviationMs: number }> {
    const output = await inGateway(gatewayAt(network, 'berlin-gw1'), 'sh', '-c', `ping -n -q -c ${count} -i ${intervalSeconds} -W 1 -I ${berlin()} ${paris()} || true`);
    const received = Number(/(\d+) received/.exec(output)?.[1]);
    const [minMs, meanMs, , deviationMs] = (/= ([\d./]+) ms/.exec(output)?.[1] ?? 'NaN/NaN/NaN/NaN').split('/').map(Number) as [number, number, number, number];
    return { received, minMs, meanMs, deviationMs };
  }

  /** Offers UDP for two seconds, berlin to paris; gives what arrived, Mbit/s. */
  async function offer(mbps: number): Promise<number> {
    const server = inGateway(gatewayAt(network, 'paris-gw1'), 'iperf3', '-s', '-1', '-B', paris());
    await pingWan(10); // the server needs a moment
    const output = await inGateway(gatewayAt(network, 'berlin-gw1'), 'iperf3', '-c', paris(), '-B', berlin(), '-u', '-b', `${mbps}M`, '-l', '1200', '-t', '2', '-J');
    await server;
    const end = (JSON.parse(output) as { end: { sum: { bits_per_second: number; lost_percent: number } } }).end.sum;
    return (end.bits_per_second * (1 - end.lost_percent / 100)) / 1e6;
  }

  it('adds next to nothing by itself', async () => {
    await network.setPath(FIBRE, { ...CLEAR, bandwidthMbps: 0 });
    const { received, minMs } = await pingWan(50);
    expect(received).toBe(50);
    // 0.3 ms on an idle machine; the bound is for a busy one, and still far below any delay that is asked for
    expect(minMs).toBeLessThan(8);
  });

  it('delays each direction by what it was told', async () => {
    await network.setPath(FIBRE, { delayMs: 30 }, 'forward');
    await network.setPath(FIBRE, { delayMs: 10 }, 'reverse');
    const { minMs } = await pingWan(50);
    expect(minMs).toBeGreaterThan(38.5);
    expect(minMs).toBeLessThan(48);
  });

  it('varies the delay by the jitter', async () => {
    await network.setPath(FIBRE, { delayMs: 30, jitterMs: 5 });
    const { deviationMs } = await pingWan(100, '0.03');
    expect(deviationMs).toBeGreaterThan(2.5);
    expect(deviationMs).toBeLessThan(25);
  });

  it('loses the share it was told', async () => {
    await network.setPath(FIBRE, { lossRatio: 0.2 }, 'forward');
    const { received } = await pingWan(500, '0.005');
    expect(received).toBeGreaterThan(350);
    expect(received).toBeLessThan(450);
    const count = (await network.report()).paths.find((one) => one.path === FIBRE)!.forward;
    expect(count.lostPackets).toBe(500 - received);
  });

  it('lets no more pass than the path has bandwidth', async () => {
    await network.setPath(FIBRE, { bandwidthMbps: 5 });
    expect(await offer(8)).toSatisfy((mbps: number) => mbps > 3.5 && mbps < 5.1);
  });

  it('lets no more pass than the uplink has, whatever the path allows', async () => {
    await network.setPath(FIBRE, { bandwidthMbps: 100 });
    expect(await offer(30)).toSatisfy((mbps: number) => mbps > 12 && mbps < 20.2);
  });

  it('drops everything in silence when a direction is down, and counts it', async () => {
    await network.setPath(FIBRE, { down: true }, 'reverse');
    const { received } = await pingWan(10);
    expect(received).toBe(0);
    const { forward, reverse } = (await network.report()).paths.find((one) => one.path === FIBRE)!;
    expect(forward.cutPackets).toBe(0);
    expect(reverse.cutPackets).toBe(10);
  });

  it('tells ESP, IKE and clear text apart by the packets', async () => {
    const before = (await network.report()).paths.find((one) => one.path === FIBRE)!.forward;
    const payloads = [
      { port: 4500, hex: 'c0ffee0100000001', times: 5 },
      { port: 4500, hex: '00000000aabbccdd', times: 3 },
      { port: 4500, hex: 'ff', times: 1 },
      { port: 500, hex: 'aabbccddeeff0011', times: 2 },
      { port: 7000, hex: '68656c6c6f', times: 4 },
    ];
    const script = `const s=require('dgram').createSocket('udp4');s.bind(4500,'${berlin()}',async()=>{for(const p of ${JSON.stringify(payloads)}){const o=p.port===7000||p.port===500?require('dgram').createSocket('udp4').bind(p.port,'${berlin()}'):s;await new Promise(r=>setTimeout(r,20));for(let i=0;i<p.times;i++)await new Promise(r=>o.send(Buffer.from(p.hex,'hex'),p.port,'${paris()}',r))}process.exit(0)})`;
    await inGateway(gatewayAt(network, 'berlin-gw1'), 'node', '-e', script);
    const report = await network.report();
    const after = report.paths.find((one) => one.path === FIBRE)!.forward;
    expect(after.espPackets - before.espPackets).toBe(5);
    expect(after.ikePackets - before.ikePackets).toBe(6);
    expect(after.clearTextPackets - before.clearTextPackets).toBe(4);
    expect(report.clearTextSeen.some((one) => one.path === FIBRE)).toBe(true);
  });

  it('counts a packet with a host address as clear text and does not deliver it', async () => {
    const before = await network.report();
    await inGateway(gatewayAt(network, 'berlin-gw1'), 'sh', '-c', 'ping -n -q -c 3 -i 0.01 -W 1 10.2.0.10 || true');
    const after = await network.report();
    expect(after.strayPackets - before.strayPackets).toBe(3);
    expect(after.otherFrames).toBe(0);
  });
});
