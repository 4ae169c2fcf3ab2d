import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ViciConnection } from '../../../agent/vici/index.ts';
import { runCommand, runCommandText, systemClock } from '../../../src/base/index.ts';
import { createLabWorld, type LabWorld } from '../../../src/lab/lab-world.ts';
import { gatewayFiles } from '../../../src/lab/gateway-process.ts';
import { listProcesses } from '../../../src/lab/run/index.ts';
import { nodeId, pathId, type NodeId, type TunnelId, uplinkId } from '../../../src/model/index.ts';
import { twoSiteIntent } from '../../support/lab-intent.ts';
import { build } from './built.ts';
import { gatewayAt } from './plain-tunnel.ts';

const [BERLIN, PARIS] = [nodeId('berlin-gw1'), nodeId('paris-gw1')];
const FIBRE = pathId(uplinkId(BERLIN, 'fibre'), uplinkId(PARIS, 'fibre'));
const TUNNEL = 't-00000001' as TunnelId;

/** What agents do, reduced to one tunnel with a shared key, so that daemons and world can be tested without them. */
describe('a world of daemons without agents', () => {
  let world: LabWorld;

  beforeAll(async () => {
    await build();
    world = await createLabWorld({ intent: twoSiteIntent(), repository: { files: [] }, opa: 'opa', agents: false });
    await loadTunnel(BERLIN, PARIS, ['172.30.0.1', '172.30.0.2']);
    await loadTunnel(PARIS, BERLIN, ['172.30.0.2', '172.30.0.1']);
    await vici(BERLIN, (connection) => connection.request('initiate', { child: TUNNEL, timeout: '5000' }));
  });
  afterAll(() => world?.close());

  async function vici<T>(node: NodeId, action: (connection: ViciConnection) => Promise<T>): Promise<T> {
    const connection = await ViciConnection.open(`${world.network.folder}/nodes/${node}/charon/charon.vici`, systemClock);
    try {
      return await action(connection);
    } finally {
      connection.close();
    }
  }

  async function loadTunnel(node: NodeId, peer: NodeId, [local, remote]: [string, string]): Promise<void> {
    const [near, far] = [gatewayAt(world.network, node), gatewayAt(world.network, peer)];
    await runCommandText('ip', ['-n', near.namespace, 'addr', 'add', `${local}/32`, 'dev', 'lo']);
    // the guard: without it the last FIN of an iperf3 would follow the default route once its charon is dead
    await runCommandText('ip', ['-n', near.namespace, 'route', 'add', 'unreachable', `${remote}/32`, 'metric', '9999']);
    await vici(node, async (connection) => {
      await connection.request('load-shared', { id: 'psk', type: 'IKE', data: 'only for this test', owners: [node, peer] });
      await connection.request('load-conn', {
        [TUNNEL]: {
          version: '2', local_addrs: [near.uplinks[0]!.address], remote_addrs: [far.uplinks[0]!.address], proposals: ['aes256gcm16-prfsha384-x25519'],
          unique: 'never', mobike: 'no', encap: 'yes', local: { auth: 'psk', id: node }, remote: { auth: 'psk', id: peer },
          children: { [TUNNEL]: { mode: 'tunnel', local_ts: [`${local}/32`], remote_ts: [`${remote}/32`], esp_proposals: ['aes256gcm16-x25519'] } },
        },
      });
    });
  }

  it('lists the SAs in the words of charon', async () => {
    const [sa, ...rest] = await world.listSas(BERLIN);
    expect(rest).toEqual([]);
    expect(sa).toMatchObject({ tunnel: TUNNEL, peer: PARIS, ikeState: 'ESTABLISHED', childState: 'INSTALLED', ikeSuite: 'AES_GCM_16-256/PRF_HMAC_SHA2_384/CURVE_25519', espSuite: 'AES_GCM_16-256' });
    expect(await world.listSas(PARIS)).toHaveLength(1);
  });

  it('tells what runs where', async () => {
    expect(await world.inventory()).toContainEqual({ node: BERLIN, where: gatewayAt(world.network, BERLIN).namespace, daemon: expect.stringMatching(/^charon \d+\.\d+\.\d+, pid \d+$/), certificate: 'none yet' });
  });

  it('measures throughput through one tunnel, which the underlay sees as ESP and nothing else', async () => {
    const before = await world.underlay();
    const { mbps, lostRatio } = await world.throughput(TUNNEL, 2000, 5);
    const after = await world.underlay();
    expect(mbps).toBeGreaterThan(4.5);
    expect(lostRatio).toBeLessThan(0.05);
    const fibre = after.paths.find((one) => one.path === FIBRE)!;
    expect(fibre.espPackets).toBeGreaterThan(900);
    expect(fibre.espBytes).toBeGreaterThan(1_200_000);
    expect(after.espPackets - before.espPackets).toBe(fibre.espPackets - before.paths.find((one) => one.path === FIBRE)!.espPackets);
    expect(after.ikePackets).toBeGreaterThanOrEqual(4);
    expect(after).toMatchObject({ clearTextPackets: 0, clearTextSeen: [] });
  });

  it('refuses to measure a tunnel that is not there', async () => {
    await expect(world.throughput('t-ffffffff' as TunnelId, 1000, 1)).rejects.toMatchObject({ code: 'LAB_FAILED' });
  });

  it('kills a daemon at once and starts it again', async () => {
    await world.kill({ kind: 'daemon', node: BERLIN });
    expect(await world.listSas(BERLIN)).toEqual([]);
    expect((await world.inventory()).find((one) => one.node === BERLIN)!.daemon).toBe('not running');
    expect(await runCommand('ip', ['netns', 'exec', gatewayAt(world.network, BERLIN).namespace, 'ping', '-c', '1', '-W', '1', '172.30.0.2'])).not.toMatchObject({ exitCode: 0 });
    // as when the killed one is a zombie still: its pid is somebody's
    await writeFile(join(gatewayFiles(world.network, BERLIN).charonDir, 'run', 'charon.pid'), String(process.pid));
    await world.restart({ kind: 'daemon', node: BERLIN });
    expect(await vici(BERLIN, (connection) => connection.request('version'))).toMatchObject({ daemon: 'charon' });
    expect((await listProcesses(world.id)).map((entry) => entry.role)).toEqual(['charon.berlin-gw1', 'charon.paris-gw1', 'relay']);
    expect(await world.underlay()).toMatchObject({ clearTextPackets: 0, clearTextSeen: [] });
  });

  it('waits for a condition, or says that it did not come', async () => {
    let calls = 0;
    expect(await world.until(() => ++calls >= 3 && 'third', 5000)).toBe('third');
    expect(await world.until(() => false, 100)).toBeNull();
  });
});
