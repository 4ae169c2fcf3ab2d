import type { Cancel, Clock } from '../../base/index.ts';
import { dayCurve, dayFractionAt } from '../../model/index.ts';
import type { ReceiverReport, Sender, SenderRate, SenderSpec } from '../world.ts';
import type { HostPacket } from './kernel.ts';

/** Packets are made in steps of this length, spread over the flows in turn. */
const STEP_MS = 5;
/** A packet counts as lost only when it had this long to arrive. */
const SETTLE_MS = 500;
const RATE_WINDOW_MS = 1000;

/** What a sender wants to send at `now`, Mbit/s. */
export function rateAt(rate: SenderRate, now: number): number {
  if (rate.kind === 'constant') return rate.mbps;
  return rate.lowMbps + (rate.highMbps - rate.lowMbps) * dayCurve(dayFractionAt(now + rate.phaseMs, rate.slotMs, rate.slotsPerDay));
}

/** A host that sends and one that counts, with the accounting of the lab's real ones. */
export class SimSender implements Sender {
  readonly spec: SenderSpec;
  readonly #clock: Clock;
  readonly #emit: (packet: HostPacket) => void;
  #cancel: Cancel = () => undefined;
  #stopped = false;
  #creditBits = 0;
  #sequence = 0;
  #firstCounted = 0;
  /** Send time by sequence from `#firstCounted` on; null once received. */
  #sentAtMs: (number | null)[] = [];
  #received = 0;
  #duplicated = 0;
  #reordered = 0;
  #highest: number[] = [];
  #lastArrivalMs: number | null = null;
  #longestGapMs = 0;
  #longestGapAt = 0;
  #arrivals: { atMs: number; bytes: number }[] = [];

  constructor(spec: SenderSpec, clock: Clock, emit: (packet: HostPacket) => void) {
    this.spec = spec;
    this.#clock = clock;
    this.#emit = emit;
    this.#step();
  }

  async report(): Promise<ReceiverReport> {
    const nowMs = this.#clock.monotonicMs();
    const due = this.#sentAtMs.filter((sentAtMs) => sentAtMs !== null && nowMs - sentAtMs > SETTLE_MS).length;
    this.#trimArrivals(nowMs);
    const bytes = this.#arrivals.reduce((sum, arrival) => sum + arrival.bytes, 0);
    return {
      sent: this.#sentAtMs.length,
      received: this.#received,
      lost: due,
      duplicated: this.#duplicated,
      reordered: this.#reordered,
      longestGapMs: Math.round(this.#longestGapMs),
      longestGapAt: this.#longestGapAt,
      mbps: (bytes * 8) / (RATE_WINDOW_MS * 1000),
    };
  }

  async reset(): Promise<void> {
    this.#firstCounted = this.#sequence;
    this.#sentAtMs = [];
    this.#received = 0;
    this.#duplicated = 0;
    this.#reordered = 0;
    this.#longestGapMs = 0;
    this.#longestGapAt = 0;
    this.#lastArrivalMs = null;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
  }

  #step(): void {
    if (this.#stopped) return;
    const packetBits = this.spec.packetBytes * 8;
    this.#creditBits = Math.min(this.#creditBits + rateAt(this.spec.rate, this.#clock.now()) * 1000 * STEP_MS, packetBits * 200);
    while (this.#creditBits >= packetBits) {
      this.#creditBits -= packetBits;
      this.#send();
    }
    this.#cancel = this.#clock.setTimer(STEP_MS, () => this.#step());
  }

  #send(): void {
    const sequence = this.#sequence++;
    const flow = sequence % this.spec.flows;
    this.#sentAtMs.push(this.#clock.monotonicMs());
    this.#emit({
      from: this.spec.from,
      to: this.spec.to,
      protocol: 'udp',
      port: this.spec.port,
      flow: `${this.spec.name}/${flow}`,
      bytes: this.spec.packetBytes,
      arrive: () => this.#receive(sequence, flow),
    });
  }

  #receive(sequence: number, flow: number): void {
    const index = sequence - this.#firstCounted;
    if (index < 0) return;
    if (this.#sentAtMs[index] === null) {
      this.#duplicated++;
      return;
    }
    this.#sentAtMs[index] = null;
    this.#received++;
    if (sequence < (this.#highest[flow] ?? 0)) this.#reordered++;
    else this.#highest[flow] = sequence;
    const nowMs = this.#clock.monotonicMs();
    if (this.#lastArrivalMs !== null && nowMs - this.#lastArrivalMs > this.#longestGapMs) {
      this.#longestGapMs = nowMs - this.#lastArrivalMs;
      this.#longestGapAt = this.#clock.now() - this.#longestGapMs;
    }
    this.#lastArrivalMs = nowMs;
    this.#arrivals.push({ atMs: nowMs, bytes: this.spec.packetBytes });
    if (this.#arrivals.length > 8192) this.#trimArrivals(nowMs);
  }

  #trimArrivals(nowMs: number): void {
    this.#arrivals = this.#arrivals.filter(({ atMs }) => atMs > nowMs - RATE_WINDOW_MS);
  }
}
