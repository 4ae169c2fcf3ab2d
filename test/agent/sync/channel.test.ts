import { readFile, stat, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server, type Socket, connect } from 'node:net';
import { join } from 'node:path';
import { createServer as createTls } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { connectChannel, type Channel } from '../../../agent/sync/channel-client.ts';
import { enrol, ensureNodeKey, fingerprintOf, loadCredentials, refreshSigners, renewIfDue } from '../../../agent/sync/credentials.ts';
import { createCsr } from '../../../agent/sync/der.ts';
import type { Credentials } from '../../../agent/ports.ts';
import { createLog, VirtualClock, Waiting } from '../../../src/base/index.ts';
import { createNodeKey, openAuthority } from '../../../src/ca/index.ts';
import type { EngineMessage } from '../../../src/model/index.ts';
import { createEngineFixture, SIGNERS, type EngineFixture } from '../../channel/engine-fixture.ts';
import { BERLIN, MESSAGES, PARIS, signedConfig } from '../../channel/messages.ts';

let world: EngineFixture;
let stateDir: string;
beforeEach(async () => {
  world = await createEngineFixture();
  stateDir = join(world.folder, 'agent');
});
afterEach(() => world.close());

const soon = (check: () => unknown): Promise<unknown> => vi.waitFor(check, { timeout: 20_000, interval: 10 });
const log = createLog('test', 'silent');

async function enrolBerlin(): Promise<Credentials> {
  return enrol({ engine: world.engine, token: await world.authority.createJoinToken(BERLIN, 60_000), node: BERLIN, stateDir });
}

describe('enrolling', () => {
  it('makes the key here, gets a certificate for it, and keeps all that is needed', async () => {
    const credentials = await enrolBerlin();
    expect(credentials.caPem.trim()).toBe(world.authority.caPem.trim());
    expect((await stat(join(stateDir, 'node.key'))).mode & 0o777).toBe(0o600);
    expect(await readFile(join(stateDir, 'signers'), 'utf8')).toBe(SIGNERS);
    expect(await loadCredentials(stateDir, BERLIN, world.clock.now())).toEqual(credentials);
    expect(await ensureNodeKey(stateDir)).toBe(credentials.privateKeyPem);
    expect(fingerprintOf(credentials.caPem)).toBe(world.authority.fingerprint);
  });

  it('can be repeated with the same token when the answer got lost', async () => {
    const token = await world.authority.createJoinToken(BERLIN, 60_000);
    await enrol({ engine: world.engine, token, node: BERLIN, stateDir });
    await expect(enrol({ engine: world.engine, token, node: BERLIN, stateDir })).resolves.toBeDefined();
    expect(await world.authority.holds()).toEqual([]);
  });

  it('is refused to a second machine with the same token, and the node is held', async () => {
    const token = await world.authority.createJoinToken(BERLIN, 60_000);
    await enrol({ engine: world.engine, token, node: BERLIN, stateDir });
    const thief = enrol({ engine: world.engine, token, node: BERLIN, stateDir: join(world.folder, 'thief') });
    await expect(thief).rejects.toMatchObject({ code: 'CA_TOKEN_REFUSED' });
    expect(await world.authority.holds()).toMatchObject([{ node: BERLIN }]);
  });

  it('tells nothing to a server of another CA', async () => {
    const rogue = await createEngineFixture();
    try {
      const token = await world.authority.createJoinToken(BERLIN, 60_000);
      await expect(enrol({ engine: rogue.engine, token, node: BERLIN, stateDir })).rejects.toMatchObject({ code: 'CA_TOKEN_REFUSED' });
      await expect(enrol({ engine: world.engine, token, node: BERLIN, stateDir })).resolves.toBeDefined();
    } finally {
      await rogue.close();
    }
  });

  it('is not fooled by a server that shows the right CA behind a certificate of another', async () => {
    // the chain holds our CA, but the leaf is not signed by it: the pinned second connection fails
    const other = await openAuthority({ dir: join(world.folder, 'other'), clock: world.clock });
    const { keyPem, certificatePem } = await other.serverCredentials(['127.0.0.1']);
    const leaf = certificatePem.slice(0, certificatePem.indexOf('-----END CERTIFICATE-----') + 26);
    const bytes: Buffer[] = [];
    const server = createTls({ key: keyPem, cert: `${leaf}${world.authority.caPem}` }, (socket) => socket.on('data', (chunk: Buffer) => bytes.push(chunk)).on('error', () => undefined));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const engine = { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
    const token = await world.authority.createJoinToken(BERLIN, 60_000);
    await expect(enrol({ engine, token, node: BERLIN, stateDir })).rejects.toThrow();
    expect(Buffer.concat(bytes).toString()).not.toContain(token);
    await new Promise((resolve) => server.close(resolve));
  });

  it.each([
    ['another node', 'paris-gw1'],
    ['nobody', ''],
  ])('is refused here with a token for %s', async (_, node) => {
    const token = (await world.authority.createJoinToken(PARIS, 60_000)).replace('paris-gw1', node);
    await expect(enrol({ engine: world.engine, token, node: BERLIN, stateDir })).rejects.toMatchObject({ code: 'CA_TOKEN_REFUSED' });
  });

  it('waits when the engine cannot be reached, and does not show the token', async () => {
    const token = await world.authority.createJoinToken(BERLIN, 60_000);
    const failed: unknown = await enrol({ engine: { host: '127.0.0.1', port: 1 }, token, node: BERLIN, stateDir }).catch((cause: unknown) => cause);
    expect(failed).toBeInstanceOf(Waiting);
    expect(String(failed)).not.toContain(token.split('.')[2]);
  });
});

describe('stored credentials', () => {
  it('count only while they are whole, valid and this node’s', async () => {
    const credentials = await enrolBerlin();
    const now = world.clock.now();
    expect(await loadCredentials(stateDir, PARIS, now)).toBeNull();
    expect(await loadCredentials(stateDir, BERLIN, now + 86_400_000)).toBeNull();
    expect(await loadCredentials(join(world.folder, 'nowhere'), BERLIN, now)).toBeNull();
    await writeFile(join(stateDir, 'node.crt'), credentials.certificatePem.slice(0, 200));
    expect(await loadCredentials(stateDir, BERLIN, now)).toBeNull();
    await writeFile(join(stateDir, 'node.crt'), credentials.certificatePem);
    await writeFile(join(stateDir, 'node.key'), (await createNodeKey()).privateKeyPem);
    expect(await loadCredentials(stateDir, BERLIN, now)).toBeNull();
    await writeFile(join(stateDir, 'node.key'), 'rubbish');
    await expect(ensureNodeKey(stateDir)).rejects.toMatchObject({ code: 'STATE_DAMAGED' });
  });

  it('are renewed at half their life, for the same key', async () => {
    const credentials = await enrolBerlin();
    const at = (now: number) => ({ engine: world.engine, node: BERLIN, stateDir, clock: new VirtualClock(now), credentials });
    expect(await renewIfDue(at(world.clock.now()))).toBeNull();
    const renewed = (await renewIfDue(at(world.clock.now() + 43_200_000)))!;
    expect(renewed.certificatePem).not.toBe(credentials.certificatePem);
    expect(renewed.privateKeyPem).toBe(credentials.privateKeyPem);
    expect(await loadCredentials(stateDir, BERLIN, world.clock.now())).toEqual(renewed);
  });

  it('bring newer signers of the engine', async () => {
    const { caPem } = await enrolBerlin();
    expect(await refreshSigners({ engine: world.engine, stateDir, caPem })).toBe(false);
    await writeFile(join(world.folder, 'signers'), `${SIGNERS}# two\n`);
    expect(await refreshSigners({ engine: world.engine, stateDir, caPem })).toBe(true);
    expect(await readFile(join(stateDir, 'signers'), 'utf8')).toContain('# two');
  });

  it('ask for no more than the node’s own name', async () => {
    const key = await ensureNodeKey(stateDir);
    await expect(world.authority.renew(BERLIN, createCsr(key, BERLIN))).resolves.toBeDefined();
    await expect(world.authority.renew(BERLIN, createCsr(key, PARIS))).rejects.toMatchObject({ code: 'CA_CSR_REFUSED' });
  });
});

/** A wire between agent and engine that can be cut. */
async function createWire(port: number): Promise<{ port: number; cut(): void; server: Server }> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    for (const [socket, other] of [[near, far], [far, near]] as const) {
      sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    server,
    cut() {
      for (const socket of sockets) socket.destroy();
    },
  };
}

describe('the channel of an agent', () => {
  let credentials: Credentials;
  let clock: VirtualClock;
  let channel: Channel | null;
  let received: EngineMessage[];
  let events: string[];
  beforeEach(async () => {
    credentials = await enrolBerlin();
    clock = new VirtualClock(Date.now());
    channel = null;
    received = [];
    events = [];
  });
  afterEach(() => channel?.close());

  /** Says hello on each connection and then sends again what is not acknowledged, as the outbox does. */
  function start(port: number, unacked: number[] = []): Channel {
    const made: Channel = connectChannel({
      host: '127.0.0.1',
      port,
      node: BERLIN,
      credentials,
      clock,
      log,
      onMessage(message) {
        received.push(message);
        if (message.type === 'ack') unacked.splice(0, unacked.length, ...unacked.filter((sequence) => sequence > message.sequence));
      },
      onOpen() {
        events.push('open');
        made.send(MESSAGES.hello);
        for (const sequence of unacked) made.send({ ...MESSAGES.samples, sequence });
      },
      onClose: () => events.push('close'),
    });
    channel = made;
    return made;
  }

  it('brings messages both ways', async () => {
    world.hub.publish(new Map([[BERLIN, signedConfig('1'.repeat(40))]]));
    start(world.engine.port, [1]);
    await soon(() => expect(received).toEqual([{ type: 'desired', config: signedConfig('1'.repeat(40)) }, { type: 'ack', sequence: 1 }]));
  });

  it('sends nothing when it is not connected, or what is larger than a frame', async () => {
    const made = start(world.engine.port);
    expect(made.send(MESSAGES.hello)).toBe(false);
    await soon(() => expect(events).toEqual(['open']));
    expect(made.send({ ...MESSAGES.status, status: { ...MESSAGES.status.status, drift: ['x'.repeat(1_100_000)] } })).toBe(false);
    expect(made.send(MESSAGES.status)).toBe(true);
    made.close();
    await soon(() => expect(events).toEqual(['open', 'close']));
    expect(made.send(MESSAGES.status)).toBe(false);
  });

  it('has each batch stored exactly once across cuts of the wire and restarts of the engine', async () => {
    const wire = await createWire(world.engine.port);
    const unacked = [1, 2, 3];
    start(wire.port, unacked);
    await soon(() => expect(unacked).toEqual([]));
    for (let round = 0; round < 4; round++) {
      unacked.push(4 + round * 2, 5 + round * 2);
      for (const sequence of unacked) channel!.send({ ...MESSAGES.samples, sequence });
      if (round % 2 === 0) wire.cut();
      else await world.restart();
      await soon(async () => {
        await clock.advance(400);
        expect(unacked).toEqual([]);
      });
    }
    expect(world.sink.batches.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    expect(events.filter((event) => event === 'open').length).toBeGreaterThanOrEqual(5);
    channel!.close();
    wire.cut();
    await new Promise((resolve) => wire.server.close(resolve));
  });

  it('tries again after longer and longer times, with jitter, and not after it was closed', async () => {
    await world.listener.close();
    const waits: number[] = [];
    const watched: VirtualClock = Object.create(clock, {
      setTimer: { value: (delayMs: number, action: () => void) => (waits.push(delayMs), clock.setTimer(delayMs, action)) },
      now: { value: () => clock.now() },
      monotonicMs: { value: () => clock.monotonicMs() },
    }) as VirtualClock;
    const made = connectChannel({ host: '127.0.0.1', port: world.engine.port, node: BERLIN, credentials, clock: watched, log, onMessage: () => undefined, onOpen: () => undefined, onClose: () => undefined });
    for (let attempt = 1; attempt <= 9; attempt++) {
      await soon(() => expect(waits).toHaveLength(attempt));
      await clock.advance(waits.at(-1)!);
    }
    made.close();
    for (const [index, waitMs] of waits.slice(0, 9).entries()) {
      const fullMs = Math.min(30_000, 500 * 2 ** index);
      expect(waitMs).toBeGreaterThanOrEqual(fullMs / 2);
      expect(waitMs).toBeLessThanOrEqual(fullMs);
    }
    await world.restart();
    await clock.advance(120_000);
    expect(world.listener.counters().accepted).toBe(0);
  });

  it('comes back by itself when the engine falls silent', async () => {
    start(world.engine.port);
    await soon(() => expect(events).toEqual(['open']));
    await clock.advance(35_000);
    await soon(() => expect(events).toEqual(['open', 'close']));
    await soon(async () => {
      await clock.advance(500);
      expect(events).toEqual(['open', 'close', 'open']);
    });
  });

  it('does not talk to an engine of another CA', async () => {
    const rogue = await createEngineFixture();
    start(rogue.engine.port);
    await soon(async () => {
      await clock.advance(500);
      expect(rogue.listener.counters()).toMatchObject({ accepted: 0, refused: 0 });
    });
    expect(events).toEqual([]);
    channel!.close();
    await rogue.close();
  });
});
