import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../../src/base/index.ts';
import { classify, createWan, describe as describePacket } from '../../../src/lab/relay/index.ts';
import { nodeId, pathId, type UplinkId, uplinkId } from '../../../src/model/index.ts';

const ONE = uplinkId(nodeId('one'), 'wan');
const OTHER = uplinkId(nodeId('other'), 'wan');
const ADDRESS = { [ONE]: '2001:db8::1', [OTHER]: '2001:db8::2' } as Record<UplinkId, string>;
const BYTES: Record<string, string> = { '2001:db8::1': '20010db8000000000000000000000001', '2001:db8::2': '20010db8000000000000000000000002', 'fd00:2::a': 'fd00000200000000000000000000000a', 'ff02::1': 'ff020000000000000000000000000001' };

/** A VXLAN datagram with an IPv6 packet in it; `chain`: next header of the fixed header, then everything behind it, hex. */
function datagram(chain: [next: number, rest: string], to = '2001:db8::2'): Buffer {
  const rest = Buffer.from(chain[1], 'hex');
  const bytes = Buffer.alloc(22 + 40 + rest.length);
  bytes.writeUInt16BE(0x86dd, 20);
  bytes[22] = 0x60;
  bytes.writeUInt16BE(rest.length, 26);
  bytes[28] = chain[0];
  Buffer.from(BYTES['2001:db8::1']! + BYTES[to]!, 'hex').copy(bytes, 30);
  rest.copy(bytes, 62);
  return bytes;
}

const udp = (ports: [number, number], payload: string): string => ports.map((port) => port.toString(16).padStart(4, '0')).join('') + '00000000' + payload;
const ESP_IN_UDP = udp([4500, 4500], 'c000000100000001');

describe('what an IPv6 packet is taken for', () => {
  it.each<[string, [number, string], ReturnType<typeof classify>]>([
    ['UDP 4500 with an SPI', [17, ESP_IN_UDP], 'esp'],
    ['next header 50', [50, 'c000000100000001'], 'esp'],
    ['ESP in UDP behind hop-by-hop options', [0, `1100000000000000${ESP_IN_UDP}`], 'esp'],
    ['a first fragment of it', [44, `1100000100000007${ESP_IN_UDP}`], 'esp'],
    ['a later fragment', [44, '1100004900000007ffffffff'], null],
    ['UDP 4500 with the zero marker', [17, udp([4500, 4500], '0000000011223344')], 'ike'],
    ['UDP 500', [17, udp([500, 500], '11223344')], 'ike'],
    ['UDP of a host', [17, udp([40_000, 7000], 'c000000100000001')], 'clearText'],
    ['a ping', [58, '8000000000000000'], 'clearText'],
    ['an error about UDP 4500', [58, `0200000000000500${datagram([17, ESP_IN_UDP]).subarray(22).toString('hex')}`], 'icmpError'],
    ['an error about something else', [58, `0200000000000500${datagram([6, '00350035']).subarray(22).toString('hex')}`], 'clearText'],
    ['options that are cut off', [0, '11'], 'clearText'],
  ])('%s', (_, chain, expected) => {
    expect(classify(datagram(chain))).toBe(expected);
  });

  it('names ends and length, never the payload', () => {
    expect(describePacket(datagram([17, udp([40_000, 7000], '7365637265740a')]))).toBe('udp [2001:db8:0:0:0:0:0:1]:40000 > [2001:db8:0:0:0:0:0:2]:7000 (55 bytes)');
  });

  it('goes to the uplink with its address; what has another is clear text, and what stays on the link is nothing', async () => {
    const clock = new VirtualClock();
    const arrived: UplinkId[] = [];
    const profile = { delayMs: 1, jitterMs: 0, lossRatio: 0, bandwidthMbps: 0, down: false };
    const endpoints = [ONE, OTHER].map((uplink, index) => ({ uplink, address: ADDRESS[uplink]!, vni: index, port: index, mac: '', upMbps: 0, downMbps: 0 }));
    const wan = createWan({ clock, seed: 'a', endpoints, profiles: [{ path: pathId(ONE, OTHER), forward: profile, reverse: profile }], deliver: (to) => arrived.push(to) });
    wan.receive(ONE, datagram([17, ESP_IN_UDP]));
    wan.receive(ONE, datagram([17, ESP_IN_UDP], 'fd00:2::a'));
    for (const type of ['87', '88', '8f']) wan.receive(ONE, datagram([58, `${type}000000000000`], 'ff02::1'));
    await clock.advance(10);
    expect(arrived).toEqual([OTHER]);
    const { paths, strayPackets, otherFrames, clearTextSeen } = wan.report();
    expect([paths[0]!.forward.espPackets, strayPackets, otherFrames, clearTextSeen.length]).toEqual([1, 1, 3, 1]);
  });
});
