import { createHash, X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { createStandby, silenceMaxMs, type Standby, type StandbySettings } from '../../../agent/standby/index.ts';
import type { Credentials } from '../../../agent/ports.ts';
import { createLog, VirtualClock } from '../../../src/base/index.ts';
import { createNodeKey, openAuthority } from '../../../src/ca/index.ts';
import { SimLan } from '../../../src/lab/sim/lan.ts';
import { nodeId, type NodeId } from '../../../src/model/index.ts';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const [GW1, GW2] = [nodeId('gw1'), nodeId('gw2')];
const HEARTBEAT = { intervalMs: 50, missedMax: 3, holdDownMs: 1_000 };
const SILENCE_MS = silenceMaxMs(HEARTBEAT);
const OWN = new Map([[GW1, '169.254.255.1'], [GW2, '169.254.255.2']]);

describe('two gateways of one site', () => {
  let credentials: Map<NodeId, Credentials>;
  let stranger: Credentials;

  beforeAll(async () => {
    credentials = await certify([GW1, GW2]);
    stranger = (await certify([GW1])).get(GW1)!; // the right name by another authority
  });

  it('have one owner, the preferred one, and both know of each other', async () => {
    const site = await startSite();
    expect(site.lan.owners()).toEqual([GW1]);
    expect(site.lan.gateway()).toBe(GW1);
    expect(site.standbys.get(GW2)!.view()).toEqual({ holds: false, owns: [], isLanUp: true, isUnheard: false, partners: [GW1] });
  });

  it('have the other one take over when the owner is gone, within the silence and two looks', async () => {
    const site = await startSite();
    await site.die(GW1);
    await site.clock.advance(SILENCE_MS + HEARTBEAT.intervalMs);
    expect(site.lan.owners()).toEqual([GW2]);
    expect(site.lan.gateway()).toBe(GW2);
  });

  it('give the address back to one that returned after its hold-down time, and it is announced', async () => {
    const site = await startSite();
    await site.die(GW1);
    await site.clock.advance(2_000);
    site.lan.setConnected(GW1, true);
    site.start(GW1);
    await site.clock.advance(900);
    expect(site.lan.owners()).toEqual([GW2]);
    await site.clock.advance(1_000);
    expect(site.lan.owners()).toEqual([GW1]);
    expect(site.lan.gateway()).toBe(GW1);
  });

  it('leave it where it is when one that boots takes its time to make itself known', async () => {
    const site = await startSite();
    await site.die(GW1);
    await site.clock.advance(2_000);
    site.lan.setConnected(GW1, true);
    site.lan.setMute(GW2, true);
    site.start(GW1);
    await site.clock.advance(2 * SILENCE_MS);
    site.lan.setMute(GW2, false);
    await site.clock.advance(100);
    expect(site.lan.owners()).toEqual([GW2]);
    expect(site.lan.gateway()).toBe(GW2);
  });

  it.each(Array.from({ length: 12 }, (_, index) => index * 5))('tell hosts where it is when one that heard nobody had taken it, whoever is heard first (%i ms)', async (phaseMs) => {
    const site = await startSite();
    await site.die(GW1);
    await site.clock.advance(2_000);
    site.lan.setConnected(GW1, true);
    site.lan.setMute(GW2, true);
    site.start(GW1);
    site.standbys.get(GW1)!.setReach(0); // it has just begun
    await site.clock.advance(5 * SILENCE_MS + phaseMs);
    expect(site.lan.gateway()).toBe(GW1);
    site.lan.setMute(GW2, false);
    await site.clock.advance(2 * HEARTBEAT.intervalMs);
    expect(site.lan.owners()).toEqual([GW2]);
    expect(site.lan.gateway()).toBe(GW2);
  });

  it('leave it where it is while an agent restarts and has asked for patience', async () => {
    const site = await startSite();
    await site.standbys.get(GW1)!.close(10_000);
    for (let passed = 0; passed < 5_000; passed += 100) {
      await site.clock.advance(100);
      expect(site.lan.gateway()).toBe(GW1);
      expect(site.lan.owners()).toEqual([GW1]);
    }
    site.start(GW1);
    await site.clock.advance(3_000);
    expect(site.lan.owners()).toEqual([GW1]);
  });

  it('move it at once when a newer config prefers the other one, which takes it before the first gives it up', async () => {
    const site = await startSite();
    await site.clock.advance(2_000);
    site.standbys.get(GW2)!.configure(settingsOf(2, GW2));
    await site.clock.advance(1);
    expect(site.lan.gateway()).toBe(GW2);
    await site.clock.advance(HEARTBEAT.intervalMs);
    expect(site.lan.owners()).toEqual([GW2]);
  });

  it('lose it without LAN, and say so', async () => {
    const site = await startSite();
    site.lan.setConnected(GW1, false);
    await site.clock.advance(SILENCE_MS + 2 * HEARTBEAT.intervalMs);
    expect(site.lan.owners()).toEqual([GW2]);
    expect(site.standbys.get(GW1)!.view()).toMatchObject({ holds: false, isLanUp: false });
  });

  it('say that their LAN is back only after a while, so that nobody sends to hosts that cannot be reached yet, but at once when they are needed', async () => {
    const site = await startSite();
    site.lan.setConnected(GW1, false);
    await site.clock.advance(1_000);
    site.lan.setConnected(GW1, true);
    await site.clock.advance(900); // before its hold-down time is over
    expect(site.standbys.get(GW1)!.view()).toMatchObject({ holds: false, isLanUp: false, partners: [GW2] });
    await site.clock.advance(1_500);
    expect(site.standbys.get(GW1)!.view()).toMatchObject({ holds: true, isLanUp: true });
    for (const node of [GW1, GW2]) site.lan.setConnected(node, false);
    await site.clock.advance(1_000);
    site.lan.setConnected(GW1, true);
    await site.clock.advance(4 * SILENCE_MS);
    expect(site.standbys.get(GW1)!.view()).toMatchObject({ holds: true, isLanUp: true });
  });

  it('are fenced by their kernel when the agent dies and the machine does not: the address ends by itself', async () => {
    const site = await startSite();
    await site.standbys.get(GW1)!.close(0);
    await site.clock.advance(SILENCE_MS + HEARTBEAT.intervalMs);
    expect(site.lan.owners()).toEqual([GW1, GW2]); // the dead agent's kernel has it still, hosts use the other
    expect(site.lan.gateway()).toBe(GW2);
    await site.clock.advance(5_000);
    expect(site.lan.owners()).toEqual([GW2]);
  });

  it('keep it without end when there is nobody else to take it', async () => {
    const site = await startSite();
    await site.die(GW2);
    await site.clock.advance(10_000);
    await site.standbys.get(GW1)!.close(0);
    await site.clock.advance(60_000);
    expect(site.lan.owners()).toEqual([GW1]);
  });

  it('believe nobody whom their own authority did not certify, and nothing said twice', async () => {
    const site = await startSite();
    const heard: Uint8Array[] = [];
    const listener = site.lan.portOf(nodeId('listener'), () => true).open(settingsOf(1, GW1), '169.254.255.9', () => undefined);
    site.tap((packet) => heard.push(packet));
    await site.standbys.get(GW1)!.close(0);
    site.start(GW1); // another life of gw1 says hello; its packets are recorded
    await site.clock.advance(1_000);
    const before = site.standbys.get(GW2)!.view();
    await site.die(GW1);
    const forged = createStandby({ node: GW1, lan: site.lan.portOf(nodeId('forger'), () => true), clock: site.clock, log: createLog('test', 'silent'), credentials: stranger, onView: () => undefined });
    forged.configure(settingsOf(9, GW1));
    forged.setReach(3);
    for (let passed = 0; passed < 1_000; passed += 25) {
      for (const packet of heard.slice(-20)) listener.send(OWN.get(GW2)!, packet);
      await site.clock.advance(25);
    }
    expect(before.partners).toEqual([GW1]);
    expect(site.standbys.get(GW2)!.view()).toMatchObject({ holds: true, partners: [] });
  });

  it('hear a gateway no more whose key was revoked, and one that comes back with it is no partner', async () => {
    const site = await startSite();
    site.standbys.get(GW2)!.setRevoked([keyOf(credentials.get(GW1)!)]);
    await site.clock.advance(SILENCE_MS + 2 * HEARTBEAT.intervalMs);
    expect(site.standbys.get(GW2)!.view()).toMatchObject({ holds: true, partners: [] });
    await site.die(GW1);
    site.lan.setConnected(GW1, true);
    site.start(GW1);
    await site.clock.advance(5_000);
    expect(site.standbys.get(GW2)!.view()).toMatchObject({ holds: true, partners: [] });
    expect(site.lan.owners()).toContain(GW2);
  });

  it('hear one that was certified anew after its key was revoked', async () => {
    const site = await startSite();
    site.standbys.get(GW2)!.setRevoked([keyOf(stranger)]);
    await site.clock.advance(1_000);
    expect(site.standbys.get(GW2)!.view()).toMatchObject({ holds: false, partners: [GW1] });
  });

  it('leave the address to the one that hears nobody when the LAN is broken one way, and the other says that it is not heard', async () => {
    const site = await startSite();
    site.lan.setMute(GW1, true);
    await site.clock.advance(3 * SILENCE_MS);
    expect(site.lan.owners()).toEqual([GW2]);
    expect(site.standbys.get(GW1)!.view()).toMatchObject({ holds: false, isUnheard: true, partners: [GW2] });
    await site.clock.advance(10_000);
    expect(site.lan.owners()).toEqual([GW2]);
    site.lan.setMute(GW1, false);
    await site.clock.advance(HEARTBEAT.holdDownMs / 2);
    expect(site.lan.owners()).toEqual([GW2]); // it has to be well first
    expect(site.standbys.get(GW1)!.view()).toMatchObject({ isUnheard: false });
    await site.clock.advance(HEARTBEAT.holdDownMs);
    expect(site.lan.owners()).toEqual([GW1]);
  });

  it('are not moved by a flood of packets that are none of theirs', async () => {
    const site = await startSite();
    const flood = site.lan.portOf(nodeId('flood'), () => true).open(settingsOf(1, GW1), '169.254.255.9', () => undefined);
    for (let passed = 0; passed < 2_000; passed += 10) {
      for (const bytes of [0, 5, 40, 900, 9_000]) flood.send(OWN.get(GW2)!, Uint8Array.from({ length: bytes }, (_, index) => (index < 6 ? [...Buffer.from('FMLN'), 1, 1 + (passed % 2)][index]! : index)));
      await site.clock.advance(10);
    }
    expect(site.lan.owners()).toEqual([GW1]);
    expect(site.standbys.get(GW2)!.view().partners).toEqual([GW1]);
  });

  async function startSite() {
    const clock = new VirtualClock(Date.UTC(2026, 0, 5));
    const lan = new SimLan(clock);
    const standbys = new Map<NodeId, Standby>();
    const taps: ((packet: Uint8Array) => void)[] = [];
    const start = (node: NodeId): void => {
      const port = lan.portOf(node, () => true);
      const tapped = {
        open: (settings: StandbySettings, own: string, onPacket: (packet: Uint8Array) => void) => {
          const link = port.open(settings, own, onPacket);
          return {
            ...link,
            send: (to: string, packet: Uint8Array) => {
              for (const tap of taps) tap(Uint8Array.from(packet));
              link.send(to, packet);
            },
          };
        },
      };
      const standby = createStandby({ node, lan: tapped, clock, log: createLog('test', 'silent'), credentials: credentials.get(node)!, onView: () => undefined });
      standby.setReach(3);
      standby.configure(settingsOf(1, GW1));
      standbys.set(node, standby);
    };
    for (const node of [GW1, GW2]) start(node);
    await clock.advance(2_000);
    const die = async (node: NodeId): Promise<void> => {
      await standbys.get(node)!.close(0);
      lan.powerOff(node);
    };
    return { clock, lan, standbys, start, die, tap: (tap: (packet: Uint8Array) => void) => void taps.push(tap) };
  }
});

function settingsOf(generation: number, preferred: NodeId): StandbySettings {
  return { generation, interface: 'lan', address: '10.1.0.1/24', prefixes: ['10.1.0.0/24'], shared: { preferred, members: [...OWN].map(([node, address]) => ({ node, address })), heartbeat: HEARTBEAT }, holdDownMaxMs: 8_000 };
}

function keyOf({ certificatePem }: Credentials): string {
  return createHash('sha256').update(new X509Certificate(certificatePem).publicKey.export({ format: 'der', type: 'spki' })).digest('hex');
}

async function certify(nodes: readonly NodeId[]): Promise<Map<NodeId, Credentials>> {
  const dir = await mkdtemp(join(tmpdir(), 'standby-'));
  try {
    const authority = await openAuthority({ dir, clock: new VirtualClock(Date.UTC(2026, 0, 5)) });
    const certified = new Map<NodeId, Credentials>();
    for (const node of nodes) {
      const key = await createNodeKey();
      const { certificatePem, caPem } = await authority.enrol(await authority.createJoinToken(node, 60_000), await key.csrPem(node));
      certified.set(node, { caPem, certificatePem, privateKeyPem: key.privateKeyPem });
    }
    return certified;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
