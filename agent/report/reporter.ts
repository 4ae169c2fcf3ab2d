import { type Cancel, type Clock, type Log, messageOf } from '../../src/base/index.ts';
import type { AgentMessage, ClassId, NodeConfig, RefusedSamples, Sample, SiteId, StatusMessage, TunnelId } from '../../src/model/index.ts';
import type { Failover } from '../failover/index.ts';
import type { DataplanePort } from '../ports.ts';
import type { HostPort } from '../posture/index.ts';
import type { Outbox } from './outbox.ts';
import { type CounterReading, type PathReading, readingOf, samplesOf } from './readings.ts';
import { ServiceBook } from './services.ts';

export interface ReporterDeps {
  outbox: Outbox;
  dataplane: DataplanePort;
  host?: HostPort;
  failover: Pick<Failover, 'views' | 'takeWindows'>;
  clock: Clock;
  log: Log;
  send: (message: AgentMessage) => void;
}

/** Takes samples every interval, keeps them until the engine has them, and sends them in order while connected. */
export interface Reporter {
  /** Reads the outbox; the first sample follows one interval after the first config. */
  start(): Promise<void>;
  setConfig(config: NodeConfig): void;
  connected(): void;
  disconnected(): void;
  /** The engine has batches up to this number. @param refused  what it left out of that batch, and will not be sent again */
  acknowledged(sequence: number, refused?: RefusedSamples): Promise<void>;
  /** Takes a sample now instead of at the next beat. */
  sampleNow(): Promise<void>;
  /** As of the last sample. */
  leakPackets(): number;
  /** What class queues dropped, as of the last sample. */
  shaped(): StatusMessage['shaped'];
  /** Why the last sample could not be taken or kept; '' when it was. */
  lastError(): string;
  stop(): Promise<void>;
}

/** Batches sent and not confirmed yet, at most. */
const IN_FLIGHT_MAX = 8;
/** Without a confirmation for this long everything unconfirmed is sent again, ms. */
const ACK_TIMEOUT_MS = 30_000;
/** A (site, class) with traffic in this time is reported also when it is silent, ms. */
const ACTIVE_MS = 3_600_000;
/** So that a frame stays far below FRAME_BYTES_MAX; a sample has some 250 bytes. */
const SAMPLES_PER_BATCH_MAX = 1_500;

export function createReporter(deps: ReporterDeps): Reporter {
  const { outbox, dataplane, failover, clock, log } = deps;
  const activeAtMs = new Map<string, number>();
  const services = new ServiceBook();
  let config: NodeConfig | null = null;
  let last: CounterReading | null = null;
  let leakPackets = 0;
  let shaped: StatusMessage['shaped'] = [];
  let probedSinceMs = clock.monotonicMs();
  let cancelBeat: Cancel | null = null;
  let isStopped = false;
  let isConnected = false;
  let sentSequence = 0;
  let progressAtMs = 0;
  let rewinds = 0;
  let pumping: Promise<void> | null = null;
  let isPumpWanted = false;
  let sampling: Promise<unknown> = Promise.resolve();
  let lastError = '';

  function beat(): void {
    if (isStopped || !config) return;
    cancelBeat = clock.setTimer(Math.max(100, config.sampleIntervalMs), () => {
      void sampleNow().finally(beat);
    });
  }

  async function sampleNow(): Promise<void> {
    sampling = sampling.then(() => takeSample()).then(
      () => (lastError = ''),
      (cause: unknown) => {
        const message = messageOf(cause);
        if (message !== lastError) log.warn({ error: message }, 'sample could not be taken');
        lastError = message;
      },
    );
    await sampling;
  }

  async function takeSample(): Promise<void> {
    if (!config || isStopped) return;
    const [counters, host] = await Promise.all([dataplane.counters(), deps.host?.read(config.countConnections === true) ?? null]);
    ({ leakPackets } = counters);
    shaped = counters.shaped.map(({ uplink, classId, droppedPackets, droppedBytes }) => ({ uplink, classId, droppedPackets, droppedBytes }));
    const reading = readingOf(counters, clock.now(), host);
    noteActivity(reading);
    const paths = await takePaths(config);
    const samples = samplesOf(last, reading, { config, paths, probedMs: Math.round(clock.monotonicMs() - probedSinceMs), isActive });
    probedSinceMs = clock.monotonicMs();
    samples.push(...(await takeServices(config, reading.readAt)));
    // a window that could not be kept is part of the next one: bytes are counted late rather than lost
    for (let start = 0; start < samples.length; start += SAMPLES_PER_BATCH_MAX) {
      await outbox.append(samples.slice(start, start + SAMPLES_PER_BATCH_MAX), reading);
      last = reading;
    }
    if (samples.length === 0) last = reading;
    if (isConnected && clock.monotonicMs() - progressAtMs > ACK_TIMEOUT_MS) rewind();
    await pump();
  }

  /** Where they may be counted, every 5 min. */
  async function takeServices(of: NodeConfig, at: number): Promise<Sample[]> {
    if (!of.countServices || !dataplane.serviceCounts || !services.isDue(at)) return [];
    const pairs = of.sites.filter(({ id }) => id !== of.site).flatMap(({ id }) => of.classes.map((one) => ({ to: id, classId: one.id })));
    return services.samples(await dataplane.serviceCounts(pairs.filter(({ to, classId }) => isActive(to, classId))), at, of);
  }

  async function takePaths(of: NodeConfig): Promise<Map<TunnelId, PathReading>> {
    const windows = await failover.takeWindows(of.tunnels.map(({ id }) => id));
    const views = failover.views();
    return new Map(of.tunnels.map(({ id }) => [id, { state: views.get(id)?.state ?? 'unknown', window: windows.get(id) ?? null }]));
  }

  function noteActivity(reading: CounterReading): void {
    const before = new Map((last?.offered ?? []).map((counter) => [`${counter.to} ${counter.classId}`, counter.packets]));
    for (const { to, classId, packets } of reading.offered) {
      if (packets > 0 && packets !== before.get(`${to} ${classId}`)) activeAtMs.set(`${to} ${classId}`, clock.monotonicMs());
    }
  }

  function isActive(to: SiteId, classId: ClassId): boolean {
    return clock.monotonicMs() - (activeAtMs.get(`${to} ${classId}`) ?? Number.NEGATIVE_INFINITY) <= ACTIVE_MS;
  }

  function rewind(): void {
    rewinds++;
    sentSequence = outbox.view().acknowledgedSequence;
    progressAtMs = clock.monotonicMs();
  }

  function pump(): Promise<void> {
    isPumpWanted = true;
    pumping ??= pumpAll()
      .catch((cause: unknown) => log.warn({ error: messageOf(cause) }, 'samples could not be sent'))
      .finally(() => (pumping = null));
    return pumping;
  }

  async function pumpAll(): Promise<void> {
    do {
      isPumpWanted = false;
      await sendPending();
    } while (isPumpWanted);
  }

  async function sendPending(): Promise<void> {
    for (;;) {
      const { acknowledgedSequence } = outbox.view();
      const rewindsBefore = rewinds;
      const [next] = isConnected && inFlight(acknowledgedSequence) < IN_FLIGHT_MAX ? await outbox.read(Math.max(sentSequence, acknowledgedSequence), 1) : [];
      if (rewinds !== rewindsBefore) continue; // read for the connection before: what comes before it has to be sent again first
      if (!next || !isConnected) return;
      if (next.sequence <= sentSequence) continue;
      sentSequence = next.sequence;
      deps.send(next);
    }
  }

  function inFlight(acknowledgedSequence: number): number {
    return Math.max(0, sentSequence - acknowledgedSequence);
  }

  return {
    async start() {
      await outbox.open();
      last = outbox.view().reading;
    },
    setConfig(next) {
      const isFirst = config === null;
      config = next;
      if (isFirst && !isStopped) beat();
    },
    connected() {
      isConnected = true;
      rewind();
      void pump();
    },
    disconnected() {
      isConnected = false;
    },
    async acknowledged(sequence, refused) {
      progressAtMs = clock.monotonicMs();
      if (refused) log.warn({ sequence, samples: refused.samples, example: refused.example }, 'the engine refused samples of a batch; they are dropped');
      await outbox.acknowledge(sequence).catch((cause: unknown) => log.warn({ error: messageOf(cause) }, 'confirmed samples could not be removed'));
      await pump();
    },
    sampleNow,
    leakPackets: () => leakPackets,
    shaped: () => shaped,
    lastError: () => lastError,
    async stop() {
      isStopped = true;
      isConnected = false;
      cancelBeat?.();
      await sampling;
      await pumping;
      await outbox.close();
    },
  };
}
