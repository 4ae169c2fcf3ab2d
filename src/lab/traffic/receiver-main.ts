import { createSocket, type Socket } from 'node:dgram';
import { systemClock } from '../../base/index.ts';
import { serveControl } from '../control/index.ts';
import type { ExpectStream, ReceivedQuery, ReceivedReport } from './protocol.ts';
import { createStreamCount, type StreamCount } from './stream-count.ts';
import { decodeHeader, machineMs } from './stream-packet.ts';

const SOCKET_BUFFER_BYTES = 4 << 20;

/** A host's receiver process: `node receiver-main.js SOCKET`. Outlives the streams, so stragglers find the right count. */
async function main(controlSocket: string): Promise<void> {
  const ports = new Map<number, Socket>();
  const counts = new Map<number, StreamCount>();
  const onMessage = (bytes: Buffer): void => {
    const packet = decodeHeader(bytes);
    const count = packet && counts.get(packet.stream);
    if (count && count.epoch === packet.epoch) count.add(packet, bytes.length, machineMs(), systemClock.now());
  };
  await serveControl(controlSocket, {
    ping: () => 'pong',
    async expect({ stream, epoch, port }: ExpectStream): Promise<void> {
      if (!ports.has(port)) ports.set(port, await listen(port, onMessage));
      counts.set(stream, createStreamCount(epoch, machineMs(), systemClock.now()));
    },
    report({ stream, settled, sending }: ReceivedQuery): ReceivedReport {
      const count = counts.get(stream);
      if (!count) throw new Error(`stream ${stream} is not expected here`);
      return count.report(settled, sending, machineMs(), systemClock.now());
    },
  });
}

function listen(port: number, onMessage: (bytes: Buffer) => void): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: SOCKET_BUFFER_BYTES });
  socket.on('message', onMessage);
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(port, () => resolve(socket));
  });
}

await main(process.argv[2]!);
