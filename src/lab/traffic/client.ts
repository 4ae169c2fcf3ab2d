import { type Clock, ForemeshError, sleep } from '../../base/index.ts';
import { controlCall } from '../control/index.ts';
import type { ReceiverReport, Sender, SenderSpec } from '../world.ts';
import type { CreateStream, ReceivedReport, SentReport, StreamCreated } from './protocol.ts';
import { overheadBytes, STREAM_HEADER_BYTES } from './stream-packet.ts';
import { SETTLE_MS } from './sent-log.ts';

/** Where a stream's two processes answer, and the receiving host's address. */
export interface StreamEnds {
  senderSocket: string;
  receiverSocket: string;
  destination: string;
}

/** The whole truth about a stream; a `ReceiverReport` and more. */
export interface StreamReport extends ReceiverReport {
  latencyMs: number | null;
  skipped: number;
  holes: ReceivedReport['holes'];
  history: number[];
  historyEndAt: number;
}

export interface StreamSender extends Sender {
  report(): Promise<StreamReport>;
}

const PACKET_BYTES_MAX = 1350;
const FLOWS_MAX = 64;

/**
 * Starts a stream. `packetBytes` is the IP packet's length, and rates count whole IP packets, as gateways do.
 * @throws ForemeshError LAB_FAILED for packets that do not fit a tunnel (64–1350 bytes) or more than 64 flows
 */
export async function startStream(spec: SenderSpec, ends: StreamEnds, clock: Clock): Promise<StreamSender> {
  checkSpec(spec, ends.destination);
  const { port, flows, packetBytes, rate } = spec;
  const create: CreateStream = { destination: ends.destination, port, flows, packetBytes, rate };
  const { stream } = await controlCall<StreamCreated>(ends.senderSocket, 'create', create);
  let epoch = 0;
  let stoppedMs: number | null = null;

  const beginEpoch = async (): Promise<void> => {
    epoch++;
    await controlCall(ends.receiverSocket, 'expect', { stream, epoch, destination: ends.destination, port }); // first: no packet may come before its count
    await controlCall(ends.senderSocket, 'begin', { stream, epoch });
  };
  await beginEpoch();
  return {
    spec,
    async report() {
      if (stoppedMs !== null) await sleep(clock, Math.max(0, stoppedMs + SETTLE_MS - clock.monotonicMs()));
      const sent = await controlCall<SentReport>(ends.senderSocket, 'report', { stream });
      const { settled, sending } = sent;
      const received = await controlCall<ReceivedReport>(ends.receiverSocket, 'report', { stream, settled, sending });
      const total = settled.reduce((sum, one) => sum + one, 0);
      return { ...received, sent: total, lost: total - received.received, skipped: sent.skipped };
    },
    reset: beginEpoch,
    async stop() {
      if (stoppedMs !== null) return;
      await controlCall(ends.senderSocket, 'stop', { stream });
      stoppedMs = clock.monotonicMs();
    },
  };
}

function checkSpec(spec: SenderSpec, destination: string): void {
  const bytesMin = overheadBytes(destination) + STREAM_HEADER_BYTES + 12;
  if (spec.packetBytes < bytesMin || spec.packetBytes > PACKET_BYTES_MAX) {
    throw new ForemeshError('LAB_FAILED', { what: `sender ${spec.name}: packets of ${spec.packetBytes} bytes`, fix: `use ${bytesMin} to ${PACKET_BYTES_MAX} bytes, so that they fit a tunnel` });
  }
  if (!Number.isInteger(spec.flows) || spec.flows < 1 || spec.flows > FLOWS_MAX) {
    throw new ForemeshError('LAB_FAILED', { what: `sender ${spec.name}: ${spec.flows} flows`, fix: `use 1 to ${FLOWS_MAX}` });
  }
}
