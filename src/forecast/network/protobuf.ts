/** An encoded message, or a part of one; parts that follow each other are one message. */
export type Encoded = Uint8Array;

const VARINT = 0;
const BYTES = 2;

export function message(...parts: readonly (Encoded | readonly Encoded[])[]): Encoded {
  const flat = parts.flatMap((part) => (part instanceof Uint8Array ? [part] : part));
  const all = new Uint8Array(flat.reduce((sum, each) => sum + each.length, 0));
  let at = 0;
  for (const each of flat) {
    all.set(each, at);
    at += each.length;
  }
  return all;
}

/** @param value  a whole number ≥ 0, or negative in 64 bits as protobuf's int64 has it */
export function integerField(field: number, value: number): Encoded {
  return Uint8Array.from([...varint(BigInt(8 * field + VARINT)), ...varint(BigInt.asUintN(64, BigInt(value)))]);
}

/** A text, bytes or a message. */
export function bytesField(field: number, value: Encoded | string): Encoded {
  const bytes = typeof value === 'string' ? new TextEncoder().encode(value) : value;
  return message(Uint8Array.from([...varint(BigInt(8 * field + BYTES)), ...varint(BigInt(bytes.length))]), bytes);
}

function varint(value: bigint): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  return [...bytes, Number(rest)];
}
