/** What two ends of one tunnel say to each other; 40 bytes, big endian, inside the tunnel. */
export interface ProbePacket {
  /** `probe` asks, `echo` answers with the same sequence and time, `pause` says "my agent goes away, forwarding stays". */
  kind: 'probe' | 'echo' | 'pause';
  /** The sender points traffic at this tunnel now. */
  inUse: boolean;
  /** The sender has missed enough answers to call the path broken. */
  broken: boolean;
  /** The sender wants this tunnel's keys made anew and asks to use another one meanwhile. */
  renews: boolean;
  /** Chosen anew by every start of a session, so that counters of different lives are never compared. */
  session: number;
  sequence: number;
  /** Monotonic time of the prober when it sent the probe, µs; an echo returns it unchanged. */
  sentUs: number;
  /** The session that `peerReceived` and `peerHighest` count; 0 when nothing was heard yet. */
  peerSession: number;
  /** Probes of that session that reached the sender, and the highest sequence among them. */
  peerReceived: number;
  peerHighest: number;
  /** Only in `pause`: for how long, ms. */
  pauseMs: number;
}

export const PROBE_PACKET_BYTES = 40;
const MAGIC = 0x464d5052; // FMPR
const VERSION = 1;
const KINDS = ['probe', 'echo', 'pause'] as const;
const IN_USE = 1;
const BROKEN = 2;
const RENEWS = 4;

export function encodeProbe(packet: ProbePacket): Uint8Array {
  const bytes = new Uint8Array(PROBE_PACKET_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC);
  view.setUint8(4, VERSION);
  view.setUint8(5, KINDS.indexOf(packet.kind));
  view.setUint8(6, (packet.inUse ? IN_USE : 0) | (packet.broken ? BROKEN : 0) | (packet.renews ? RENEWS : 0));
  view.setUint32(8, packet.session);
  view.setUint32(12, packet.sequence);
  view.setBigUint64(16, BigInt(Math.max(0, Math.round(packet.sentUs))));
  view.setUint32(24, packet.peerSession);
  view.setUint32(28, packet.peerReceived);
  view.setUint32(32, packet.peerHighest);
  view.setUint32(36, packet.pauseMs);
  return bytes;
}

/** The packet, or null for anything that is not one of ours: the socket may hear strangers, and that is no error. */
export function decodeProbe(bytes: Uint8Array): ProbePacket | null {
  if (bytes.byteLength !== PROBE_PACKET_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const kind = KINDS[view.getUint8(5)];
  if (view.getUint32(0) !== MAGIC || view.getUint8(4) !== VERSION || kind === undefined) return null;
  const flags = view.getUint8(6);
  return {
    kind,
    inUse: (flags & IN_USE) !== 0,
    broken: (flags & BROKEN) !== 0,
    renews: (flags & RENEWS) !== 0,
    session: view.getUint32(8),
    sequence: view.getUint32(12),
    sentUs: Number(view.getBigUint64(16)),
    peerSession: view.getUint32(24),
    peerReceived: view.getUint32(28),
    peerHighest: view.getUint32(32),
    pauseMs: view.getUint32(36),
  };
}
