import { request } from 'node:https';
import { connect } from 'node:tls';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { createNodeKey, openAuthority, type Authority } from '../../src/ca/index.ts';
import { CHANNEL_PROTOCOL, FRAME_BYTES_MAX, type NodeId } from '../../src/model/index.ts';
import { makeCsr } from '../ca/csr-maker.ts';
import { createEngineFixture, SIGNERS, type EngineFixture } from './engine-fixture.ts';
import { BERLIN, MESSAGES, PARIS, signedConfig } from './messages.ts';

let world: EngineFixture;
beforeEach(async () => {
  world = await createEngineFixture();
});
afterEach(() => world.close());

interface Identity {
  key: string;
  cert: string;
}

async function identity(node: NodeId, authority: Authority = world.authority): Promise<Identity> {
  const key = await createNodeKey();
  const { certificatePem } = await authority.renew(node, await key.csrPem(node));
  return { key: key.privateKeyPem, cert: certificatePem };
}

/** A WebSocket as a (perhaps rogue) agent would open it. */
function dial(options: { identity?: Identity; path?: string; protocols?: string[]; autoPong?: boolean } = {}): WebSocket {
  return new WebSocket(`wss://127.0.0.1:${world.engine.port}${options.path ?? '/channel'}`, options.protocols ?? [CHANNEL_PROTOCOL], {
    ca: world.authority.caPem,
    autoPong: options.autoPong ?? true,
    ...options.identity,
  });
}

/** Resolves with `open`, or with the status or close that came instead. */
function outcome(socket: WebSocket): Promise<string> {
  return new Promise((resolve) => {
    if (socket.readyState === WebSocket.OPEN) resolve('open');
    socket.on('open', () => resolve('open'));
    socket.on('unexpected-response', (_, response) => resolve(`status ${response.statusCode}`));
    socket.on('error', (cause) => resolve(cause.message));
  });
}

function closing(socket: WebSocket): Promise<number> {
  return new Promise((resolve) => socket.on('close', (code) => resolve(code)));
}

/** Until it holds; sockets take the time they take on a busy machine. */
function soon(check: () => unknown): Promise<unknown> {
  return vi.waitFor(check, { timeout: 20_000, interval: 10 });
}

function texts(socket: WebSocket): unknown[] {
  const received: unknown[] = [];
  socket.on('message', (data: Buffer) => received.push(JSON.parse(data.toString('utf8'))));
  return received;
}

function http(method: string, path: string, body?: string, client?: Identity): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port: world.engine.port, agent: false, method, path, ca: world.authority.caPem, ...client }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

describe('the channel over TLS', () => {
  it('takes an agent with its certificate, its samples, and gives it its config', async () => {
    world.hub.publish(new Map([[BERLIN, signedConfig('1'.repeat(40))]]));
    const socket = dial({ identity: await identity(BERLIN) });
    const received = texts(socket);
    expect(await outcome(socket)).toBe('open');
    expect(socket.protocol).toBe(CHANNEL_PROTOCOL);
    socket.send(JSON.stringify(MESSAGES.hello));
    socket.send(JSON.stringify(MESSAGES.samples));
    await soon(() => expect(received).toEqual([{ type: 'desired', config: signedConfig('1'.repeat(40)) }, { type: 'ack', sequence: 1 }]));
    expect(world.hub.nodes()).toMatchObject([{ node: BERLIN, connected: true }]);
    socket.close();
    await soon(() => expect(world.hub.nodes()).toMatchObject([{ connected: false }]));
  });

  const refusals: [string, () => Promise<WebSocket>, string][] = [
    ['no certificate', async () => dial(), 'status 401'],
    ['a certificate of another CA', async () => dial({ identity: await identity(BERLIN, await openAuthority({ dir: join(world.folder, 'rogue'), clock: world.clock, mesh: 'demo' })) }), 'status 401'],
    ['the engine’s own kind of certificate', async () => dial({ identity: await engineIdentity() }), 'status 401'],
    ['another path', async () => dial({ identity: await identity(BERLIN), path: '/channel2' }), 'status 400'],
    ['another protocol', async () => dial({ identity: await identity(BERLIN), protocols: ['foremesh.v0'] }), 'status 400'],
    ['no protocol', async () => dial({ identity: await identity(BERLIN), protocols: [] }), 'status 400'],
  ];
  async function engineIdentity(): Promise<Identity> {
    const { keyPem, certificatePem } = await world.authority.serverCredentials(['berlin-gw1']);
    return { key: keyPem, cert: certificatePem };
  }
  it.each(refusals)('refuses %s', async (_, make, expected) => {
    expect(await outcome(await make())).toBe(expected);
    expect(world.listener.counters()).toMatchObject({ accepted: 0, refused: 1 });
    expect(world.hub.nodes()).toEqual([]);
  });

  it('refuses a certificate that has ended', async () => {
    const authority = await openAuthority({ dir: join(world.folder, 'ca'), clock: world.clock, leafMs: 1000 });
    const short = await identity(BERLIN, authority);
    await world.clock.advance(2000);
    expect(await outcome(dial({ identity: short }))).toBe('status 401');
  });

  it('speaks TLS 1.3 only', async () => {
    const failure = await new Promise((resolve) => {
      const socket = connect({ host: '127.0.0.1', port: world.engine.port, ca: world.authority.caPem, maxVersion: 'TLSv1.2' }, () => resolve('connected'));
      socket.on('error', (cause) => resolve(cause.message));
    });
    expect(failure).toMatch(/protocol version/);
  });

  const rubbish: [string, string | Buffer][] = [
    ['no JSON', '{'],
    ['a binary frame', Buffer.from(JSON.stringify(MESSAGES.hello))],
    ['an unknown type', '{"type":"shutdown"}'],
    ['samples before hello', JSON.stringify(MESSAGES.samples)],
    ['hello in another node’s name', JSON.stringify({ ...MESSAGES.hello, node: PARIS })],
  ];
  it.each(rubbish)('answers %s with an error, closes, and counts it', async (_, frame) => {
    const socket = dial({ identity: await identity(BERLIN) });
    const received = texts(socket);
    const closed = closing(socket);
    await outcome(socket);
    socket.send(frame);
    expect(await closed).toBe(1008);
    expect(received).toMatchObject([{ type: 'error', code: 'CHANNEL_MESSAGE_INVALID' }]);
    expect(world.listener.counters().invalidMessages).toBe(1);
    expect(world.sink.batches).toEqual([]);
  });

  it('closes on a frame that is too large', async () => {
    const socket = dial({ identity: await identity(BERLIN) });
    const closed = closing(socket);
    await outcome(socket);
    socket.send('x'.repeat(FRAME_BYTES_MAX + 1));
    expect(await closed).toBe(1009);
  });

  it('does not acknowledge what could not be stored, and closes so that the agent sends it again', async () => {
    const socket = dial({ identity: await identity(BERLIN) });
    const received = texts(socket);
    const closed = closing(socket);
    await outcome(socket);
    world.sink.failures = 1;
    socket.send(JSON.stringify(MESSAGES.hello));
    socket.send(JSON.stringify(MESSAGES.samples));
    expect(await closed).toBe(1011);
    expect(received).toEqual([]);
  });

  it('lets a second connection of a node replace the first', async () => {
    const who = await identity(BERLIN);
    const first = dial({ identity: who });
    const closed = closing(first);
    await outcome(first);
    first.send(JSON.stringify(MESSAGES.hello));
    const second = dial({ identity: who });
    await outcome(second);
    expect(await closed).toBe(4000);
    second.send(JSON.stringify(MESSAGES.hello));
    await soon(() => expect(world.hub.nodes()).toMatchObject([{ node: BERLIN, connected: true }]));
    second.close();
  });

  it('closes a peer that answers no three pings, and keeps one that does', async () => {
    const [dead, alive] = [dial({ identity: await identity(BERLIN), autoPong: false }), dial({ identity: await identity(PARIS) })];
    await Promise.all([outcome(dead), outcome(alive)]);
    const closed = closing(dead);
    let pings = 0;
    alive.on('ping', () => pings++);
    for (let beat = 1; beat <= 4; beat++) {
      await world.clock.advance(10_000);
      if (beat < 4) await soon(() => expect(pings).toBe(beat));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await closed).toBe(1006);
    expect(world.listener.counters().deadPeers).toBe(1);
    expect(alive.readyState).toBe(WebSocket.OPEN);
    alive.close();
  });

  it('closes when the certificate ends, so that the agent comes back with its new one', async () => {
    const socket = dial({ identity: await identity(BERLIN) });
    const closed = closing(socket);
    await outcome(socket);
    socket.on('ping', () => undefined);
    await world.clock.advance(0);
    const authority = await openAuthority({ dir: join(world.folder, 'ca'), clock: world.clock, leafMs: 9000 });
    const short = dial({ identity: await identity(PARIS, authority) });
    const shortClosed = closing(short);
    await outcome(short);
    await world.clock.advance(9001);
    expect(await shortClosed).toBe(4001);
    expect(socket.readyState).toBe(WebSocket.OPEN);
    socket.close();
    await closed;
  });

  it('reads a flooding agent slowly, loses nothing of it, and serves the others meanwhile', async () => {
    const [flood, calm] = [dial({ identity: await identity(BERLIN) }), dial({ identity: await identity(PARIS) })];
    const [fromFlood, fromCalm] = [texts(flood), texts(calm)];
    await Promise.all([outcome(flood), outcome(calm)]);
    flood.send(JSON.stringify(MESSAGES.hello));
    for (let sequence = 1; sequence <= 600; sequence++) flood.send(JSON.stringify({ ...MESSAGES.samples, sequence, samples: [] }));
    await soon(() => expect(fromFlood).toContainEqual(expect.objectContaining({ code: 'CHANNEL_BUSY' })));
    calm.send(JSON.stringify({ ...MESSAGES.hello, node: PARIS }));
    calm.send(JSON.stringify(MESSAGES.samples));
    await soon(() => expect(fromCalm).toEqual([{ type: 'ack', sequence: 1 }]));
    await soon(async () => {
      await world.clock.advance(500);
      expect(world.sink.batches.filter(({ node }) => node === BERLIN)).toHaveLength(600);
    });
    flood.close();
    calm.close();
  });
});

describe('enrolment over TLS', () => {
  it('gives a certificate for a token and tells everybody the signers', async () => {
    const token = await world.authority.createJoinToken(BERLIN, 60_000);
    const csr = await (await createNodeKey()).csrPem(BERLIN);
    const answer = await http('POST', '/enrol', JSON.stringify({ token, csr }));
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toMatchObject({ caPem: world.authority.caPem });
    expect(await http('GET', '/signers')).toEqual({ status: 200, body: SIGNERS });
  });

  it('renews for a node with its certificate only, and for its own name only', async () => {
    const who = await identity(BERLIN);
    const csr = async (node: NodeId): Promise<string> => JSON.stringify({ csr: await (await createNodeKey()).csrPem(node) });
    expect(await http('POST', '/renew', await csr(BERLIN), who)).toMatchObject({ status: 200 });
    expect(await http('POST', '/renew', await csr(PARIS), who)).toMatchObject({ status: 400 });
    expect(await http('POST', '/renew', await csr(BERLIN))).toMatchObject({ status: 401 });
  });

  const bad: [string, () => Promise<string>, number, string][] = [
    ['no JSON', async () => '{', 400, 'API_REQUEST_INVALID'],
    ['a list', async () => '[]', 400, 'API_REQUEST_INVALID'],
    ['a member too many', async () => JSON.stringify({ token: '', csr: '', node: 'x' }), 400, 'API_REQUEST_INVALID'],
    ['a number for a token', async () => JSON.stringify({ token: 1, csr: '' }), 400, 'API_REQUEST_INVALID'],
    ['a huge body', async () => JSON.stringify({ token: 'x'.repeat(40_000), csr: '' }), 400, 'API_REQUEST_INVALID'],
    ['an unknown token', async () => JSON.stringify({ token: `berlin-gw1.${world.authority.fingerprint}.${'A'.repeat(43)}`, csr: '' }), 403, 'CA_TOKEN_REFUSED'],
    ['a request for a CA', async () => JSON.stringify({ token: await world.authority.createJoinToken(BERLIN, 60_000), csr: await makeCsr({ subject: [['CN', BERLIN]], isCa: true }) }), 400, 'CA_CSR_REFUSED'],
  ];
  it.each(bad)('refuses %s', async (_, make, status, code) => {
    const answer = await http('POST', '/enrol', await make());
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body)).toMatchObject({ code });
  });

  it('knows no other route', async () => {
    for (const [method, path] of [['GET', '/'], ['GET', '/enrol'], ['POST', '/signers'], ['GET', '/signers?x'], ['GET', '/../ca.key']] as const) {
      expect((await http(method, path)).status).toBe(404);
    }
  });

  it('slows down who tries many tokens from one address', async () => {
    const body = JSON.stringify({ token: 'x', csr: '' });
    const statuses: number[] = [];
    for (let attempt = 0; attempt < 22; attempt++) statuses.push((await http('POST', '/enrol', body)).status);
    expect(statuses.filter((status) => status === 429)).toHaveLength(2);
    await world.clock.advance(4000);
    expect((await http('POST', '/enrol', body)).status).toBe(403);
  });

  it('gets a new certificate for the listener at half its life, without a restart', async () => {
    const serial = (): Promise<string> =>
      new Promise((resolve, reject) => {
        const socket = connect({ host: '127.0.0.1', port: world.engine.port, ca: world.authority.caPem }, () => {
          resolve(`${socket.getPeerCertificate().serialNumber} ${socket.getProtocol()}`);
          socket.destroy();
        });
        socket.on('error', reject);
      });
    const before = await serial();
    expect(await serial()).toBe(before);
    // one minute past half: the new certificate begins five minutes before "now", which the machine's clock has not reached
    await world.clock.advance(12 * 3_600_000 + 60_000);
    await soon(async () => {
      const after = await serial().catch((cause: Error) => cause.message);
      expect(after).not.toBe(before);
      expect(after).toMatch(/not yet valid|TLSv1\.3/);
    });
  });
});

describe('a revoked key', () => {
  it('is cut off at once, the others are told, and it never comes in again', async () => {
    const [berlin, paris] = [await identity(BERLIN), await identity(PARIS)];
    const [thief, other] = [dial({ identity: berlin }), dial({ identity: paris })];
    const heard = texts(other);
    const closed = closing(thief);
    expect([await outcome(thief), await outcome(other)]).toEqual(['open', 'open']);
    for (const [socket, node] of [[thief, BERLIN], [other, PARIS]] as const) socket.send(JSON.stringify({ ...MESSAGES.hello, node }));
    await soon(() => expect(world.hub.nodes().filter(({ connected }) => connected)).toHaveLength(2));
    await world.authority.revoke(BERLIN, 'stolen', 'ada');
    await closed;
    await soon(() => expect(heard).toContainEqual(expect.objectContaining({ type: 'revocations', number: 1 })));
    expect(await outcome(dial({ identity: berlin }))).toBe('status 401');
    expect(other.readyState).toBe(WebSocket.OPEN);
    await world.restart();
    expect(await outcome(dial({ identity: berlin }))).toBe('status 401');
    const again = dial({ identity: paris });
    const news = texts(again);
    expect(await outcome(again)).toBe('open');
    again.send(JSON.stringify({ ...MESSAGES.hello, node: PARIS }));
    await soon(() => expect(news).toContainEqual(expect.objectContaining({ type: 'revocations', number: 1 })));
  });
});
