import { getNtpUs, setNtpUs } from './ntp.ts';

/** What two ends of one tunnel say to each other, inside the tunnel. It asks, answers, does both at once, or (neither) asks for a pause. */
export interface ProbePacket {
  /** A probe: the peer is to answer. */
  asks: { sequence: number; patienceMs: number } | null;
  /** An echo of the peer's probe: its sequence and time as they came, and our time when it came, µs as `atUs`. */
  answers: { sequence: number; sentUs: number; arrivedUs: number } | null;
  /** Time of the sender when it sent this, µs since 1970, steady within a session. */
  atUs: number;
  /** The sender points traffic at this tunnel now. */
  inUse: boolean;
  /** The sender has missed enough answers to call the path broken. */
  broken: boolean;
  /** The sender's own figures show a brown-out. */
  degraded: boolean;
  /** The sender wants this tunnel's keys made anew and asks to use another one meanwhile. */
  renews: boolean;
  /** The sender's LAN is dead: what it gets through this tunnel reaches nobody. */
  lame: boolean;
  /** The sender knows packets that ask and answer at once. */
  combines: boolean;
  /** Chosen anew by every start of a session, so that counters of different lives are never compared. */
  session: number;
  /** Packets of traffic (not probes) through the tunnel's interfaces; null when somebody cannot count. */
  traffic: TrafficCounts | null;
  /** The session that `peerReceived` and `peerHighest` count; 0 when nothing was heard yet. */
  peerSession: number;
  /** Probes of that session that reached the sender, and the highest sequence among them. */
  peerReceived: number;
  peerHighest: number;
  /** Only where it neither asks nor answers: "my agent goes away for so long, forwarding stays", ms. */
  pauseMs: number;
}

/** Direct Measurement (RFC 8972 §4.5), modulo 2^32: into the tunnel before the probe; out of it at the reflector when the probe came, and into it when it answered. */
export interface TrafficCounts {
  senderSent: number;
  reflectorReceived: number;
  reflectorSent: number;
}

/**
 * A STAMP test packet in unauthenticated mode (RFC 8762 §4.2.1, §4.3.1; it travels inside ESP), with two TLVs of RFC 8972:
 * Direct Measurement, and one of private use for what the two agents agree on. 88 bytes, both ways the same.
 *
 * | byte | probe | echo |
 * | --- | --- | --- |
 * | 0 | sequence | sequence of the probe; its own where it asks too (a stateful reflector's) |
 * | 4 | time (NTP) | time of the answer |
 * | 12, 14 | error estimate, SSID | the same |
 * | 16 | 0 | time of arrival |
 * | 24, 28, 36 | 0 | sequence, time and error estimate of the probe |
 * | 40 | 0 | TTL of the probe: 255, not known |
 * | 44 | TLV 5: sender sent, reflector received, reflector sent | the same, filled in |
 * | 60 | TLV 252: version, kind, flags, session, peer's session, received, highest, patience or pause | |
 */
export const PROBE_PACKET_BYTES = 88;

/** By place: neither version 2's first agents nor a stranger knows the last one. */
const KINDS = ['probe', 'echo', 'pause', 'both'] as const;
const IN_USE = 1;
const BROKEN = 2;
const DEGRADED = 4;
const COUNTS = 8;
const RENEWS = 16;
const LAME = 32;
const COMBINES = 64;
const VERSION = 2;
const DIRECT_MEASUREMENT = 5;
const PRIVATE_USE = 252;
/** Set by a sender in every TLV, cleared by a reflector that understood it (RFC 8972 §4). */
const UNRECOGNIZED = 0x80;
/** Not synchronized to UTC, within 2^0 s: scale 32, multiplier 1. */
const ERROR_ESTIMATE = 0x2001;

/** From Node's pool: memory of its own for every packet of every tunnel would cost more than filling it. */
export function encodeProbe(packet: ProbePacket): Uint8Array {
  const bytes = Buffer.allocUnsafe(PROBE_PACKET_BYTES).fill(0);
  const view = new DataView(bytes.buffer, bytes.byteOffset, PROBE_PACKET_BYTES);
  const { asks, answers } = packet;
  view.setUint32(0, (asks ?? answers)?.sequence ?? 0);
  setNtpUs(view, 4, packet.atUs);
  view.setUint16(12, ERROR_ESTIMATE);
  view.setUint16(14, (packet.session & 0xffff) || 1);
  if (answers) {
    setNtpUs(view, 16, answers.arrivedUs);
    view.setUint32(24, answers.sequence);
    setNtpUs(view, 28, answers.sentUs);
    view.setUint16(36, ERROR_ESTIMATE);
    view.setUint8(40, 255);
  }
  setTlv(view, 44, DIRECT_MEASUREMENT, 12, answers !== null);
  view.setUint32(48, packet.traffic?.senderSent ?? 0);
  view.setUint32(52, packet.traffic?.reflectorReceived ?? 0);
  view.setUint32(56, packet.traffic?.reflectorSent ?? 0);
  setTlv(view, 60, PRIVATE_USE, 24, answers !== null);
  view.setUint8(64, VERSION);
  view.setUint8(65, KINDS.indexOf(asks ? (answers ? 'both' : 'probe') : answers ? 'echo' : 'pause'));
  view.setUint8(66, flagsOf(packet));
  view.setUint32(68, packet.session);
  view.setUint32(72, packet.peerSession);
  view.setUint32(76, packet.peerReceived);
  view.setUint32(80, packet.peerHighest);
  view.setUint32(84, asks ? asks.patienceMs : packet.pauseMs);
  return bytes;
}

function flagsOf(packet: ProbePacket): number {
  return (
    (packet.inUse ? IN_USE : 0) | (packet.broken ? BROKEN : 0) | (packet.degraded ? DEGRADED : 0) | (packet.traffic ? COUNTS : 0) | (packet.renews ? RENEWS : 0) | (packet.lame ? LAME : 0) | (packet.combines ? COMBINES : 0)
  );
}

/** The packet, or null for anything that is not one of ours: the socket may hear strangers, and that is no error. */
export function decodeProbe(bytes: Uint8Array): ProbePacket | null {
  if (bytes.byteLength !== PROBE_PACKET_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const kind = KINDS[view.getUint8(65)];
  if (!isTlv(view, 44, DIRECT_MEASUREMENT, 12) || !isTlv(view, 60, PRIVATE_USE, 24) || view.getUint8(64) !== VERSION || kind === undefined) return null;
  const flags = view.getUint8(66);
  const asks = kind === 'probe' || kind === 'both';
  const waitMs = view.getUint32(84);
  return {
    asks: asks ? { sequence: view.getUint32(0), patienceMs: waitMs } : null,
    answers: kind === 'echo' || kind === 'both' ? { sequence: view.getUint32(24), sentUs: getNtpUs(view, 28), arrivedUs: getNtpUs(view, 16) } : null,
    atUs: getNtpUs(view, 4),
    inUse: (flags & IN_USE) !== 0,
    broken: (flags & BROKEN) !== 0,
    degraded: (flags & DEGRADED) !== 0,
    renews: (flags & RENEWS) !== 0,
    lame: (flags & LAME) !== 0,
    combines: (flags & COMBINES) !== 0,
    session: view.getUint32(68),
    traffic: (flags & COUNTS) === 0 ? null : { senderSent: view.getUint32(48), reflectorReceived: view.getUint32(52), reflectorSent: view.getUint32(56) },
    peerSession: view.getUint32(72),
    peerReceived: view.getUint32(76),
    peerHighest: view.getUint32(80),
    pauseMs: asks ? 0 : waitMs,
  };
}

function setTlv(view: DataView, at: number, type: number, length: number, isEcho: boolean): void {
  view.setUint8(at, isEcho ? 0 : UNRECOGNIZED);
  view.setUint8(at + 1, type);
  view.setUint16(at + 2, length);
}

function isTlv(view: DataView, at: number, type: number, length: number): boolean {
  return view.getUint8(at + 1) === type && view.getUint16(at + 2) === length;
}
