/** An address of a name, out of an answer. */
export interface NamedAddress {
  /** What was asked for, and what that is another name of: lower case, without the dot at the end. */
  names: readonly string[];
  /** IPv4. */
  address: string;
  ttlSeconds: number;
}

/** Larger messages come over TCP, or in fragments that never get here. */
const MESSAGE_BYTES_MAX = 4096;
const HEADER_BYTES = 12;
/** RFC 1035 section 2.3.4. */
const NAME_BYTES_MAX = 255;
/** Aliases of aliases that are followed; resolvers stop at 8 to 16. */
const ALIASES_MAX = 16;
/** Records looked at in one message. */
const RECORDS_MAX = 256;
/** Compression needs one a name; some nest two or three. */
const POINTERS_MAX = 16;
const TYPE_A = 1;
const TYPE_CNAME = 5;
const CLASS_IN = 1;

/**
 * The IPv4 addresses that an answer gives for the name that was asked for, by way of its aliases (RFC 1035 section 4).
 * Records of other names are no answer to the question and are left out, as are errors, questions, truncated messages
 * and whatever cannot be read: then []. Never throws, and the work is bounded by the constants above, whatever the bytes are.
 * @param message  as it came by UDP
 */
export function addressesIn(message: Uint8Array): NamedAddress[] {
  const bytes = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
  if (bytes.length < HEADER_BYTES || bytes.length > MESSAGE_BYTES_MAX) return [];
  const flags = bytes.readUInt16BE(2);
  const isWholeAnswer = (flags & 0x8000) !== 0 && (flags & 0x7800) === 0 && (flags & 0x0200) === 0 && (flags & 0x000f) === 0;
  if (!isWholeAnswer || bytes.readUInt16BE(4) !== 1) return [];
  const asked = readName(bytes, HEADER_BYTES);
  if (!asked || asked.end + 4 > bytes.length || bytes.readUInt16BE(asked.end + 2) !== CLASS_IN) return [];
  const records = readRecords(bytes, asked.end + 4, Math.min(RECORDS_MAX, bytes.readUInt16BE(6)));
  const names = withAliases(asked.name, records);
  return records.flatMap(({ owner, address, ttlSeconds }) => (address !== null && names.includes(owner) ? [{ names, address, ttlSeconds }] : []));
}

interface AnswerRecord {
  owner: string;
  ttlSeconds: number;
  address: string | null;
  alias: string | null;
}

/** The records that can be read, up to the first that cannot. */
function readRecords(bytes: Buffer, start: number, count: number): AnswerRecord[] {
  const records: AnswerRecord[] = [];
  let at = start;
  for (let index = 0; index < count; index++) {
    const owner = readName(bytes, at);
    if (!owner || owner.end + 10 > bytes.length) break;
    const [type, recordClass, ttl, length] = [bytes.readUInt16BE(owner.end), bytes.readUInt16BE(owner.end + 2), bytes.readUInt32BE(owner.end + 4), bytes.readUInt16BE(owner.end + 8)];
    const data = owner.end + 10;
    at = data + length;
    if (at > bytes.length) break;
    if (recordClass !== CLASS_IN) continue;
    const address = type === TYPE_A && length === 4 ? [...bytes.subarray(data, at)].join('.') : null;
    const alias = type === TYPE_CNAME ? readName(bytes, data) : null;
    // RFC 2181 section 8: with the highest bit set it is no time at all
    records.push({ owner: owner.name, ttlSeconds: ttl > 0x7fff_ffff ? 0 : ttl, address, alias: alias?.end === at ? alias.name : null });
  }
  return records;
}

function withAliases(asked: string, records: readonly AnswerRecord[]): string[] {
  const names = [asked];
  for (let steps = 0; steps < ALIASES_MAX; steps++) {
    const next = records.find(({ owner, alias }) => alias !== null && owner === names.at(-1) && !names.includes(alias))?.alias;
    if (next === undefined || next === null) break;
    names.push(next);
  }
  return names;
}

/**
 * A name with its compression pointers followed (section 4.1.4). Each must lead further towards the beginning than the
 * last, so no chain of them has a loop. Null for one that cannot be read, or has a byte that no host name has (then it
 * fits no pattern either).
 * @returns end  where the name ends in place, pointers not followed
 */
function readName(bytes: Buffer, start: number): { name: string; end: number } | null {
  const labels: string[] = [];
  let at = start;
  let end: number | null = null;
  let lowest = start;
  let pointers = 0;
  let length = 0;
  for (;;) {
    const size = bytes[at];
    if (size === undefined) return null;
    if (size === 0) return { name: labels.join('.'), end: end ?? at + 1 };
    if ((size & 0xc0) === 0xc0) {
      const low = bytes[at + 1];
      if (low === undefined) return null;
      const target = ((size & 0x3f) << 8) | low;
      if (target >= lowest || target < HEADER_BYTES || ++pointers > POINTERS_MAX) return null;
      end ??= at + 2;
      lowest = target;
      at = target;
      continue;
    }
    if (size > 63 || at + 1 + size > bytes.length) return null;
    length += size + 1;
    if (length >= NAME_BYTES_MAX) return null;
    const label = bytes.toString('latin1', at + 1, at + 1 + size).toLowerCase();
    if (!/^[a-z0-9_-]+$/.test(label)) return null;
    labels.push(label);
    at += 1 + size;
  }
}
