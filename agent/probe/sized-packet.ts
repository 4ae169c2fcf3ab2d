import { setNtpUs } from './ntp.ts';

/** A packet that is sent for its size: `ask` goes out, `answer` comes back as large. */
export interface SizedPacket {
  kind: 'ask' | 'answer';
  /** Of whoever asked. */
  session: number;
  sequence: number;
}

/**
 * A STAMP test packet (RFC 8762 §4.2.1) with a TLV of private use and Extra Padding (RFC 8972 §4.1) up to the size that is tried; both ways
 * alike, so that a size counts as passed when it passes in both directions.
 *
 * | byte | |
 * | --- | --- |
 * | 0, 4, 12, 14 | sequence, time (NTP), error estimate, SSID |
 * | 44 | TLV 252: version, kind, session |
 * | 56 | TLV 1: zeros |
 */
export const SIZED_PACKET_BYTES_MIN = 60;
const BYTES_MAX = 65_507;
const VERSION = 1;
const EXTRA_PADDING = 1;
const PRIVATE_USE = 252;
/** Set by a sender in every TLV, cleared by a reflector that understood it (RFC 8972 §4). */
const UNRECOGNIZED = 0x80;
const ERROR_ESTIMATE = 0x2001;

/** @param bytes  of the UDP payload */
export function encodeSized({ kind, session, sequence }: SizedPacket, bytes: number, nowUs: number): Uint8Array {
  const packet = new Uint8Array(Math.min(BYTES_MAX, Math.max(SIZED_PACKET_BYTES_MIN, bytes)));
  const view = new DataView(packet.buffer);
  const flag = kind === 'ask' ? UNRECOGNIZED : 0;
  view.setUint32(0, sequence);
  setNtpUs(view, 4, nowUs);
  view.setUint16(12, ERROR_ESTIMATE);
  view.setUint16(14, (session & 0xffff) || 1);
  view.setUint8(44, flag);
  view.setUint8(45, PRIVATE_USE);
  view.setUint16(46, 8);
  view.setUint8(48, VERSION);
  view.setUint8(49, kind === 'ask' ? 0 : 1);
  view.setUint32(52, session);
  view.setUint8(56, flag);
  view.setUint8(57, EXTRA_PADDING);
  view.setUint16(58, packet.byteLength - SIZED_PACKET_BYTES_MIN);
  return packet;
}

/** Null for anything else, such as a probe. */
export function decodeSized(bytes: Uint8Array): SizedPacket | null {
  if (bytes.byteLength < SIZED_PACKET_BYTES_MIN) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isOurs = view.getUint8(45) === PRIVATE_USE && view.getUint16(46) === 8 && view.getUint8(48) === VERSION && view.getUint8(57) === EXTRA_PADDING;
  if (!isOurs || view.getUint16(58) !== bytes.byteLength - SIZED_PACKET_BYTES_MIN || view.getUint8(49) > 1) return null;
  return { kind: view.getUint8(49) === 0 ? 'ask' : 'answer', session: view.getUint32(52), sequence: view.getUint32(0) };
}
