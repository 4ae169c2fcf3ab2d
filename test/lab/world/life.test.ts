import { spawn } from 'node:child_process';
import { access, mkdtemp, readdir, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/base/index.ts';
import { type LabNetwork, startNetwork } from '../../../src/lab/network.ts';
import { cleanUp, labFolder, listLabs, listProcesses, namespacesOf, newLabId } from '../../../src/lab/run/index.ts';
import { fiveSiteIntent, twoSiteIntent } from '../../support/lab-intent.ts';
import { build } from './built.ts';
import { gatewayAt, inGateway } from './plain-tunnel.ts';

describe('the life of a lab', () => {
  const ids: string[] = [];
  const freshId = (): string => {
    const id = newLabId();
    ids.push(id);
    return id;
  };

  beforeAll(build);
  afterEach(async () => {
    for (const id of ids.splice(0)) await cleanUp(id, systemClock);
  });

  it('is up with five sites and carries packets between two of them', async () => {
    const network = await startNetwork({ id: freshId(), intent: fiveSiteIntent() });
    expect(network.layout.gateways.length).toBeGreaterThanOrEqual(5);
    await pingWan(network);
  });

  it('shares nothing with another lab on the machine', async () => {
    const [one, other] = await Promise.all([startNetwork({ id: freshId(), intent: twoSiteIntent() }), startNetwork({ id: freshId(), intent: twoSiteIntent() })]);
    await pingWan(one);
    await one.close();
    await pingWan(other);
    const report = await other.report();
    expect(report.paths.reduce((sum, path) => sum + path.forward.clearTextPackets, 0)).toBe(3);
  });

  it('leaves no namespace, process or file when it is closed, and may be closed twice', async () => {
    const id = freshId();
    const network = await startNetwork({ id, intent: twoSiteIntent() });
    const inodes = await inodesOf(id);
    expect(await processesIn(inodes)).not.toEqual([]);
    await network.close();
    await network.close();
    await expectNothingLeft(id, inodes);
  });

  it('refuses an id that is taken, and leaves that lab alone', async () => {
    const id = freshId();
    const network = await startNetwork({ id, intent: twoSiteIntent() });
    await expect(startNetwork({ id, intent: twoSiteIntent() })).rejects.toMatchObject({ code: 'LAB_FAILED' });
    await pingWan(network);
  });

  it('ends with its owner when that is killed, and cleanUp takes away the rest', async () => {
    const id = freshId();
    const folder = await mkdtemp(join(tmpdir(), 'foremesh-life-'));
    await writeFile(join(folder, 'intent.json'), JSON.stringify(twoSiteIntent()));
    const owner = spawn(process.execPath, [join(import.meta.dirname, 'lab-child.mjs'), id, join(folder, 'intent.json')], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise((resolve) => owner.stdout.once('data', resolve));
    const inodes = await inodesOf(id);
    expect((await listProcesses(id)).map((entry) => entry.role)).toEqual(['receiver.paris', 'relay', 'sender.berlin']);
    owner.kill('SIGKILL');
    await new Promise((resolve) => owner.once('exit', resolve));
    await expect.poll(() => processesIn(inodes)).toEqual([]);
    expect(await listLabs()).toContainEqual(expect.objectContaining({ id, state: 'abandoned' }));
    await cleanUp(id, systemClock);
    await expectNothingLeft(id, inodes);
    await rm(folder, { recursive: true });
  });

  it('stays when it is detached, is found by its id, and goes with cleanUp', async () => {
    const id = freshId();
    await startNetwork({ id, intent: twoSiteIntent(), detached: true });
    const inodes = await inodesOf(id);
    expect(await listLabs()).toContainEqual(expect.objectContaining({ id, state: 'detached' }));
    await cleanUp(id, systemClock);
    await expectNothingLeft(id, inodes);
  });

  it('leaves nothing when it is interrupted while it starts', async () => {
    const id = freshId();
    const starting = startNetwork({ id, intent: twoSiteIntent(), signal: AbortSignal.timeout(20) });
    await expect(starting).rejects.toThrow(/abort/i);
    await expectNothingLeft(id, []);
  });
});

async function pingWan(network: LabNetwork): Promise<void> {
  const [berlin, paris] = [gatewayAt(network, 'berlin-gw1'), gatewayAt(network, 'paris-gw1')];
  await inGateway(berlin, 'ping', '-q', '-c', '3', '-i', '0.05', '-W', '1', '-I', berlin.uplinks[0]!.address, paris.uplinks[0]!.address);
}

async function inodesOf(id: string): Promise<number[]> {
  return Promise.all((await namespacesOf(id)).map(async (name) => (await stat(`/run/netns/${name}`)).ino));
}

async function processesIn(inodes: readonly number[]): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const links = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/ns/net`).catch(() => ''))); // ended meanwhile
  return pids.filter((_, index) => inodes.some((inode) => links[index] === `net:[${inode}]`));
}

async function expectNothingLeft(id: string, inodes: readonly number[]): Promise<void> {
  expect(await namespacesOf(id)).toEqual([]);
  expect(await processesIn(inodes)).toEqual([]);
  await expect(access(labFolder(id))).rejects.toMatchObject({ code: 'ENOENT' });
}
