import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createFrameReader } from '../../src/channel/frame-reader.ts';
import { roundTo } from '../../src/base/index.ts';
import { classId, createSampleDecoder, createSampleEncoder, nodeId, pathId, type Sample, serviceFigures, siteId, tunnelId, uplinkId } from '../../src/model/index.ts';

const NODE = nodeId('berlin-gw1');
const AT = Date.UTC(2026, 0, 5);
const nullable = (digits: number, max: number): fc.Arbitrary<number | null> => fc.option(fc.integer({ min: 0, max: max * 10 ** digits }).map((whole) => roundTo(whole / 10 ** digits, digits)), { nil: null });
const bytes = fc.nat(Number.MAX_SAFE_INTEGER);
const peerIndex = fc.nat(6);
const tunnelOf = (index: number) => {
  const path = pathId(uplinkId(NODE, 'fibre'), uplinkId(nodeId(`peer${index}-gw1`), 'dsl'));
  return { path, tunnel: tunnelId(path, 'standard'), peer: nodeId(`peer${index}-gw1`) };
};
const window = fc.record({ sampledAt: fc.integer({ min: AT, max: AT + 1e9 }), windowMs: fc.constantFrom(10_000, 9_998, 1) });

const sample: fc.Arbitrary<Sample> = fc.oneof(
  fc.record({ w: window, to: peerIndex, offeredBytes: bytes, offeredPackets: bytes, droppedBytes: bytes }).map(({ w, to, ...figures }): Sample => ({ kind: 'traffic', ...w, node: NODE, from: siteId('berlin'), to: siteId(`peer${to}`), classId: classId('voice'), ...figures })),
  fc.record({ w: window, index: peerIndex, state: fc.constantFrom('up' as const, 'degraded' as const, 'down' as const, 'unknown' as const), latencyMs: nullable(3, 500), jitterMs: nullable(3, 50), lossForwardRatio: nullable(5, 1), lossReverseRatio: nullable(5, 1) }).map(
    ({ w, index, ...figures }): Sample => ({ kind: 'path', ...w, node: NODE, ...tunnelOf(index), ...figures }),
  ),
  fc.record({ w: window, index: peerIndex, rxBytes: bytes, txBytes: bytes }).map(({ w, index, ...figures }): Sample => ({ kind: 'tunnel', ...w, node: NODE, tunnel: tunnelOf(index).tunnel, ...figures })),
  fc.record({ w: window, rxBytes: bytes, txBytes: bytes }).map(({ w, ...figures }): Sample => ({ kind: 'uplink', ...w, node: NODE, uplink: uplinkId(NODE, 'fibre'), ...figures })),
  fc.record({ w: window, group: fc.constantFrom('class' as const, 'role' as const), hosts: fc.nat(5000) }).map(({ w, ...rest }): Sample => ({ kind: 'users', ...w, node: NODE, name: 'tills', ...rest })),
  fc.record({ w: window, to: peerIndex, service: fc.constantFrom('tcp/443', 'udp/53'), figure: fc.nat(1e6) }).map(({ w, to, service, figure }): Sample => ({ kind: 'services', ...w, node: NODE, from: siteId('berlin'), to: siteId(`peer${to}`), classId: classId('voice'), service, ...serviceFigures(service, figure) })),
);

describe('packed samples', () => {
  it('are what they were, over any run of batches and connections, also when a batch is sent again', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ samples: fc.array(sample, { maxLength: 12 }), isNewConnection: fc.boolean(), isSentTwice: fc.boolean() }), { maxLength: 12 }), (batches) => {
        let [encoder, decoder] = [createSampleEncoder(), createSampleDecoder()];
        for (const { samples, isNewConnection, isSentTwice } of batches) {
          if (isNewConnection) [encoder, decoder] = [createSampleEncoder(), createSampleDecoder()];
          for (let times = isSentTwice ? 2 : 1; times > 0; times--) expect(decoder.decode(JSON.parse(JSON.stringify(encoder.encode(samples))) as ReturnType<typeof encoder.encode>)).toEqual(samples);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('are refused when they do not fit those before them', () => {
    const row = (id: number | null, ...figures: number[]) => ({ define: [], groups: [{ at: 1, windowMs: 1, rows: [[id, ...figures]] }] });
    expect(createSampleDecoder().decode(row(0))).toBeNull();
    expect(createSampleDecoder().decode(row(null))).toBeNull();
    expect(createSampleDecoder().decode({ define: [['weather', 'x']], groups: [] })).toBeNull();
    expect(createSampleDecoder().decode({ define: [['__proto__', 'x']], groups: [] })).toBeNull();
    expect(createSampleDecoder().decode({ define: [['tunnel', 'x']], groups: [] })).toBeNull();
    const decoder = createSampleDecoder();
    expect(decoder.decode({ ...row(0, 1, 2), define: [['tunnel', 'n', 't']] })).toHaveLength(1);
    expect(decoder.decode(row(0, 1, 2, 3))).toBeNull();
  });

  it('are judged like plain ones once they are unpacked: names have their form', () => {
    const reader = createFrameReader();
    const frame = (define: string[][]): string => JSON.stringify({ type: 'packed', sequence: 1, define, groups: [{ at: 1, windowMs: 1, rows: [[0, 1, 2]] }] });
    expect(createFrameReader().read(frame([['uplink', 'berlin-gw1', 'berlin-gw1/fibre']]))).toMatchObject({ ok: true, message: { type: 'samples', samples: [{ uplink: 'berlin-gw1/fibre', rxBytes: 1, txBytes: 2 }] } });
    expect(reader.read(frame([['uplink', 'berlin-gw1', '<img onerror>']]))).toMatchObject({ message: { samples: [] }, refused: { samples: 1 } });
    expect(createFrameReader().read(frame([['uplink', '../../x', 'berlin-gw1/fibre']]))).toMatchObject({ message: { samples: [] }, refused: { samples: 1 } });
  });

  it('begin to count anew rather than remember series without bound', () => {
    const [encoder, decoder] = [createSampleEncoder(), createSampleDecoder()];
    for (let round = 0; round < 30; round++) {
      const samples = Array.from({ length: 3_000 }, (_, index): Sample => ({ kind: 'uplink', sampledAt: AT, windowMs: 1, node: NODE, uplink: uplinkId(NODE, `u${round}-${index}`), rxBytes: 1, txBytes: 1 }));
      expect(decoder.decode(encoder.encode(samples))).toEqual(samples);
    }
  });

  it('take a fraction of the bytes: an hour of a gateway with 20 tunnels and 30 pairs of site and class', () => {
    const encoder = createSampleEncoder();
    let [plain, packed] = [0, 0];
    for (let index = 0; index < 360; index++) {
      const samples = hourOf(index);
      plain += JSON.stringify({ type: 'samples', sequence: index + 1, samples }).length;
      packed += JSON.stringify({ type: 'packed', sequence: index + 1, ...encoder.encode(samples) }).length;
    }
    console.log(`telemetry on the wire: ${Math.round(plain / 360)} bytes a sample of 73 series plain, ${Math.round(packed / 360)} packed (${(plain / packed).toFixed(1)} times less)`);
    expect(plain / packed).toBeGreaterThan(4);
  });
});

/** Slowly changing figures, as a gateway has them. */
function hourOf(index: number): Sample[] {
  const [sampledAt, windowMs] = [AT + index * 10_003, 10_003];
  const wave = (seed: number, low: number, high: number): number => Math.round(low + ((Math.sin(index / 40 + seed) + 1) / 2) * (high - low) + ((index * 7919 + seed * 104_729) % 997));
  const tunnels = Array.from({ length: 20 }, (_, seed): Sample[] => {
    const { path, tunnel, peer } = tunnelOf(seed);
    return [
      { kind: 'tunnel', sampledAt, windowMs, node: NODE, tunnel, rxBytes: wave(seed, 1e6, 4e6), txBytes: wave(seed, 1e6, 4e6) },
      { kind: 'path', sampledAt, windowMs: 10_000, node: NODE, peer, tunnel, path, state: 'up', latencyMs: wave(seed, 20_000, 24_000) / 1000, jitterMs: wave(seed, 300, 900) / 1000, lossForwardRatio: 0, lossReverseRatio: 0 },
    ];
  });
  const pairs = Array.from({ length: 30 }, (_, seed): Sample => ({ kind: 'traffic', sampledAt, windowMs, node: NODE, from: siteId('berlin'), to: siteId(`peer${seed % 10}`), classId: classId(`class${Math.floor(seed / 10)}`), offeredBytes: wave(seed, 1e5, 3e6), offeredPackets: wave(seed, 1e3, 4e3), droppedBytes: 0 }));
  const uplinks = ['fibre', 'dsl'].map((name, seed): Sample => ({ kind: 'uplink', sampledAt, windowMs, node: NODE, uplink: uplinkId(NODE, name), rxBytes: wave(seed, 1e7, 4e7), txBytes: wave(seed, 1e7, 4e7) }));
  const host: Sample = { kind: 'host', sampledAt, windowMs, node: NODE, cpuRatio: wave(1, 1000, 3000) / 10_000, load: 0.5, memoryUsedBytes: wave(2, 1e9, 1.1e9), memoryTotalBytes: 4e9, agentCpuRatio: 0.05, agentRssBytes: 80e6, daemonCpuRatio: 0.1, daemonRssBytes: 20e6, connections: null };
  return [...pairs, ...tunnels.map(([counters]) => counters!), ...uplinks, host, ...tunnels.map(([, path]) => path!)];
}
