import { familyOf } from '../../base/index.ts';

/** What stands at the begin of every payload; big-endian, 24 bytes. The rest is padding. */
export interface StreamPacket {
  stream: number;
  /** Grows with each `reset`; packets of an older count are ignored. */
  epoch: number;
  flow: number;
  /** From 0 for each flow and epoch. */
  sequence: number;
  /** Monotonic clock of the machine, shared by all processes, ms. */
  sentMs: number;
}

export const STREAM_HEADER_BYTES = 24;
/** Of IP and UDP before the payload. */
export function overheadBytes(destination: string): number {
  return familyOf(destination) === 'ipv4' ? 28 : 48;
}
const MAGIC = 0x464d;

export function encodeHeader(packet: StreamPacket): Buffer {
  const bytes = Buffer.allocUnsafe(STREAM_HEADER_BYTES);
  bytes.writeUInt16BE(MAGIC, 0);
  bytes.writeUInt16BE(packet.flow, 2);
  bytes.writeUInt32BE(packet.stream, 4);
  bytes.writeUInt32BE(packet.epoch, 8);
  bytes.writeUInt32BE(packet.sequence, 12);
  bytes.writeDoubleBE(packet.sentMs, 16);
  return bytes;
}

/** The header of a datagram, or null when it is none of ours. */
export function decodeHeader(bytes: Buffer): StreamPacket | null {
  if (bytes.length < STREAM_HEADER_BYTES || bytes.readUInt16BE(0) !== MAGIC) return null;
  return {
    flow: bytes.readUInt16BE(2),
    stream: bytes.readUInt32BE(4),
    epoch: bytes.readUInt32BE(8),
    sequence: bytes.readUInt32BE(12),
    sentMs: bytes.readDoubleBE(16),
  };
}

/** Milliseconds of the machine's monotonic clock: the same in every process, unlike `performance.now()`. An adapter's clock. */
export function machineMs(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}
