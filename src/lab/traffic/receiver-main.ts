import { createSocket, type Socket } from 'node:dgram';
import { familyOf, systemClock } from '../../base/index.ts';
import { serveControl } from '../control/index.ts';
import type { ExpectStream, ReceivedQuery, ReceivedReport } from './protocol.ts';
import { createStreamCount, type StreamCount } from './stream-count.ts';
import { decodeHeader, machineMs, overheadBytes } from './stream-packet.ts';

const SOCKET_BUFFER_BYTES = 4 << 20;

/** A host's receiver process: `node receiver-main.js SOCKET`. Outlives the streams, so stragglers find the right count. */
async function main(controlSocket: string): Promise<void> {
  const sockets = new Map<string, Socket>();
  const counts = new Map<number, StreamCount>();
  const onMessage = (bytes: Buffer): void => {
    const packet = decodeHeader(bytes);
    const count = packet && counts.get(packet.stream);
    if (count && count.epoch === packet.epoch) count.add(packet, bytes.length, machineMs(), systemClock.now());
  };
  await serveControl(controlSocket, {
    ping: () => 'pong',
    async expect({ stream, epoch, destination, port }: ExpectStream): Promise<void> {
      const key = `${familyOf(destination)} ${port}`;
      if (!sockets.has(key)) sockets.set(key, await listen(destination, port, onMessage));
      counts.set(stream, createStreamCount(epoch, machineMs(), systemClock.now(), overheadBytes(destination)));
    },
    report({ stream, settled, sending }: ReceivedQuery): ReceivedReport {
      const count = counts.get(stream);
      if (!count) throw new Error(`stream ${stream} is not expected here`);
      return count.report(settled, sending, machineMs(), systemClock.now());
    },
  });
}

function listen(destination: string, port: number, onMessage: (bytes: Buffer) => void): Promise<Socket> {
  const socket = createSocket(familyOf(destination) === 'ipv4' ? { type: 'udp4', recvBufferSize: SOCKET_BUFFER_BYTES } : { type: 'udp6', ipv6Only: true, recvBufferSize: SOCKET_BUFFER_BYTES });
  socket.on('message', onMessage);
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(port, () => resolve(socket));
  });
}

await main(process.argv[2]!);
