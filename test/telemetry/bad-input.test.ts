import { describe, expect, it } from 'vitest';
import { createAgentHub, createFrameReader } from '../../src/channel/index.ts';
import { createLog, VirtualClock } from '../../src/base/index.ts';
import type { AgentMessage, PathSample, Sample } from '../../src/model/index.ts';
import { createMemoryStore } from '../../src/telemetry/index.ts';
import { BERLIN, BERLIN_GW1, BULK, PARIS, PARIS_GW1, path, PATH, START, traffic, TUNNEL } from './samples.ts';

const SLOT_MS = 60_000;
const AT = START + SLOT_MS;

/** What an agent can send, through frame, hub and store, as the engine joins them. */
function startIngest() {
  const clock = new VirtualClock(AT + SLOT_MS);
  const log = createLog('test', 'silent');
  const store = createMemoryStore({ clock });
  const hub = createAgentHub({ store, clock, log });
  const acks: number[] = [];
  const receive = hub.attach({ node: BERLIN_GW1, send: (message) => message.type === 'ack' && acks.push(message.sequence), close: () => undefined });
  const feed = async (message: unknown): Promise<string> => {
    const parsed = createFrameReader().read(typeof message === 'string' ? message : JSON.stringify(message));
    if (!parsed.ok) return 'refused';
    await receive(parsed.message);
    return 'taken';
  };
  const peer = hub.attach({ node: PARIS_GW1, send: () => undefined, close: () => undefined });
  return {
    store,
    acks,
    feed,
    peer: (message: AgentMessage) => peer(message),
    hello: () => Promise.all([feed({ type: 'hello', node: BERLIN_GW1, version: 't', generation: 0, commit: null }), peer({ type: 'hello', node: PARIS_GW1, version: 't', generation: 0, commit: null })]),
    dropped: () => store.droppedSamples() + hub.droppedSamples(),
    observe: (now = AT) => store.observe({ now, slotMs: SLOT_MS, slots: 1, pairs: [{ from: BERLIN, to: PARIS, classId: BULK }] }, []),
  };
}

const good = traffic(AT, 7_500_000, { windowMs: SLOT_MS });
const batch = (sequence: number, samples: readonly Sample[]): AgentMessage => ({ type: 'samples', sequence, samples: [...samples] });

describe('samples that cannot be true', () => {
  it.each<[string, Partial<typeof good>]>([
    ['a negative count', { offeredBytes: -1 }],
    ['10^20 bytes in a minute', { offeredBytes: 1e20 }],
    ['negative packets', { offeredPackets: -1 }],
  ])('of offered traffic leave the whole window unknown, not silent, and are told by node: %s', async (_, lie) => {
    const engine = startIngest();
    await engine.hello();
    expect(await engine.feed(batch(1, [{ ...good, ...lie }, good, path(AT, { windowMs: SLOT_MS })]))).toBe('taken');
    expect(engine.dropped()).toBe(1);
    expect((await engine.observe()).demands[0]!.mbps).toEqual([null]);
    expect(engine.store.doubts(AT)).toMatchObject([{ node: BERLIN_GW1, kind: 'figures', samples: 1, example: expect.stringMatching(/^berlin to paris: \S+ bytes offered$/) as string }]);
    expect(engine.acks).toEqual([1]);
  });

  it.each<[string, Partial<typeof good>]>([
    ['a clock a year ahead', { sampledAt: AT + 365 * 86_400_000 }],
    ['another node’s name', { node: PARIS_GW1 }],
    ['a window of no length', { windowMs: 0 }],
    ['a site that talks to itself', { to: BERLIN }],
  ])('are left out and counted, the rest of the batch stays: %s', async (_, lie) => {
    const engine = startIngest();
    await engine.hello();
    expect(await engine.feed(batch(1, [{ ...good, ...lie }, good]))).toBe('taken');
    expect(engine.dropped()).toBe(1);
    expect((await engine.observe()).demands[0]!.mbps).toEqual([1]);
    expect(engine.acks).toEqual([1]);
  });

  it.each([
    ['ahead', 30 * 60_000, 1],
    ['behind', -30 * 60_000, 12],
  ])('are not there where only a clock is %s, but it is told', async (_, offsetMs, batches) => {
    const engine = startIngest();
    await engine.hello();
    for (let number = 1; number <= batches; number++) await engine.feed(batch(number, [{ ...good, sampledAt: AT + SLOT_MS + offsetMs }]));
    expect(engine.dropped()).toBe(0);
    expect(engine.store.doubts(AT + SLOT_MS)).toEqual([{ node: BERLIN_GW1, kind: 'clock', offsetMs }]);
  });

  it('are not taken for a wrong clock when batches only waited in an outbox', async () => {
    const engine = startIngest();
    await engine.hello();
    for (let number = 1; number <= 12; number++) await engine.feed(batch(number, [{ ...good, sampledAt: AT - (12 - number) * 600_000 }]));
    expect(engine.store.doubts(AT + SLOT_MS)).toEqual([]);
  });

  it('are left out when they are no numbers at all, and the batch that they came in is not wanted again', async () => {
    const engine = startIngest();
    await engine.hello();
    for (const [index, value] of ['null', '"7"', '{}', '1e999'].entries()) {
      const frame = JSON.stringify(batch(index + 1, [good])).replace('7500000', value);
      expect([value, await engine.feed(frame)]).toEqual([value, 'taken']);
    }
    expect((await engine.observe()).demands[0]!.mbps).toEqual([null]);
    expect(engine.acks).toEqual([1, 2, 3, 4]);
  });

  it('are refused with their frame when that is no JSON', async () => {
    const engine = startIngest();
    await engine.hello();
    expect(await engine.feed(JSON.stringify(batch(1, [good])).replace('7500000', 'NaN'))).toBe('refused');
    expect((await engine.observe()).demands[0]!.mbps).toEqual([null]);
    expect(engine.acks).toEqual([]);
  });

  it('leave a path unknown when every round trip is 0: no packet can do that', async () => {
    const engine = startIngest();
    await engine.hello();
    const windows = Array.from({ length: 20 }, (_, index) => path(AT - 20_000 + index * 1000, { latencyMs: 0, jitterMs: 0 }));
    await engine.feed(batch(1, windows));
    expect(engine.dropped()).toBe(20);
    expect((await engine.observe()).paths).toEqual([]);
  });
});

describe('a batch that comes again', () => {
  it('counts once, also when its samples were changed meanwhile', async () => {
    const engine = startIngest();
    await engine.hello();
    await engine.feed(batch(1, [good]));
    await engine.feed(batch(1, [good]));
    await engine.feed(batch(1, [{ ...good, offeredBytes: 75_000_000 }]));
    expect((await engine.observe()).demands[0]!.mbps).toEqual([1]);
    expect(engine.acks).toEqual([1, 1, 1]);
  });
});

describe('two ends that tell different stories', () => {
  const windows = (node: typeof BERLIN_GW1, figures: Partial<PathSample>): PathSample[] =>
    Array.from({ length: 15 }, (_, index) => path(AT - 15_000 + index * 1000, { node, peer: node === BERLIN_GW1 ? PARIS_GW1 : BERLIN_GW1, ...figures }));

  async function told(one: Partial<PathSample>, other: Partial<PathSample>) {
    const engine = startIngest();
    await engine.hello();
    await engine.feed(batch(1, windows(BERLIN_GW1, one)));
    await engine.peer(batch(1, windows(PARIS_GW1, other)));
    const observation = await engine.observe(AT);
    return { quality: observation.paths.find((quality) => quality.path === PATH), ends: engine.store.pathEnds(AT).find(({ tunnel }) => tunnel === TUNNEL) };
  }

  it('have the worse one believed, and are shown side by side with what cannot be', async () => {
    const { quality, ends } = await told({ latencyMs: 5 }, { latencyMs: 80, lossForwardRatio: 0.4, lossReverseRatio: 0.4, state: 'degraded' });
    expect(quality).toMatchObject({ state: 'degraded', latencyMs: 80, lossRatio: 0.4 });
    expect(ends?.ends.map(({ node, latencyMs, lossForwardRatio }) => [node, latencyMs, lossForwardRatio])).toEqual([[BERLIN_GW1, 5, 0], [PARIS_GW1, 80, 0.4]]);
    expect(ends?.disagreement).toBe(
      'round trip 5.0 ms says berlin-gw1, 80.0 ms paris-gw1; loss from berlin-gw1 to paris-gw1 0.0 % says berlin-gw1, 40.0 % paris-gw1; loss from paris-gw1 to berlin-gw1 40.0 % says paris-gw1, 0.0 % berlin-gw1',
    );
  });

  it('agree when loss of one direction is what the sender calls forward and the receiver reverse', async () => {
    const { ends } = await told({ lossForwardRatio: 0.4, lossReverseRatio: 0 }, { lossForwardRatio: 0, lossReverseRatio: 0.38, latencyMs: 24 });
    expect(ends?.disagreement).toBeNull();
  });
});
