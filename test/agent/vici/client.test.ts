import { afterEach, describe, expect, it } from 'vitest';
import { createIpsecPort, createViciClient, encodePacket, type Packet, type ViciClient, ViciConnection } from '../../../agent/vici/index.ts';
import { createLog, VirtualClock, Waiting } from '../../../src/base/index.ts';
import type { TunnelId } from '../../../src/model/index.ts';
import { ANSWERS, type ByteServer, startByteServer, until } from './byte-server.ts';

const log = createLog('test', 'silent');
const cleanUps: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function serve(reply: (packet: Packet) => Buffer | Packet | null = (packet) => ANSWERS[packet.type]): Promise<ByteServer> {
  const server = await startByteServer(reply);
  cleanUps.push(() => server.close());
  return server;
}

function client(server: ByteServer, clock: VirtualClock, news: string[] = []): ViciClient {
  const made = createViciClient({ socketPath: server.socketPath, clock, log, events: ['child-updown'], onEvent: (event) => news.push(event), setUp: () => Promise.resolve(), onUpDown: (up) => news.push(up ? 'up' : 'down') });
  cleanUps.push(() => made.close());
  return made;
}

async function connection(server: ByteServer, clock = new VirtualClock()): Promise<ViciConnection> {
  const made = await ViciConnection.open(server.socketPath, clock);
  cleanUps.push(() => made.close());
  return made;
}

function rawFrame(...body: number[]): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([length, Buffer.from(body)]);
}

describe('a VICI connection', () => {
  it.each<[string, Buffer | null, string]>([
    ['a length of 0xffffffff', Buffer.from([0xff, 0xff, 0xff, 0xff, 1]), 'VICI_PROTOCOL'],
    ['an unknown packet type', rawFrame(99), 'VICI_PROTOCOL'],
    ['an unknown element', rawFrame(1, 42), 'VICI_PROTOCOL'],
    ['an unclosed section', rawFrame(1, 1, 1, 0x61), 'VICI_PROTOCOL'],
    ['a request from the daemon', encodePacket({ type: 'request', name: 'version', message: {} }), 'VICI_PROTOCOL'],
    ['two answers to one command', Buffer.concat([encodePacket(ANSWERS.request), encodePacket(ANSWERS.request)]), ''],
    ['a closed socket', null, 'VICI_CLOSED'],
    ['an unknown command', encodePacket({ type: 'unknown-command', name: null, message: {} }), 'VICI_FAILED'],
  ])('answers %s with an error and never crashes', async (_case, bytes, code) => {
    const server = await serve(() => bytes);
    const vici = await connection(server);
    if (code !== '') await expect(vici.request('version')).rejects.toMatchObject({ code });
    else await vici.request('version');
    if (code !== 'VICI_FAILED') {
      const reason = await vici.closed;
      expect(reason.code).toBe(code === '' ? 'VICI_PROTOCOL' : code);
      await expect(vici.request('version')).rejects.toBe(reason);
    }
  });

  it('fails what waits when the socket closes in the middle of a packet', async () => {
    const server = await startByteServer((_packet, socket) => {
      socket.end(encodePacket(ANSWERS.request).subarray(0, 6));
      return Buffer.alloc(0);
    });
    cleanUps.push(() => server.close());
    const vici = await connection(server);
    const both = [vici.request('one'), vici.request('two')];
    await expect(Promise.allSettled(both)).resolves.toMatchObject([{ reason: { code: 'VICI_CLOSED' } }, { reason: { code: 'VICI_CLOSED' } }]);
  });

  it('gives up on a daemon that is silent for ten seconds', async () => {
    const server = await serve(() => Buffer.alloc(0));
    const clock = new VirtualClock();
    const vici = await connection(server, clock);
    const answer = vici.request('version');
    await until(() => server.received.length === 1);
    await Promise.all([clock.advance(10_000), expect(answer).rejects.toMatchObject({ code: 'VICI_CLOSED' })]);
  });

  it('sends the next command only when the one before is answered', async () => {
    const server = await serve();
    const vici = await connection(server);
    const answers = ['a', 'b', 'c'].map((command) => vici.request(command));
    expect(server.received.length).toBeLessThan(2);
    await Promise.all(answers);
    expect(server.received.map((packet) => packet.name)).toEqual(['a', 'b', 'c']);
  });

  it('streams 8 MB of events with few of them in memory, and stops reading while nobody takes them', async () => {
    const event = encodePacket({ type: 'event', name: 'list-sa', message: { sa: { text: 'x'.repeat(8000) } } });
    const total = 1000;
    const server = await startByteServer((packet, socket) => {
      if (packet.type !== 'request') return ANSWERS[packet.type];
      for (let index = 0; index < total; index++) socket.write(event);
      pending = () => socket.writableLength;
      return ANSWERS.request;
    });
    let pending = (): number => 0;
    cleanUps.push(() => server.close());
    const vici = await connection(server);
    let count = 0;
    let heldBackBytes = 0;
    for await (const _item of vici.stream('list-sas', 'list-sa')) {
      if (++count === 100) {
        for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
        heldBackBytes = pending();
      }
    }
    expect(count).toBe(total);
    expect(heldBackBytes).toBeGreaterThan(4_000_000);
    await expect(vici.request('version')).resolves.toMatchObject({ success: 'yes' });
  });

  it('goes on after a stream that its reader left early', async () => {
    const server = await startByteServer((packet, socket) => {
      if (packet.name === 'list-sas') for (let index = 0; index < 300; index++) socket.write(encodePacket({ type: 'event', name: 'list-sa', message: { n: String(index) } }));
      return ANSWERS[packet.type];
    });
    cleanUps.push(() => server.close());
    const vici = await connection(server);
    for await (const item of vici.stream('list-sas', 'list-sa')) {
      expect(item).toEqual({ n: '0' });
      break;
    }
    await expect(vici.request('version')).resolves.toMatchObject({ success: 'yes' });
    expect(server.received.map((packet) => packet.type)).toEqual(['register', 'request', 'unregister', 'request']);
  });
});

describe('a VICI client', () => {
  it('uses one connection for commands and another for events', async () => {
    const server = await serve();
    const news: string[] = [];
    const vici = client(server, new VirtualClock(), news);
    await vici.request('version');
    expect(server.connections).toBe(2);
    expect(news).toEqual(['up']);
  });

  it('gives the daemon\'s own words when it refuses', async () => {
    const server = await serve((packet) => (packet.type === 'request' ? { type: 'response', name: null, message: { success: 'no', errmsg: 'invalid value for: proposals' } } : ANSWERS[packet.type]));
    await expect(client(server, new VirtualClock()).request('load-conn')).rejects.toMatchObject({ code: 'VICI_FAILED', what: expect.stringContaining('invalid value for: proposals') as string });
  });

  it('comes back after the daemon dropped it, with growing pauses, and says for how long to wait meanwhile', async () => {
    const server = await serve();
    const clock = new VirtualClock();
    const news: string[] = [];
    const vici = client(server, clock, news);
    await vici.request('version');
    for (const pauseMs of [50, 100, 200]) {
      server.drop();
      await until(() => news.at(-1) === 'down');
      const failure: unknown = await vici.request('version').catch((cause: unknown) => cause);
      expect(failure).toBeInstanceOf(Waiting);
      expect(failure).toMatchObject({ code: 'VICI_CLOSED', retryAfterMs: pauseMs });
      await clock.advance(pauseMs);
      await vici.request('version');
      expect(news.at(-1)).toBe('up');
    }
    await clock.advance(5000);
    server.drop();
    await until(() => news.at(-1) === 'down');
    await expect(vici.request('version')).rejects.toMatchObject({ retryAfterMs: 50 });
  });

  it('comes back after malformed bytes', async () => {
    let sane = false;
    const server = await serve((packet) => (packet.type === 'request' && !sane ? Buffer.from([0xff, 0xff, 0xff, 0xff]) : ANSWERS[packet.type]));
    const clock = new VirtualClock();
    const news: string[] = [];
    const vici = client(server, clock, news);
    await expect(vici.request('version')).rejects.toMatchObject({ code: 'VICI_PROTOCOL' });
    await until(() => news.at(-1) === 'down');
    sane = true;
    await clock.advance(50);
    await expect(vici.request('version')).resolves.toMatchObject({ success: 'yes' });
  });
});

describe('the IPsec port', () => {
  const credentials = { caPem: 'CA', certificatePem: 'CERT', privateKeyPem: 'KEY' };

  it('gives a restarted daemon its credentials before it tells anybody, and never again while nothing changed', async () => {
    const server = await serve();
    const clock = new VirtualClock();
    const port = createIpsecPort({ socketPath: server.socketPath, clock, log });
    cleanUps.push(() => port.close());
    await port.loadCredentials(credentials);
    const seen: string[][] = [];
    port.onChange(() => seen.push(server.received.flatMap((packet) => (packet.type === 'request' ? [packet.name ?? ''] : []))));
    server.received.length = 0;
    server.drop();
    await until(() => server.connections === 2);
    for (let turn = 0; turn < 20; turn++) {
      await clock.advance(50);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(seen.at(-1)).toEqual(['version', 'get-algorithms', 'load-cert', 'load-key']);
  });

  it('puts a renewed certificate into the connections it has loaded, then takes the old key away', async () => {
    let keys = 0;
    const server = await serve((packet) => (packet.name === 'load-key' ? { type: 'response', name: null, message: { success: 'yes', id: `key${++keys}` } } : ANSWERS[packet.type]));
    const port = createIpsecPort({ socketPath: server.socketPath, clock: new VirtualClock(), log });
    cleanUps.push(() => port.close());
    await port.loadCredentials(credentials);
    const suite = { encryption: 'aes128gcm16', integrity: 'none', prf: 'prfsha256', group: 'x25519' } as const;
    await port.loadConnection({ tunnel: 't-00000001' as TunnelId, initiator: true, localAddress: '192.0.2.1', remoteAddress: '192.0.2.2', localIdentity: 'a', remoteIdentity: 'b', localOverlay: '172.30.0.0', remoteOverlay: '172.30.0.1', ike: [suite], esp: [suite], ikeRekeyMs: 1000, espRekeyMs: 1000, ppk: null });
    server.received.length = 0;
    await port.loadCredentials({ ...credentials, certificatePem: 'CERT2', privateKeyPem: 'KEY2' });
    expect(server.received.map((packet) => packet.name)).toEqual(['load-cert', 'load-key', 'load-conn', 'unload-key']);
    expect(server.received[2]!.message).toMatchObject({ 't-00000001': { local: { certs: ['CERT2'] } } });
    expect(server.received[3]!.message).toEqual({ id: 'key1' });
  });
});
