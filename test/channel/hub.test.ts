import { beforeEach, describe, expect, it } from 'vitest';
import { createLog, VirtualClock } from '../../src/base/index.ts';
import { createAgentHub, createFrameReader, type AgentConnection, type AgentHub } from '../../src/channel/index.ts';
import type { EngineMessage, NodeId } from '../../src/model/index.ts';
import { BERLIN, createSink, MESSAGES, PARIS, signedConfig, TRAFFIC } from './messages.ts';

interface Line extends AgentConnection {
  received: EngineMessage[];
  isClosed: boolean;
}

function line(node: NodeId): Line {
  const made: Line = { node, received: [], isClosed: false, send: (message) => void made.received.push(message), close: () => void (made.isClosed = true) };
  return made;
}

const [ONE, TWO] = ['1'.repeat(40), '2'.repeat(40)];

describe('the agent hub', () => {
  let clock: VirtualClock;
  let sink: ReturnType<typeof createSink>;
  let hub: AgentHub;
  beforeEach(() => {
    clock = new VirtualClock();
    sink = createSink();
    hub = createAgentHub({ store: sink, clock, log: createLog('test', 'silent') });
  });

  it('acknowledges a batch after it is stored, and one sent twice is stored once', async () => {
    const connection = line(BERLIN);
    const receive = hub.attach(connection);
    await receive(MESSAGES.hello);
    await receive(MESSAGES.samples);
    await receive(MESSAGES.samples);
    expect(connection.received).toEqual([{ type: 'ack', sequence: 1 }, { type: 'ack', sequence: 1 }]);
    expect(sink.batches).toHaveLength(1);
  });

  it('acknowledges nothing that the store did not take', async () => {
    const connection = line(BERLIN);
    const receive = hub.attach(connection);
    await receive(MESSAGES.hello);
    sink.failures = 1;
    await expect(receive(MESSAGES.samples)).rejects.toThrow('disk full');
    expect(connection.received).toEqual([]);
    const next = line(BERLIN);
    const receiveNext = hub.attach(next);
    await receiveNext(MESSAGES.hello);
    await receiveNext(MESSAGES.samples);
    expect(next.received).toEqual([{ type: 'ack', sequence: 1 }]);
  });

  it('takes nothing more on a connection whose batch it could not store, so that both come again on the next', async () => {
    const first = hub.attach(line(BERLIN));
    await first(MESSAGES.hello);
    sink.failures = 1;
    const results = await Promise.allSettled([first({ ...MESSAGES.samples, sequence: 1 }), first({ ...MESSAGES.samples, sequence: 2 })]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
    expect(sink.batches).toEqual([]);
    const second = hub.attach(line(BERLIN));
    await second(MESSAGES.hello);
    for (const sequence of [1, 2]) await second({ ...MESSAGES.samples, sequence });
    expect(sink.batches.map(({ sequence }) => sequence)).toEqual([1, 2]);
  });

  it('handles the messages of one agent in order, however they come in', async () => {
    const connection = line(BERLIN);
    const receive = hub.attach(connection);
    await Promise.all([receive(MESSAGES.hello), ...[1, 2, 3].map((sequence) => receive({ ...MESSAGES.samples, sequence }))]);
    expect(connection.received).toEqual([1, 2, 3].map((sequence) => ({ type: 'ack', sequence })));
  });

  it('drops samples in another node’s name and keeps the rest', async () => {
    const receive = hub.attach(line(BERLIN));
    await receive(MESSAGES.hello);
    await receive({ type: 'samples', sequence: 1, samples: [{ ...TRAFFIC, node: PARIS }, TRAFFIC] });
    expect(sink.batches[0]).toMatchObject({ node: BERLIN, samples: [TRAFFIC] });
  });

  it('refuses anything before hello, a hello of another node, and a status of another node', async () => {
    const invalid = { code: 'CHANNEL_MESSAGE_INVALID' };
    await expect(hub.attach(line(BERLIN))(MESSAGES.samples)).rejects.toMatchObject(invalid);
    await expect(hub.attach(line(PARIS))(MESSAGES.hello)).rejects.toMatchObject(invalid);
    const receive = hub.attach(line(BERLIN));
    await receive(MESSAGES.hello);
    await expect(receive({ ...MESSAGES.status, status: { ...MESSAGES.status.status, node: PARIS } })).rejects.toMatchObject(invalid);
    expect(sink.batches).toEqual([]);
  });

  it('sends the newest config to who does not run it, once, and keeps it for who comes later', async () => {
    const [berlin, paris] = [line(BERLIN), line(PARIS)];
    await hub.attach(berlin)(MESSAGES.hello);
    hub.publish(new Map([[BERLIN, signedConfig(ONE)], [PARIS, signedConfig(ONE, PARIS)]]));
    hub.publish(new Map([[BERLIN, signedConfig(ONE)], [PARIS, signedConfig(ONE, PARIS)]]));
    expect(berlin.received).toEqual([{ type: 'desired', config: signedConfig(ONE) }]);
    hub.publish(new Map([[BERLIN, signedConfig(TWO)], [PARIS, signedConfig(TWO, PARIS)]]));
    expect(berlin.received).toHaveLength(2);
    await hub.attach(paris)({ ...MESSAGES.hello, node: PARIS });
    expect(paris.received).toEqual([{ type: 'desired', config: signedConfig(TWO, PARIS) }]);
  });

  it('does not send what the agent says it runs, but does when it runs something else', async () => {
    hub.publish(new Map([[BERLIN, signedConfig(TWO)]]));
    const same = line(BERLIN);
    await hub.attach(same)({ ...MESSAGES.hello, commit: TWO, generation: 2 });
    expect(same.received).toEqual([]);
    hub.detach(same);
    const behind = line(BERLIN);
    await hub.attach(behind)({ ...MESSAGES.hello, commit: ONE, generation: 1 });
    expect(behind.received).toHaveLength(1);
  });

  it('sends nothing before hello', () => {
    const connection = line(BERLIN);
    hub.attach(connection);
    hub.publish(new Map([[BERLIN, signedConfig(ONE)]]));
    expect(connection.received).toEqual([]);
    expect(hub.nodes()).toMatchObject([{ node: BERLIN, connected: false }]);
  });

  it('replaces the first connection of a node by the second, and forgets nothing when the first closes late', async () => {
    const [first, second] = [line(BERLIN), line(BERLIN)];
    const receiveFirst = hub.attach(first);
    await receiveFirst(MESSAGES.hello);
    await hub.attach(second)(MESSAGES.hello);
    expect(first.isClosed).toBe(true);
    hub.detach(first);
    expect(hub.nodes()).toMatchObject([{ connected: true }]);
    await receiveFirst(MESSAGES.samples);
    expect(sink.batches).toEqual([]);
    hub.detach(second);
    expect(hub.nodes()).toMatchObject([{ connected: false }]);
  });

  it('tells what each node says it runs, and when it was seen', async () => {
    hub.publish(new Map([[PARIS, signedConfig(ONE, PARIS)]]));
    const receive = hub.attach(line(BERLIN));
    await receive(MESSAGES.hello);
    await clock.advance(5000);
    await receive(MESSAGES.status);
    expect(hub.nodes()).toEqual([
      { node: BERLIN, connected: true, lastSeenAt: clock.now(), generation: 3, commit: 'a'.repeat(40), drift: ['route missing'], ike: { version: '5.9.8', mlKem: false } },
      { node: PARIS, connected: false, lastSeenAt: null, generation: 0, commit: null, drift: [], ike: null },
    ]);
    expect(hub.tunnelStatuses()).toEqual(new Map([[BERLIN, MESSAGES.status]]));
    hub.publish(new Map([[BERLIN, signedConfig(ONE)]]));
    expect(hub.nodes().map(({ node }) => node)).toEqual([BERLIN]);
  });

  it('passes events on until the listener is taken off', async () => {
    const heard: unknown[] = [];
    const cancel = hub.onEvent((node, event) => heard.push([node, event]));
    const receive = hub.attach(line(BERLIN));
    await receive(MESSAGES.hello);
    await receive(MESSAGES.event);
    cancel();
    await receive(MESSAGES.event);
    expect(heard).toEqual([[BERLIN, MESSAGES.event.event]]);
  });
});

describe('a message of an agent', () => {
  it.each(Object.entries(MESSAGES))('of type %s is read as it was sent', (_, message) => {
    expect(createFrameReader().read(JSON.stringify(message))).toEqual({ ok: true, message, refused: null });
  });

  it('with odd figures is read, since judging them is the store’s part', () => {
    const samples = [{ ...TRAFFIC, offeredBytes: -1 }, { ...TRAFFIC, offeredBytes: 1e20 }];
    expect(createFrameReader().read(JSON.stringify({ ...MESSAGES.samples, samples }))).toMatchObject({ ok: true });
  });

  it('is read without samples that have no known form, since the others would come again with them for ever', () => {
    const samples = [{ ...TRAFFIC, kind: 'x' }, TRAFFIC, { ...TRAFFIC, classId: '<img onerror>' }, 7, { ...TRAFFIC, extra: 1 }];
    const frame = { ...MESSAGES.samples, samples };
    expect(createFrameReader().read(JSON.stringify(frame))).toMatchObject({ ok: true, message: { samples: [TRAFFIC] }, refused: { samples: 4, example: 'a sample whose / value of tag "kind" must be in oneOf' } });
  });

  it('has NaN where JSON has null for a figure, which the store does not believe', () => {
    const read = createFrameReader().read(JSON.stringify({ ...MESSAGES.samples, samples: [{ ...TRAFFIC, offeredBytes: Number.NaN }] }));
    expect(read).toEqual({ ok: true, message: { ...MESSAGES.samples, samples: [{ ...TRAFFIC, offeredBytes: Number.NaN }] }, refused: null });
  });

  const bad: [string, unknown][] = [
    ['no object', 7],
    ['null', null],
    ['a list', []],
    ['no type', {}],
    ['an unknown type', { type: 'shutdown' }],
    ['a type of the engine', { type: 'ack', sequence: 1 }],
    ['a field too many', { ...MESSAGES.hello, extra: 1 }],
    ['a field missing', { type: 'hello', node: BERLIN }],
    ['a name that is none', { ...MESSAGES.hello, node: '../etc' }],
    ['a negative generation', { ...MESSAGES.hello, generation: -1 }],
    ['a generation that is no whole number', { ...MESSAGES.hello, generation: 1.5 }],
    ['a short commit', { ...MESSAGES.hello, commit: 'abc' }],
    ['sequence 0', { ...MESSAGES.samples, sequence: 0 }],
    ['a sequence as text', { ...MESSAGES.samples, sequence: '1' }],
    ['too many samples', { ...MESSAGES.samples, samples: Array.from({ length: 10_001 }, () => TRAFFIC) }],
    ['an unknown event', { type: 'event', event: { ...MESSAGES.event.event, kind: 'reboot' } }],
    ['an IKE daemon that is no daemon', { ...MESSAGES.status, status: { ...MESSAGES.status.status, ike: { version: 5 } } }],
    ['a long drift line', { ...MESSAGES.status, status: { ...MESSAGES.status.status, drift: ['x'.repeat(1001)] } }],
  ];
  it.each(bad)('is refused with %s', (_, value) => {
    expect(createFrameReader().read(JSON.stringify(value))).toMatchObject({ ok: false });
  });

  it.each(['', '{', '[[[['.repeat(50_000), '{"type":"hello","__proto__":{"node":"x"}}', '\u0000'])('is refused when it is not such JSON', (text) => {
    expect(createFrameReader().read(text)).toMatchObject({ ok: false });
  });
});
