import { chmod, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { ForemeshError } from '../base/index.ts';

/** Where to listen: a unix socket, or a port on 127.0.0.1 (0: any free one). Never a public address. */
export type ApiAddress = { socket: string } | { port: number };

export interface ListeningApi {
  /** `unix:/…/api.sock` or `http://127.0.0.1:8443`. */
  address: string;
  port: number | null;
  close(): Promise<void>;
}

/** Opens the server to callers on this machine. @throws ForemeshError STATE_DAMAGED when another engine holds the socket */
export async function listenApi(server: FastifyInstance, address: ApiAddress): Promise<ListeningApi> {
  if ('socket' in address) {
    await clearSocket(address.socket);
    await server.listen({ path: address.socket });
    await chmod(address.socket, 0o600);
    return { address: `unix:${address.socket}`, port: null, close: () => server.close() };
  }
  await server.listen({ host: '127.0.0.1', port: address.port });
  const bound = server.server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : address.port;
  return { address: `http://127.0.0.1:${port}`, port, close: () => server.close() };
}

/** Takes away the socket of an engine that was killed; one that answers is another engine's. */
async function clearSocket(path: string): Promise<void> {
  const answers = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.on('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.on('error', () => resolve(false));
  });
  if (answers) throw new ForemeshError('STATE_DAMAGED', { what: `another engine listens at ${path}`, fix: 'stop it first, or give this one a state folder of its own' });
  await unlink(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT') throw cause;
  });
}
