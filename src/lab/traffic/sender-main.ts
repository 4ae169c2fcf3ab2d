import { createSocket, type Socket } from 'node:dgram';
import { type Clock, familyOf, systemClock } from '../../base/index.ts';
import { serveControl } from '../control/index.ts';
import { createPacer, type Pacer } from './pacer.ts';
import type { BeginEpoch, CreateStream, SentReport, StreamCreated } from './protocol.ts';
import { createSentLog, type SentLog } from './sent-log.ts';
import { encodeHeader, machineMs, overheadBytes, STREAM_HEADER_BYTES } from './stream-packet.ts';

const TICK_MS = 4;
const SOURCE_PORT_FIRST = 20_000;

interface Stream {
  spec: CreateStream;
  sockets: Socket[];
  padding: Buffer;
  epoch: number;
  log: SentLog;
  /** Null while it is not sending. */
  pacer: Pacer | null;
  nextFlow: number;
}

/** A host's sender process: `node sender-main.js SOCKET FIRST-STREAM`. Stream numbers are unique in the lab by their first. */
async function main(controlSocket: string, firstStream: number): Promise<void> {
  const streams = new Map<number, Stream>();
  let nextStream = firstStream;
  let nextPort = SOURCE_PORT_FIRST;
  const find = (id: number): Stream => {
    const stream = streams.get(id);
    if (!stream) throw new Error(`there is no stream ${id}`);
    return stream;
  };
  sendForEver(streams, systemClock);
  await serveControl(controlSocket, {
    ping: () => 'pong',
    async create(spec: CreateStream): Promise<StreamCreated> {
      const sockets = await Promise.all(Array.from({ length: spec.flows }, () => openFlow(nextPort++, spec.destination)));
      const padding = Buffer.alloc(Math.max(0, spec.packetBytes - overheadBytes(spec.destination) - STREAM_HEADER_BYTES));
      const stream = nextStream++;
      streams.set(stream, { spec, sockets, padding, epoch: 0, log: createSentLog(spec.flows), pacer: null, nextFlow: 0 });
      return { stream };
    },
    begin({ stream: id, epoch }: BeginEpoch): void {
      const stream = find(id);
      stream.epoch = epoch;
      stream.log = createSentLog(stream.spec.flows);
      if (stream.sockets.length > 0) stream.pacer ??= createPacer(stream.spec.rate, stream.spec.packetBytes, systemClock.monotonicMs());
    },
    stop({ stream: id }: { stream: number }): void {
      const stream = find(id);
      stream.pacer = null;
      for (const socket of stream.sockets.splice(0)) socket.close();
    },
    report({ stream: id }: { stream: number }): SentReport {
      const { epoch, log, pacer } = find(id);
      return { epoch, sending: pacer !== null, settled: log.settled(systemClock.monotonicMs()), total: log.totals(), skipped: pacer?.skipped() ?? 0 };
    },
  });
}

function sendForEver(streams: Map<number, Stream>, clock: Clock): void {
  const tick = (): void => {
    const nowMs = clock.monotonicMs();
    const now = clock.now();
    let sending = false;
    for (const [id, stream] of streams) {
      if (!stream.pacer) continue;
      sending = true;
      for (let due = stream.pacer.due(nowMs, now); due > 0; due--) sendOne(id, stream, nowMs);
    }
    clock.setTimer(sending ? TICK_MS : 50, tick);
  };
  tick();
}

function sendOne(id: number, stream: Stream, nowMs: number): void {
  const flow = stream.nextFlow;
  stream.nextFlow = (flow + 1) % stream.sockets.length;
  const header = encodeHeader({ stream: id, epoch: stream.epoch, flow, sequence: stream.log.next(flow, nowMs), sentMs: machineMs() });
  // an error (no route, a full buffer) is a packet that the receiver will miss: counted there, like any other loss
  stream.sockets[flow]!.send([header, stream.padding], stream.spec.port, stream.spec.destination, () => undefined);
}

function openFlow(port: number, destination: string): Promise<Socket> {
  const [type, family] = familyOf(destination) === 'ipv4' ? (['udp4', 4] as const) : (['udp6', 6] as const);
  const socket = createSocket({ type, lookup: (host, _options, done) => done(null, host, family) });
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(port, () => {
      socket.on('error', () => undefined); // ICMP complaints; the receiver counts what did not arrive
      resolve(socket);
    });
  });
}

await main(process.argv[2]!, Number(process.argv[3]));
