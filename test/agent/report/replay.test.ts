import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, expect, it } from 'vitest';
import { createFileOutbox, createReporter, type Outbox, type Reporter } from '../../../agent/report/index.ts';
import { createLog, sleep, systemClock, VirtualClock } from '../../../src/base/index.ts';
import { createAgentHub, createFrameReader } from '../../../src/channel/index.ts';
import { type AgentMessage, classId, createSampleEncoder, siteId } from '../../../src/model/index.ts';
import { createSink } from '../../channel/messages.ts';
import { createTestNet } from '../../support/agent-ports.ts';
import { berlin, configOf, t1 } from '../../support/node-configs.ts';

const log = createLog('test', 'silent');
const folders: string[] = [];
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

type Step =
  | { kind: 'traffic'; bytes: number }
  | { kind: 'connect' }
  /** The wire breaks; what was under way on it, samples or acknowledgements, is lost. */
  | { kind: 'cut' }
  /** kill -9 and a new life on the same disk. */
  | { kind: 'kill-agent' }
  /** The store refuses the next batches: the engine acknowledges nothing and closes. */
  | { kind: 'store-fails'; times: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('traffic' as const), bytes: fc.nat(1_000_000) }) },
  { weight: 3, arbitrary: fc.constant({ kind: 'connect' } as const) },
  { weight: 2, arbitrary: fc.constant({ kind: 'cut' } as const) },
  { weight: 1, arbitrary: fc.constant({ kind: 'kill-agent' } as const) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('store-fails' as const), times: fc.integer({ min: 1, max: 3 }) }) },
);

it('every byte is stored exactly once, over any run of cuts, lost messages, kills of the agent and failures of the store', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const mesh = await startMesh();
      for (const next of steps) await mesh.take(next);
      expect(await mesh.finish()).toEqual(mesh.expected());
    }),
    { numRuns: 40 },
  );
}, 120_000);

async function startMesh() {
  const dir = await mkdtemp(join(tmpdir(), 'replay-'));
  folders.push(dir);
  const clock = new VirtualClock();
  const net = createTestNet(clock);
  const sink = createSink();
  const hub = createAgentHub({ store: sink, clock, log });
  let offered = 0;
  let outbox: Outbox;
  let wire: { isUp: boolean; send(message: AgentMessage): void } = { isUp: false, send: () => undefined };
  let reporter = await live();
  await sample(); // the first reading has nothing to compare with

  async function live(): Promise<Reporter> {
    const ports = net.ports(berlin);
    const failover = ports.failover({ onVerdict: () => undefined, onSwitch: () => undefined, onWish: () => undefined });
    outbox = createFileOutbox({ dir, log });
    const made = createReporter({ outbox, dataplane: ports.dataplane, failover, clock, log, send: (message) => wire.send(message) });
    await made.start();
    made.setConfig(configOf(berlin, [t1], [[t1]], { sampleIntervalMs: 86_400_000 }));
    return made;
  }

  async function sample(): Promise<void> {
    await clock.advance(1_000);
    net.machine(berlin).offered = [{ to: siteId('paris'), classId: classId('voice'), bytes: offered, packets: offered }];
    await reporter.sampleNow();
  }

  /** A new connection: what is sent crosses it as text, packed, a moment later, if it still stands. */
  function connect(): void {
    cut();
    const [encoder, reader] = [createSampleEncoder(), createFrameReader()];
    const owner = reporter;
    const own: typeof wire = {
      isUp: true,
      send(message) {
        const frame = message.type === 'samples' ? { type: 'packed', sequence: message.sequence, ...encoder.encode(message.samples) } : message;
        underWay.push(JSON.stringify(frame));
        if (underWay.length === 1) void arrive();
      },
    };
    const underWay: string[] = [];
    /** Several frames in one turn, as TCP brings them. */
    const arrive = async (): Promise<void> => {
      await sleep(systemClock, 1);
      for (const text of underWay.splice(0)) {
        if (!own.isUp) return;
        const read = reader.read(text);
        if (!read.ok) throw new Error(read.what);
        receive(read.message).catch(() => drop(own));
      }
    };
    wire = own;
    const receive = hub.attach({ node: berlin, send: (message) => message.type === 'ack' && own.isUp && void owner.acknowledged(message.sequence), close: () => undefined });
    own.send({ type: 'hello', node: berlin, version: 't', generation: 0, commit: null });
    reporter.connected();
  }

  function drop(which: typeof wire): void {
    which.isUp = false;
    if (which === wire) reporter.disconnected();
  }

  function cut(): void {
    drop(wire);
  }

  return {
    async take(next: Step): Promise<void> {
      if (next.kind === 'traffic') {
        offered += next.bytes;
        await sample();
      }
      if (next.kind === 'connect') connect();
      if (next.kind === 'cut') cut();
      if (next.kind === 'store-fails') sink.failures += next.times;
      if (next.kind === 'kill-agent') {
        cut();
        await reporter.stop();
        reporter = await live();
      }
      await sleep(systemClock, offered % 4); // now more, now less gets through
    },
    /** Bytes and packets that the store has. */
    async finish(): Promise<{ bytes: number; batches: number }> {
      sink.failures = 0;
      for (let looks = 0; outbox.view().pendingBatches > 0; looks++) {
        if (looks > 5_000) throw new Error('the outbox does not empty');
        if (!wire.isUp) connect();
        await sleep(systemClock, 2); // the disk is real
      }
      await reporter.stop();
      const sequences = sink.batches.map(({ sequence }) => sequence);
      return { bytes: sink.batches.flatMap(({ samples }) => samples).reduce((sum, one) => sum + (one.kind === 'traffic' ? one.offeredBytes : 0), 0), batches: new Set(sequences).size - sequences.length };
    },
    expected: () => ({ bytes: offered, batches: 0 }),
  };
}
