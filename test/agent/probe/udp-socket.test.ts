import { createSocket } from 'node:dgram';
import { describe, expect, it } from 'vitest';
import { createUdpProbePort } from '../../../agent/probe/udp-socket.ts';
import type { TunnelId } from '../../../src/model/index.ts';

const tunnel = 't-00000001' as TunnelId;

/** A port that nobody uses at this moment. */
async function freePort(): Promise<number> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => {
    socket.bind(0, '127.0.0.1', resolve);
  });
  const { port } = socket.address();
  socket.close();
  return port;
}

async function until(check: () => boolean): Promise<void> {
  while (!check()) await new Promise((resolve) => setImmediate(resolve));
}

describe('a probe socket', () => {
  it('carries packets both ways between the two overlay addresses', async () => {
    const probes = createUdpProbePort({ port: await freePort() });
    const answers: string[] = [];
    const b = await probes.open(tunnel, '127.0.3.2', '127.0.3.1', (packet) => b.send(Buffer.concat([packet, Buffer.from(' echo')])));
    const a = await probes.open(tunnel, '127.0.3.1', '127.0.3.2', (packet) => answers.push(Buffer.from(packet).toString()));
    a.send(Buffer.from('probe'));
    await until(() => answers.length > 0);
    expect(answers).toEqual(['probe echo']);
    a.close();
    b.close();
    b.close();
    b.send(Buffer.from('into the void'));
  });

  it('does not hear anybody but the other end', async () => {
    const port = await freePort();
    const probes = createUdpProbePort({ port });
    const heard: string[] = [];
    const b = await probes.open(tunnel, '127.0.3.2', '127.0.3.1', (packet) => heard.push(Buffer.from(packet).toString()));
    const a = await probes.open(tunnel, '127.0.3.1', '127.0.3.2', () => undefined);
    const stranger = await probes.open(tunnel, '127.0.3.3', '127.0.3.2', () => undefined);
    stranger.send(Buffer.from('stranger'));
    a.send(Buffer.from('peer'));
    await until(() => heard.length > 0);
    expect(heard).toEqual(['peer']);
    for (const socket of [a, b, stranger]) socket.close();
  });

  it('swallows a send that the kernel refuses, and sends on', async () => {
    const port = await freePort();
    const probes = createUdpProbePort({ port });
    const heard: string[] = [];
    const a = await probes.open(tunnel, '127.0.3.1', '192.0.2.1', () => undefined);
    a.send(Buffer.from('from loopback to nowhere'));
    await new Promise((resolve) => setTimeout(resolve, 20)); // what nobody catches would end the test run
    a.close();
    const again = await probes.open(tunnel, '127.0.3.1', '127.0.3.2', () => undefined);
    const b = await probes.open(tunnel, '127.0.3.2', '127.0.3.1', (packet) => heard.push(Buffer.from(packet).toString()));
    again.send(Buffer.from('somewhere'));
    await until(() => heard.length > 0);
    for (const socket of [again, b]) socket.close();
  });

  it('cannot be opened on an address that the machine does not have', async () => {
    const probes = createUdpProbePort({ port: await freePort() });
    await expect(probes.open(tunnel, '192.0.2.77', '192.0.2.78', () => undefined)).rejects.toMatchObject({ code: 'PROBE_FAILED', what: expect.stringContaining('192.0.2.77') as string });
  });
});
