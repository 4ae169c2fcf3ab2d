import { Network, type Policy } from './network.ts';
import type { World } from './world.ts';

/** What a policy has taken so far, as it can be told at its decisions. */
export class Taken {
  hours = 0;
  changes = 0;
  private readonly slotHours: number;
  private readonly before: Int32Array;
  private isFirst = true;

  constructor(world: World) {
    this.slotHours = world.slotMs / 3_600_000;
    this.before = new Int32Array(2 * world.pairs.length);
  }

  /** Once a decision, before it. */
  observe(standing: Int32Array): void {
    for (let link = 0; link < standing.length; link++) {
      this.hours += standing[link]! * this.slotHours;
      if (!this.isFirst) this.changes += Math.abs(standing[link]! - this.before[link]!);
    }
    this.isFirst = false;
    this.before.set(standing);
  }
}

/** Another policy in a mesh of its own beside the real one, on the same demand: what it would have taken until now. */
export class Shadow {
  readonly taken: Taken;
  private readonly policy: Policy;
  private readonly network: Network;
  private readonly wanted: Int32Array;
  private readonly shareSecond: Float64Array;

  constructor(world: World, policy: Policy, open: Int32Array, seed: string) {
    this.taken = new Taken(world);
    this.policy = policy;
    this.network = new Network(world, open, seed);
    this.wanted = open.slice();
    this.shareSecond = new Float64Array(2 * world.pairs.length);
  }

  step(slot: number, nowMs: number, seenMbps: Float64Array): void {
    const { network, wanted } = this;
    network.advance(nowMs);
    this.taken.observe(network.standing);
    wanted.set(network.standing);
    this.policy.decide({ slot, nowMs, seenMbps, standing: network.standing, changesLeft: network.changesLeft(nowMs) }, wanted, this.shareSecond);
    network.order(wanted, slot + 1, nowMs);
  }
}
