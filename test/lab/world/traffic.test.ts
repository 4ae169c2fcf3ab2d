import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LabNetwork, startNetwork } from '../../../src/lab/network.ts';
import type { StreamReport } from '../../../src/lab/traffic/index.ts';
import { sleep } from '../../../src/base/index.ts';
import { classId, nodeId, pathId, siteId, uplinkId } from '../../../src/model/index.ts';
import { twoSiteIntent } from '../../support/lab-intent.ts';
import { build } from './built.ts';
import { joinSites } from './plain-tunnel.ts';

const FIBRE = pathId(uplinkId(nodeId('berlin-gw1'), 'fibre'), uplinkId(nodeId('paris-gw1'), 'fibre'));
const [BERLIN, PARIS] = [siteId('berlin'), siteId('paris')];
/** 500 packets a second of 500 bytes. */
const STEADY = { name: 'steady', from: BERLIN, to: PARIS, classId: classId('default'), port: 7000, flows: 4, packetBytes: 500, rate: { kind: 'constant', mbps: 2 } } as const;

describe('senders and receivers', () => {
  let network: LabNetwork;

  beforeAll(async () => {
    await build();
    network = await startNetwork({ intent: twoSiteIntent() });
    await joinSites(network, FIBRE);
    await network.setPath(FIBRE, { lossRatio: 0 });
  });
  afterAll(() => network?.close());

  it('reach each other over the joined sites', async () => {
    expect(await network.ping(BERLIN, PARIS, 5)).toMatchObject({ sent: 5, received: 5 });
  });

  it('lose, double and reorder nothing on a clean path, at the rate asked for', async () => {
    const sender = await network.startSender(STEADY);
    await sleep(network.clock, 4000);
    const during = await sender.report();
    await sender.stop();
    const after = await sender.report();
    expect(during).toMatchObject({ lost: 0, duplicated: 0, reordered: 0 });
    expect(during.sent).toBeGreaterThan(3.3 * 500);
    expect(during.mbps).toBeGreaterThan(1.8);
    expect(during.mbps).toBeLessThan(2.2);
    expect(during.latencyMs).toBeGreaterThan(3);
    expect(after).toMatchObject({ lost: 0, duplicated: 0, reordered: 0 });
    expect(after.sent).toBe(after.received);
    expect(after.sent).toBeGreaterThan(3.9 * 500 - after.skipped);
  });

  it('measure how long a cut lasted and how much it cost', async () => {
    const sender = await network.startSender({ ...STEADY, name: 'cut', port: 7001 });
    await sleep(network.clock, 500);
    await sender.reset();
    await sleep(network.clock, 500);
    const cutAt = network.clock.now();
    await network.setPath(FIBRE, { down: true });
    await sleep(network.clock, 1000);
    await network.setPath(FIBRE, { down: false });
    await sleep(network.clock, 700);
    await sender.stop();
    const report: StreamReport = await sender.report();
    expect(report.longestGapMs).toBeGreaterThan(985);
    expect(report.longestGapMs).toBeLessThan(1400);
    expect(Math.abs(report.longestGapAt - cutAt)).toBeLessThan(300);
    expect(report.lost).toBeGreaterThan(480);
    expect(report.lost).toBeLessThan(700);
    expect(report.sent - report.received).toBe(report.lost);
  });

  it('count anew after a reset', async () => {
    const sender = await network.startSender({ ...STEADY, name: 'reset', port: 7002 });
    await sleep(network.clock, 1000);
    await sender.reset();
    await sleep(network.clock, 1000);
    await sender.stop();
    const report = await sender.report();
    expect(report.lost).toBe(0);
    expect(report.sent).toBeGreaterThan(400);
    expect(report.sent).toBeLessThan(700);
  });
});
