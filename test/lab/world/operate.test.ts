import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/base/index.ts';
import { attachNetwork } from '../../../src/lab/network.ts';
import { labDown, labFault, labStatus, labTraffic, labUp } from '../../../src/lab/operate.ts';
import { cleanUp, listLabs, newLabId } from '../../../src/lab/run/index.ts';
import { classId, nodeId, pathId, siteId, uplinkId } from '../../../src/model/index.ts';
import { twoSiteIntent } from '../../support/lab-intent.ts';
import { build } from './built.ts';
import { joinSites } from './plain-tunnel.ts';

const BERLIN = nodeId('berlin-gw1');
const FIBRE = pathId(uplinkId(BERLIN, 'fibre'), uplinkId(nodeId('paris-gw1'), 'fibre'));

/** Each call works from the record on disk alone, as a command in another process does. */
describe('a lab that stays', () => {
  const id = newLabId();
  const daemonOf = async (): Promise<boolean> => (await labStatus(id)).processes.find((entry) => entry.role === `charon.${BERLIN}`)!.alive;

  beforeAll(async () => {
    await build();
    await labUp({ id, intent: twoSiteIntent(), repository: { files: [{ file: 'mesh-config/mesh.yaml', text: 'name: test\n' }] }, opa: 'opa', agents: false });
  });
  afterAll(() => cleanUp(id, systemClock));

  it('shows its processes, gateways, hosts and paths', async () => {
    const status = await labStatus(id);
    expect(status.processes.map((entry) => [entry.role, entry.alive])).toEqual([[`charon.${BERLIN}`, true], ['charon.paris-gw1', true], ['relay', true]]);
    expect(status.gateways.map((gateway) => [gateway.node, gateway.tunnels.length, gateway.runtime])).toEqual([[BERLIN, 0, null], ['paris-gw1', 0, null]]);
    expect(status.hosts.map((host) => host.address)).toEqual(['10.1.0.10', '10.2.0.10']);
    expect(status.wan.paths).toHaveLength(4);
  });

  it('takes a fault on a path', async () => {
    await labFault(id, { kind: 'path', path: FIBRE, profile: { down: true }, direction: 'forward' });
    const path = (await labStatus(id)).wan.paths.find((one) => one.path === FIBRE)!;
    expect([path.profiles.forward.down, path.profiles.reverse.down]).toEqual([true, false]);
    await labFault(id, { kind: 'path', path: FIBRE, profile: { down: false } });
  });

  it('takes the death of a daemon, and its return', async () => {
    await labFault(id, { kind: 'kill', what: { kind: 'daemon', node: BERLIN } });
    expect(await daemonOf()).toBe(false);
    await labFault(id, { kind: 'restart', what: { kind: 'daemon', node: BERLIN } });
    expect(await daemonOf()).toBe(true);
  });

  it('sends traffic and says each second how it goes', async () => {
    await joinSites(await attachNetwork(id), FIBRE, 4789);
    const reports: number[] = [];
    const spec = { name: 'by hand', from: siteId('berlin'), to: siteId('paris'), classId: classId('default'), port: 7000, flows: 2, packetBytes: 400, rate: { kind: 'constant', mbps: 1 } } as const;
    const last = await labTraffic(id, spec, 2000, (report) => reports.push(report.received));
    expect(reports).toHaveLength(2);
    expect(last.received).toBeGreaterThan(500);
    expect(last.lost).toBe(0);
  });

  it('goes when it is told to, and is unknown from then on', async () => {
    expect(await labDown(id)).toEqual([id]);
    expect((await listLabs()).map((lab) => lab.id)).not.toContain(id);
    await expect(labStatus(id)).rejects.toMatchObject({ code: 'LAB_FAILED' });
  });
});
