import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createFileOutbox, createReporter, type CounterReading, type Outbox, type Reporter } from '../../../agent/report/index.ts';
import { connectChannel, type Channel } from '../../../agent/sync/channel-client.ts';
import { enrol } from '../../../agent/sync/credentials.ts';
import { createLog, VirtualClock } from '../../../src/base/index.ts';
import type { EngineMessage, Sample } from '../../../src/model/index.ts';
import { createMemoryStore, type TelemetryStore } from '../../../src/telemetry/index.ts';
import { createEngineFixture, type EngineFixture } from '../../channel/engine-fixture.ts';
import { BERLIN, MESSAGES, TRAFFIC } from '../../channel/messages.ts';
import { createTestNet } from '../../support/agent-ports.ts';

const soon = (check: () => unknown): Promise<unknown> => vi.waitFor(check, { timeout: 20_000, interval: 10 });
const log = createLog('test', 'silent');
const READING: CounterReading = { readAt: 1, offered: [], tunnels: [] };
const SLOT_MS = 60_000;

describe('a batch with samples that cannot be true', () => {
  let world: EngineFixture;
  let store: TelemetryStore;
  let outbox: Outbox;
  let reporter: Reporter;
  let channel: Channel;
  let received: EngineMessage[];
  let opened: number;

  beforeEach(async () => {
    store = createMemoryStore();
    world = await createEngineFixture(store);
    const stateDir = join(world.folder, 'agent');
    const credentials = await enrol({ engine: world.engine, token: await world.authority.createJoinToken(BERLIN, 60_000), node: BERLIN, stateDir });
    // on the disk first: what an agent's life before left there is sent as it is
    outbox = createFileOutbox({ dir: join(stateDir, 'outbox'), log });
    const { dataplane, failover } = createTestNet(new VirtualClock()).ports(BERLIN);
    reporter = createReporter({ outbox, dataplane, failover: failover({ onVerdict: () => undefined, onSwitch: () => undefined, onWish: () => undefined }), clock: new VirtualClock(), log, send: (message) => channel.send(message) });
    await reporter.start();
    received = [];
    opened = 0;
    channel = connectChannel({
      ...world.engine,
      node: BERLIN,
      credentials,
      clock: world.clock,
      log,
      onMessage(message) {
        received.push(message);
        if (message.type === 'ack') void reporter.acknowledged(message.sequence, message.refused);
      },
      onOpen() {
        opened += 1;
        channel.send(MESSAGES.hello);
        reporter.connected();
      },
      onClose: () => reporter.disconnected(),
    });
  });
  afterEach(async () => {
    channel.close();
    await reporter.stop();
    await world.close();
  });

  const at = (): number => Math.floor(Date.now() / SLOT_MS) * SLOT_MS - SLOT_MS;
  /** Sends two batches, the bad one first, and answers what the engine confirmed once both are gone from the outbox. */
  async function send(samples: readonly Sample[]): Promise<EngineMessage[]> {
    await outbox.append(samples, READING);
    await outbox.append([{ ...TRAFFIC, sampledAt: at() + 1 }], READING);
    await soon(async () => {
      await world.clock.advance(1_000);
      expect(outbox.view().pendingBatches).toBe(0);
    });
    return received.filter(({ type }) => type === 'ack' || type === 'error');
  }

  const bad: [string, Partial<Record<string, unknown>>, string][] = [
    ['a figure that is none', { offeredBytes: Number.NaN }, 'berlin to paris: NaN bytes offered'],
    ['a figure beyond all numbers', { offeredBytes: Number.POSITIVE_INFINITY }, 'berlin to paris: NaN bytes offered'],
    ['a figure beyond all bounds', { offeredBytes: 1e18 }, 'berlin to paris: NaN bytes offered'],
    ['a negative figure', { offeredBytes: -5 }, 'berlin to paris: -5 bytes offered'],
    ['a window without an end', { sampledAt: Number.NaN }, ''],
    ['a window without a length', { windowMs: Number.NaN }, ''],
    ['a name that is none', { classId: 'No Class' }, '/classId'],
    ['a kind that nobody knows', { kind: 'weather' }, ''],
  ];
  it.each(bad)('is stored without them, and not sent again: %s', async (_, spoilt, named) => {
    const host: Sample = { kind: 'host', sampledAt: Date.now(), windowMs: 10_000, node: BERLIN, cpuRatio: 0.5, load: 1, memoryUsedBytes: 1, memoryTotalBytes: 2, agentCpuRatio: 0, agentRssBytes: 1, daemonCpuRatio: null, daemonRssBytes: null, connections: null };
    const answers = await send([{ ...TRAFFIC, sampledAt: at(), ...spoilt }, host]);
    expect(answers).toMatchObject([{ type: 'ack', sequence: 1 }, { type: 'ack', sequence: 2 }]);
    expect(answers[1]).not.toHaveProperty('refused');
    if (named !== '') expect(answers[0]).toMatchObject({ refused: { samples: 1, example: expect.stringContaining(named) as string } });
    expect(opened).toBe(1);
    expect(store.hosts(Date.now())).toEqual([host]);
    expect(await store.lastSequence(BERLIN)).toBe(2);
  });
});
