import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadIntent, readConfigFolder } from '../../../src/intent/index.ts';
import { createLabWorld, type LabWorld } from '../../../src/lab/lab-world.ts';
import { classId, nodeId, type PathId, siteId } from '../../../src/model/index.ts';
import { findOpa, readPolicyFolder } from '../../../src/policy/index.ts';
import { build } from './built.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const [BERLIN, PARIS] = [siteId('berlin'), siteId('paris')];
const GATEWAY = nodeId('berlin-gw1');
/** Either may own the LAN address after what the first went through. */
const BERLIN_GATEWAYS = [GATEWAY, nodeId('berlin-gw2')];

/** Everything real, from the shipped example: what one `World` has to be able to do before a story is told on it. */
describe('the example mesh in the lab', () => {
  let world: LabWorld;

  beforeAll(async () => {
    await build();
    const files = await readConfigFolder(ROOT);
    const loaded = loadIntent(files, null);
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.findings));
    world = await createLabWorld({ intent: loaded.value.intent, repository: { files: [...files, ...(await readPolicyFolder(ROOT))] }, opa: await findOpa() });
  });
  afterAll(() => world?.close());

  it('joins all agents and brings up the tunnels of the first plan, each listed by charon with AEAD ciphers', async () => {
    const installed = await world.until(async () => {
      const { tunnels, generation } = await world.nodeState(GATEWAY);
      const sas = await world.listSas(GATEWAY);
      return generation > 0 && tunnels.length > 0 && sas.filter((sa) => sa.childState === 'INSTALLED').length === tunnels.length && sas;
    }, 60_000);
    expect(installed).not.toBeNull();
    for (const sa of installed!) {
      expect(sa.ikeState).toBe('ESTABLISHED');
      expect(sa.espSuite).toMatch(/^AES_GCM_16-|^CHACHA20_POLY1305/);
    }
    for (const gateway of await world.inventory()) expect(gateway.certificate).toMatch(new RegExp(`^CN=${gateway.node}, issued by CN=`));
  });

  it('carries pings and iperf3 as ESP, with no packet in clear text', async () => {
    const reached = await world.until(async () => (await world.ping(BERLIN, PARIS, 5)).received === 5, 30_000);
    expect(reached).toBe(true);
    const before = await world.underlay();
    const [sa] = (await world.listSas(GATEWAY)).filter((one) => one.childState === 'INSTALLED');
    expect((await world.throughput(sa!.tunnel, 2000, 4)).mbps).toBeGreaterThan(3);
    const after = await world.underlay();
    expect(after.espPackets - before.espPackets).toBeGreaterThan(600);
    expect(after).toMatchObject({ clearTextPackets: 0, clearTextSeen: [] });
  });

  it('goes on over another path within a second when the busiest is cut in silence', async () => {
    const sender = await world.startSender({ name: 'calls', from: BERLIN, to: PARIS, classId: classId('voice'), port: 5000, flows: 4, packetBytes: 160, rate: { kind: 'constant', mbps: 0.5 } });
    await world.pass(1500);
    const path = await busiestPath(world);
    await sender.reset();
    await world.pass(700);
    await world.setPath(path, { down: true });
    await world.pass(3000);
    const report = await sender.report();
    await sender.stop();
    await world.setPath(path, { down: false });
    expect(report.longestGapMs).toBeGreaterThan(50);
    expect(report.longestGapMs).toBeLessThan(1500);
    expect(report.mbps).toBeGreaterThan(0.4);
    expect(await world.underlay()).toMatchObject({ clearTextPackets: 0, clearTextSeen: [] });
  });

  it('forwards on while an agent and the engine are dead, and takes them back', async () => {
    await world.kill({ kind: 'agent', node: GATEWAY });
    await world.kill({ kind: 'engine' });
    await expect(world.nodeState(GATEWAY)).rejects.toMatchObject({ code: 'LAB_FAILED' });
    await expect(world.api.request('GET', '/v1/status')).rejects.toMatchObject({ code: 'API_UNREACHABLE' });
    expect((await world.ping(BERLIN, PARIS, 5)).received).toBe(5);
    await world.restart({ kind: 'engine' });
    await world.restart({ kind: 'agent', node: GATEWAY });
    expect(await world.until(async () => (await world.nodeState(GATEWAY).catch(() => null))?.connected, 30_000)).toBe(true);
    expect((await world.api.request('GET', '/v1/status')).status).toBe(200);
    expect((await world.nodeState(GATEWAY)).generation).toBeGreaterThan(0);
  });

  it('lets nothing out in clear text when the daemons of a site die, and comes back with them', async () => {
    for (const node of BERLIN_GATEWAYS) await world.kill({ kind: 'daemon', node });
    expect((await world.ping(BERLIN, PARIS, 3)).received).toBe(0);
    expect(await world.underlay()).toMatchObject({ clearTextPackets: 0, clearTextSeen: [] });
    for (const node of BERLIN_GATEWAYS) await world.restart({ kind: 'daemon', node });
    expect(await world.until(async () => (await world.ping(BERLIN, PARIS, 3)).received === 3, 60_000)).toBe(true);
    expect(await world.underlay()).toMatchObject({ clearTextPackets: 0, clearTextSeen: [] });
  });
});

/** The path that carries most packets just now. */
async function busiestPath(world: LabWorld): Promise<PathId> {
  const before = new Map((await world.underlay()).paths.map((one) => [one.path, one.espPackets]));
  await world.pass(1000);
  const grown = (await world.underlay()).paths.map((one) => ({ path: one.path, packets: one.espPackets - before.get(one.path)! }));
  return grown.sort((left, right) => right.packets - left.packets)[0]!.path;
}
