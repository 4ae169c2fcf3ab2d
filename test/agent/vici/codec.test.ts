import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeMessage, decodePacket, encodeMessage, encodePacket, type Packet, PACKET_BYTES_MAX, PacketReader, type ViciMessage } from '../../../agent/vici/index.ts';

const name = fc.string({ minLength: 0, maxLength: 40, unit: 'binary' }).filter((text) => Buffer.byteLength(text) <= 255 && text !== '__proto__' && Buffer.from(text).toString() === text);
const text = fc.string({ maxLength: 300, unit: 'grapheme' });
/** Bytes that are not text: text comes back as text. */
const bytes = fc.uint8Array({ maxLength: 100 }).map((array) => Uint8Array.from([0xff, ...array]));
const value = fc.oneof(text, bytes);
const { message } = fc.letrec<{ message: ViciMessage }>((tie) => ({
  message: fc.dictionary(name, fc.oneof({ depthSize: 'small' }, value, fc.array(value, { maxLength: 5 }), tie('message')), { maxKeys: 6 }),
}));
const packet: fc.Arbitrary<Packet> = fc.oneof(
  fc.record({ type: fc.constantFrom('request' as const, 'event' as const, 'register' as const, 'unregister' as const), name: name.filter((text) => text !== ''), message }),
  fc.record({ type: fc.constantFrom('response' as const, 'confirm' as const, 'unknown-command' as const, 'unknown-event' as const), name: fc.constant(null), message }),
);

describe('VICI messages', () => {
  it('decode to what was encoded', () => {
    fc.assert(
      fc.property(message, (wanted) => {
        expect(decodeMessage(encodeMessage(wanted))).toEqual(wanted);
      }),
    );
  });

  it('have the bytes of the published example', () => {
    // https://docs.strongswan.org/docs/5.9/plugins/vici.html: key1 = value1, section1 { sub-section { key2 = value2 } list1 = [ item1, item2 ] }
    const example = { key1: 'value1', section1: { 'sub-section': { key2: 'value2' }, list1: ['item1', 'item2'] } };
    const expected = [
      [3, 4, ...Buffer.from('key1'), 0, 6, ...Buffer.from('value1')],
      [1, 8, ...Buffer.from('section1')],
      [1, 11, ...Buffer.from('sub-section')],
      [3, 4, ...Buffer.from('key2'), 0, 6, ...Buffer.from('value2')],
      [2],
      [4, 5, ...Buffer.from('list1')],
      [5, 0, 5, ...Buffer.from('item1')],
      [5, 0, 5, ...Buffer.from('item2')],
      [6],
      [2],
    ].flat();
    expect([...encodeMessage(example)]).toEqual(expected);
  });

  it('never make names of the prototype reachable', () => {
    const hostile = decodeMessage(Buffer.from([3, 9, ...Buffer.from('__proto__'), 0, 1, 0x78]));
    expect(Object.getPrototypeOf(hostile)).toBeNull();
    expect(Object.keys(hostile)).toEqual(['__proto__']);
  });

  it('may name a section nothing at all, as get-counters does for what is counted of all connections', () => {
    const raw = [1, 8, ...Buffer.from('counters'), 1, 0, 3, 14, ...Buffer.from('ike-rekey-init'), 0, 1, 0x34, 2, 1, 10, ...Buffer.from('t-0000a001'), 2, 2, 3, 7, ...Buffer.from('success'), 0, 3, ...Buffer.from('yes')];
    expect(decodeMessage(Buffer.from(raw))).toEqual({ counters: { '': { 'ike-rekey-init': '4' }, 't-0000a001': {} }, success: 'yes' });
  });

  it.each<[string, number[]]>([
    ['an unknown element', [9]],
    ['a section without an end', [1, 1, 0x61]],
    ['an end without a section', [2]],
    ['a list without an end', [4, 1, 0x61, 5, 0, 1, 0x62]],
    ['a key inside a list', [4, 1, 0x61, 3, 1, 0x62, 0, 0, 6]],
    ['an item outside a list', [5, 0, 1, 0x61]],
    ['a name longer than the message', [3, 200, 0x61]],
    ['a value longer than the message', [3, 1, 0x61, 0xff, 0xff, 0x62]],
    ['a name that is not text', [3, 1, 0xff, 0, 0]],
    ['too many sections in sections', Array.from({ length: 40 }, () => [1, 1, 0x61]).flat()],
  ])('with %s are refused', (_case, raw) => {
    expect(() => decodeMessage(Buffer.from(raw))).toThrow(/VICI_PROTOCOL/);
  });

  it('are refused or decoded, never anything else, whatever the bytes are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (raw) => {
        try {
          decodeMessage(raw);
        } catch (cause) {
          expect(String(cause)).toMatch(/VICI_PROTOCOL/);
        }
      }),
    );
  });

  it('refuse what the format cannot hold', () => {
    expect(() => encodeMessage({ ['n'.repeat(256)]: 'x' })).toThrow(/VICI_PROTOCOL/);
    expect(() => encodeMessage({ n: 'x'.repeat(65_536) })).toThrow(/VICI_PROTOCOL/);
    expect(() => encodePacket({ type: 'request', name: 'c', message: { l: Array.from({ length: 20 }, () => 'x'.repeat(60_000)) } })).toThrow(/VICI_PROTOCOL/);
  });
});

describe('VICI packets', () => {
  it('come out whole, wherever the stream is split', () => {
    fc.assert(
      fc.property(fc.array(packet, { minLength: 1, maxLength: 4 }), fc.infiniteStream(fc.integer({ min: 1, max: 40 })), (wanted, sizes) => {
        const stream = Buffer.concat(wanted.map((one) => encodePacket(one)));
        const reader = new PacketReader();
        const bodies: Buffer[] = [];
        for (let offset = 0; offset < stream.length; ) {
          const size = sizes.next().value ?? 1;
          bodies.push(...reader.push(stream.subarray(offset, offset + size)));
          offset += size;
        }
        expect(bodies.map((body) => decodePacket(body))).toEqual(wanted);
      }),
    );
  });

  it('come out whole when the stream is split at each single byte', () => {
    const one = encodePacket({ type: 'event', name: 'child-updown', message: { up: 'yes', a: { list: ['x'] } } });
    for (let split = 0; split <= one.length; split++) {
      const reader = new PacketReader();
      const bodies = [...reader.push(one.subarray(0, split)), ...reader.push(one.subarray(split))];
      expect(bodies.map((body) => decodePacket(body).name)).toEqual(['child-updown']);
    }
  });

  it.each([0, PACKET_BYTES_MAX + 1, 0xffffffff])('with an announced length of %d are refused before anything is held for them', (length) => {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(length);
    expect(() => new PacketReader().push(head)).toThrow(/VICI_PROTOCOL/);
  });

  it('of an unknown type, or that end in their name, are refused', () => {
    expect(() => decodePacket(Buffer.of(8))).toThrow(/VICI_PROTOCOL/);
    expect(() => decodePacket(Buffer.of(7, 20, 0x61))).toThrow(/VICI_PROTOCOL/);
    expect(() => decodePacket(Buffer.of(7))).toThrow(/VICI_PROTOCOL/);
  });
});
