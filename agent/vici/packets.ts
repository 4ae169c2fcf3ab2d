import { decodeMessage, encodeMessage, encodeName, malformed, type ViciMessage } from './codec.ts';

/** What may stand on the wire, by our words; the numbers are VICI's. */
const TYPES = ['request', 'response', 'unknown-command', 'register', 'unregister', 'confirm', 'unknown-event', 'event'] as const;
export type PacketType = (typeof TYPES)[number];

export interface Packet {
  type: PacketType;
  /** Command or event; null for the types that have none. */
  name: string | null;
  message: ViciMessage;
}

/** strongSwan refuses to send or take a packet over 512 KiB; anything longer is not VICI. */
export const PACKET_BYTES_MAX = 524_288;

const HEADER_BYTES = 4;

/** The bytes of a packet with its length in front. @throws ForemeshError VICI_PROTOCOL when it is too long */
export function encodePacket(packet: Packet): Buffer {
  if (packet.name === '') throw malformed('a command or event has no name');
  const name = packet.name === null ? Buffer.alloc(0) : encodeName(packet.name);
  const body = Buffer.concat([Buffer.of(TYPES.indexOf(packet.type)), name, encodeMessage(packet.message)]);
  if (body.length > PACKET_BYTES_MAX) throw malformed(`a packet has ${body.length} bytes, ${PACKET_BYTES_MAX} are possible`);
  const length = Buffer.alloc(HEADER_BYTES);
  length.writeUInt32BE(body.length);
  return Buffer.concat([length, body]);
}

/** The packet in `body`, the bytes after the length. @throws ForemeshError VICI_PROTOCOL */
export function decodePacket(body: Buffer): Packet {
  const type = TYPES[body[0] ?? TYPES.length];
  if (type === undefined) throw malformed(`packet type ${body[0] ?? 'missing'} does not exist`);
  if (!isNamed(type)) return { type, name: null, message: decodeMessage(body.subarray(1)) };
  const nameBytes = body[1] ?? 0;
  if (nameBytes === 0 || body.length < 2 + nameBytes) throw malformed('a packet ends in its name');
  return { type, name: body.toString('utf8', 2, 2 + nameBytes), message: decodeMessage(body.subarray(2 + nameBytes)) };
}

/**
 * Cuts a stream of bytes into packet bodies, however the bytes arrive. Holds at most one packet's bytes; a length over
 * `PACKET_BYTES_MAX` is refused before anything is kept for it.
 */
export class PacketReader {
  #chunks: Buffer[] = [];
  #heldBytes = 0;

  /** The bodies that are complete now. @throws ForemeshError VICI_PROTOCOL; the stream cannot be read on afterwards */
  push(chunk: Buffer): Buffer[] {
    this.#chunks.push(chunk);
    this.#heldBytes += chunk.length;
    const bodies: Buffer[] = [];
    for (let needed = this.#neededBytes(); this.#heldBytes >= needed; needed = this.#neededBytes()) {
      const held = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
      bodies.push(held.subarray(HEADER_BYTES, needed));
      const rest = held.subarray(needed);
      this.#chunks = rest.length > 0 ? [rest] : [];
      this.#heldBytes = rest.length;
    }
    return bodies;
  }

  /** Bytes of the packet at the front, its header included; the header's alone while that is not complete. */
  #neededBytes(): number {
    if (this.#heldBytes < HEADER_BYTES) return HEADER_BYTES;
    if (this.#chunks[0]!.length < HEADER_BYTES) this.#chunks = [Buffer.concat(this.#chunks)];
    const bodyBytes = this.#chunks[0]!.readUInt32BE(0);
    if (bodyBytes === 0 || bodyBytes > PACKET_BYTES_MAX) throw malformed(`a packet of ${bodyBytes} bytes is announced`);
    return HEADER_BYTES + bodyBytes;
  }
}

function isNamed(type: PacketType): boolean {
  return type === 'request' || type === 'register' || type === 'unregister' || type === 'event';
}
