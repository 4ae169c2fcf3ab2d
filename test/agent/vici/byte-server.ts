import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodePacket, encodePacket, type Packet, PacketReader } from '../../../agent/vici/index.ts';

export interface ByteServer {
  socketPath: string;
  /** Packets received, over all connections. */
  received: Packet[];
  connections: number;
  /** Ends all connections that are open. */
  drop(): void;
  close(): Promise<void>;
}

/** Answers of a daemon that does as it should, for the commands that the tests use. */
export const ANSWERS: Record<Packet['type'], Packet> = {
  request: { type: 'response', name: null, message: { success: 'yes' } },
  register: { type: 'confirm', name: null, message: {} },
  unregister: { type: 'confirm', name: null, message: {} },
  response: { type: 'response', name: null, message: {} },
  confirm: { type: 'confirm', name: null, message: {} },
  event: { type: 'response', name: null, message: {} },
  'unknown-command': { type: 'response', name: null, message: {} },
  'unknown-event': { type: 'response', name: null, message: {} },
};

/**
 * Speaks VICI bytes as a test tells it to, also wrong ones; the real daemon's behaviour is tested in test/lab/adapters.
 * @param reply  the bytes that answer a packet; null closes the connection instead
 */
export async function startByteServer(reply: (packet: Packet, socket: Socket) => Buffer | Packet | null): Promise<ByteServer> {
  const folder = await mkdtemp(join(tmpdir(), 'vici-'));
  const socketPath = join(folder, 'vici');
  const sockets = new Set<Socket>();
  const state: ByteServer = {
    socketPath,
    received: [],
    connections: 0,
    drop: () => {
      for (const socket of sockets) socket.destroy();
    },
    close: async () => {
      state.drop();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      await rm(folder, { recursive: true });
    },
  };
  const server = createServer((socket) => {
    state.connections++;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy()); // the client may have gone first
    const reader = new PacketReader();
    socket.on('data', (chunk: Buffer) => {
      for (const body of reader.push(chunk)) {
        const packet = decodePacket(body);
        state.received.push(packet);
        const answer = reply(packet, socket);
        if (answer === null) socket.destroy();
        else socket.write('type' in answer ? encodePacket(answer) : answer);
      }
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(socketPath, resolve);
  });
  return state;
}

/** Lets sockets work until `check` holds; time of the clocks stands still meanwhile. */
export async function until(check: () => boolean): Promise<void> {
  for (let turns = 0; !check(); turns++) {
    if (turns > 100_000) throw new Error('what was waited for did not come');
    await new Promise((resolve) => setImmediate(resolve));
  }
}
