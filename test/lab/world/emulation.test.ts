import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../../src/base/index.ts';
import type { PathProfile } from '../../../src/lab/world.ts';
import { classify, createStallMeter, createWan, describe as describePacket, type Wan } from '../../../src/lab/relay/index.ts';
import { nodeId, pathId, type UplinkId, uplinkId } from '../../../src/model/index.ts';

const ONE = uplinkId(nodeId('one'), 'wan');
const OTHER = uplinkId(nodeId('other'), 'wan');
const THIRD = uplinkId(nodeId('third'), 'wan');
const ADDRESS: Record<string, string> = { [ONE]: '100.64.0.1', [OTHER]: '100.64.0.2', [THIRD]: '203.0.113.77' };
const CLEAR: PathProfile = { delayMs: 10, jitterMs: 0, lossRatio: 0, bandwidthMbps: 0, down: false };

interface Sketch {
  from?: string;
  to?: string;
  protocol?: number;
  ports?: [number, number];
  payload?: string;
  fragment?: number;
  bytes?: number;
}

/** A VXLAN datagram with an IPv4 packet in it. */
function datagram(sketch: Sketch): Buffer {
  const payload = Buffer.from(sketch.payload ?? '', 'hex');
  const protocol = sketch.protocol ?? 17;
  const ports = protocol === 17 || protocol === 6 ? 8 : 0;
  const bytes = Buffer.alloc(Math.max(22 + 20 + ports + payload.length, 22 + (sketch.bytes ?? 0)));
  bytes.writeUInt16BE(0x0800, 20);
  bytes[22] = 0x45;
  bytes.writeUInt16BE(7, 26);
  bytes.writeUInt16BE(sketch.fragment ?? 0, 28);
  bytes[31] = protocol;
  for (const [at, address] of [[34, sketch.from ?? ADDRESS[ONE]!], [38, sketch.to ?? ADDRESS[OTHER]!]] as const) address.split('.').forEach((part, index) => bytes.writeUInt8(Number(part), at + index));
  if (ports > 0) {
    bytes.writeUInt16BE(sketch.ports?.[0] ?? 1000, 42);
    bytes.writeUInt16BE(sketch.ports?.[1] ?? 2000, 44);
  }
  payload.copy(bytes, 42 + ports);
  return bytes;
}

describe('what a packet is taken for', () => {
  it.each<[string, Sketch, string]>([
    ['UDP 4500 with an SPI', { ports: [4500, 4500], payload: 'c000000100000001' }, 'esp'],
    ['UDP 4500 behind a NAT, one end only', { ports: [31_234, 4500], payload: 'c000000100000001' }, 'esp'],
    ['IP protocol 50', { protocol: 50, payload: 'c000000100000001' }, 'esp'],
    ['UDP 4500 with the zero marker', { ports: [4500, 4500], payload: '0000000011223344' }, 'ike'],
    ['a NAT keepalive', { ports: [4500, 4500], payload: 'ff' }, 'ike'],
    ['UDP 500', { ports: [500, 500], payload: '1122334455667788' }, 'ike'],
    ['UDP of a host', { ports: [40_000, 7000], payload: 'c000000100000001' }, 'clearText'],
    ['TCP on port 4500', { protocol: 6, ports: [4500, 4500], payload: 'c000000100000001' }, 'clearText'],
    ['a ping', { protocol: 1, payload: '0800000000000000' }, 'clearText'],
    ['an ICMP error about UDP 4500', { protocol: 1, payload: `0303000000000000${datagram({ ports: [4500, 4500] }).subarray(22).toString('hex')}` }, 'icmpError'],
    ['an ICMP error about something else', { protocol: 1, payload: `0303000000000000${datagram({ ports: [53, 53] }).subarray(22).toString('hex')}` }, 'clearText'],
    ['a datagram too short for its own header', { ports: [4500, 4500], payload: 'c0' }, 'ike'],
  ])('%s', (_, sketch, expected) => {
    expect(classify(datagram(sketch))).toBe(expected);
  });

  it('names ends and length, never the payload', () => {
    expect(describePacket(datagram({ ports: [40_000, 7000], payload: '7365637265740a' }))).toBe('udp 100.64.0.1:40000 > 100.64.0.2:7000 (35 bytes)');
  });
});

describe('the emulation, in virtual time', () => {
  interface Rig {
    clock: VirtualClock;
    wan: Wan;
    arrivals: { to: UplinkId; atMs: number; mark: number }[];
    send: (sketch?: Sketch, mark?: number) => void;
  }

  function rig(profile: Partial<PathProfile> = {}, uplinkMbps = 0, seed = 'a', slackMs = 0): Rig {
    const clock = new VirtualClock();
    const arrivals: Rig['arrivals'] = [];
    const both = { ...CLEAR, ...profile };
    const wan = createWan({
      clock,
      seed,
      slackMs: () => slackMs,
      endpoints: [ONE, OTHER, THIRD].map((uplink, index) => ({ uplink, address: ADDRESS[uplink]!, vni: index, port: index, mac: '', upMbps: uplinkMbps, downMbps: uplinkMbps })),
      profiles: [[ONE, OTHER], [OTHER, THIRD]].map(([a, b]) => ({ path: pathId(a!, b!), forward: both, reverse: both })),
      deliver: (to, bytes) => arrivals.push({ to, atMs: clock.monotonicMs(), mark: bytes[bytes.length - 1]! }),
    });
    const send: Rig['send'] = (sketch = {}, mark = 0) => {
      const bytes = datagram({ ports: [4500, 4500], payload: 'c0000001', bytes: 1250, ...sketch });
      bytes[bytes.length - 1] = mark;
      wan.receive(ONE, bytes);
    };
    return { clock, wan, arrivals, send };
  }

  it('delays by the profile', async () => {
    const { clock, arrivals, send } = rig();
    send();
    await clock.advance(50);
    expect(arrivals).toEqual([{ to: OTHER, atMs: 10, mark: 0 }]);
  });

  it('spaces packets by the bandwidth and drops what a full queue cannot hold', async () => {
    const { clock, wan, arrivals, send } = rig({ bandwidthMbps: 1 });
    for (let mark = 0; mark < 20; mark++) send({}, mark);
    await clock.advance(1000);
    expect(arrivals.map((one) => one.atMs)).toEqual([20, 30, 40, 50, 60, 70, 80]);
    expect(wan.report().paths[0]!.forward).toMatchObject({ espPackets: 20, deliveredPackets: 7, queueDroppedPackets: 13 });
  });

  it('does not drop what only came at once because nobody had looked for a while', async () => {
    const { clock, wan, arrivals, send } = rig({ bandwidthMbps: 1 }, 0, 'a', 130);
    for (let mark = 0; mark < 20; mark++) send({}, mark);
    await clock.advance(1000);
    expect(arrivals).toHaveLength(20);
    expect(wan.report().paths[0]!.forward.queueDroppedPackets).toBe(0);
  });

  it('tells how long the process stood still, and forgets it soon', async () => {
    const clock = new VirtualClock();
    let jumpMs = 0;
    const stalledMs = createStallMeter({ now: () => clock.now(), monotonicMs: () => clock.monotonicMs() + jumpMs, setTimer: (delayMs, action) => clock.setTimer(delayMs, action) });
    await clock.advance(100);
    expect(stalledMs()).toBe(0);
    jumpMs = 150;
    expect(stalledMs()).toBeGreaterThanOrEqual(140);
    await clock.advance(20);
    expect(stalledMs()).toBeGreaterThanOrEqual(140);
    await clock.advance(100);
    expect(stalledMs()).toBe(0);
  });

  it('shares the bandwidth of an uplink among its paths, download included', async () => {
    const { clock, wan, arrivals, send } = rig({}, 1);
    for (let mark = 0; mark < 5; mark++) send({}, mark);
    for (let mark = 0; mark < 5; mark++) wan.receive(THIRD, datagram({ from: ADDRESS[THIRD]!, ports: [4500, 4500], payload: 'c0000001', bytes: 1250 }));
    await clock.advance(1000);
    expect(arrivals).toHaveLength(10);
    expect(arrivals.at(-1)!.atMs).toBeGreaterThanOrEqual(100);
  });

  it('keeps order under jitter', async () => {
    const { clock, arrivals, send } = rig({ jitterMs: 5 });
    for (let mark = 0; mark < 100; mark++) {
      send({}, mark);
      await clock.advance(1);
    }
    await clock.advance(100);
    expect(arrivals.map((one) => one.mark)).toEqual(Array.from({ length: 100 }, (_, mark) => mark));
    expect(new Set(arrivals.map((one, index) => one.atMs - index)).size).toBeGreaterThan(5);
  });

  it('loses the same packets for the same seed, others for another', async () => {
    const lossOf = async (seed: string): Promise<number[]> => {
      const { clock, arrivals, send } = rig({ lossRatio: 0.3 }, 0, seed);
      for (let mark = 0; mark < 100; mark++) send({}, mark);
      await clock.advance(100);
      return arrivals.map((one) => one.mark);
    };
    expect(await lossOf('a')).toEqual(await lossOf('a'));
    expect(await lossOf('a')).not.toEqual(await lossOf('b'));
  });

  it('takes a new profile for packets that come after it', async () => {
    const { clock, wan, arrivals, send } = rig();
    wan.setPath({ path: pathId(ONE, OTHER), directions: ['forward'], profile: { down: true } });
    send();
    await clock.advance(100);
    wan.setPath({ path: pathId(ONE, OTHER), directions: ['forward'], profile: { down: false, delayMs: 1 } });
    send();
    await clock.advance(100);
    expect(arrivals).toEqual([{ to: OTHER, atMs: 101, mark: 0 }]);
    expect(() => wan.setPath({ path: pathId(ONE, THIRD), directions: ['forward'], profile: {} })).toThrow(/LAB_FAILED/);
  });

  it('takes a later fragment for what the first one was', () => {
    const { wan, send } = rig();
    send({ fragment: 0x2000 });
    send({ fragment: 0x00b9 });
    wan.receive(ONE, datagram({ fragment: 0x00b9, to: ADDRESS[OTHER]!, from: ADDRESS[ONE]!, protocol: 6 }));
    expect(wan.report().paths[0]!.forward).toMatchObject({ espPackets: 3, clearTextPackets: 0 });
  });

  it('passes nothing with a foreign address or on a way that is no path, and shows it as clear text', async () => {
    const { clock, wan, arrivals, send } = rig();
    send({ from: '10.1.0.10' });
    send({ to: '10.2.0.10' });
    send({ to: ADDRESS[THIRD]! });
    await clock.advance(100);
    expect(arrivals).toEqual([]);
    expect(wan.report()).toMatchObject({ strayPackets: 3, clearTextSeen: [{ uplink: ONE }, { uplink: ONE }, { uplink: ONE }] });
  });
});
