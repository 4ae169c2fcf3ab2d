import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Fastify from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createApiClient, ensureApiToken, listenApi } from '../../src/api/index.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'foremesh-api-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

describe('the token', () => {
  it('is made once, for its owner only', async () => {
    const token = await ensureApiToken(dir);
    expect(token.length).toBeGreaterThanOrEqual(43);
    expect(await ensureApiToken(dir)).toBe(token);
    expect((await stat(join(dir, 'api-token'))).mode & 0o777).toBe(0o600);
  });

  it('is refused when the file is damaged', async () => {
    await writeFile(join(dir, 'api-token'), 'short\n');
    await expect(ensureApiToken(dir)).rejects.toMatchObject({ code: 'STATE_DAMAGED' });
  });
});

describe('listening', () => {
  it('answers a client over a unix socket of its owner, and over a port of this machine', async () => {
    for (const make of [() => ({ socket: join(dir, 'api.sock') }), () => ({ port: 0 })]) {
      const server = Fastify();
      server.post('/echo', (request) => ({ auth: request.headers.authorization, body: request.body }));
      const where = make();
      const api = await listenApi(server, where);
      const client = createApiClient('socket' in where ? { socket: where.socket, token: 't0' } : { url: api.address, token: 't0' });
      expect(await client.request('POST', '/echo', { a: 1 })).toEqual({ status: 200, body: { auth: 'Bearer t0', body: { a: 1 } } });
      expect((await client.request('GET', '/nothing')).status).toBe(404);
      if ('socket' in where) expect((await stat(where.socket)).mode & 0o777).toBe(0o600);
      await api.close();
    }
  });

  it('takes over the socket of an engine that was killed, not of one that runs', async () => {
    const socket = join(dir, 'api.sock');
    await writeFile(socket, '');
    const first = await listenApi(Fastify(), { socket });
    await expect(listenApi(Fastify(), { socket })).rejects.toMatchObject({ code: 'STATE_DAMAGED' });
    await first.close();
  });

  it('says that nobody answers, naming the place', async () => {
    const client = createApiClient({ socket: join(dir, 'none.sock'), token: 't' });
    await expect(client.request('GET', '/v1/status')).rejects.toMatchObject({ code: 'API_UNREACHABLE' });
    const silent = createServer();
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as { port: number };
    const waiting = createApiClient({ url: `http://127.0.0.1:${port}`, token: 't', timeoutMs: 50 });
    await expect(waiting.request('GET', '/v1/status')).rejects.toMatchObject({ code: 'API_UNREACHABLE' });
    silent.close();
  });
});
