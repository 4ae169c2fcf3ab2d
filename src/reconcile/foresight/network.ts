import { createRng } from '../../base/index.ts';
import { WORLD, type World } from './world.ts';

/** What a policy is shown when it decides: nothing of the future, and its own orders. */
export interface Moment {
  /** The last slot that is over; its load is known. */
  slot: number;
  nowMs: number;
  /** Demand of that slot by [2 × pair + direction], Mbit/s; NaN where unknown. */
  seenMbps: Float64Array;
  /** Tunnels by link that are up, or are being set up. */
  standing: Int32Array;
  /** Changes that the hour still has without a person. */
  changesLeft: number;
}

export interface Policy {
  readonly name: string;
  /** Writes how many tunnels each link should have, and which share of each direction's traffic goes over the second provider. */
  decide(moment: Moment, wanted: Int32Array, shareSecond: Float64Array): void;
}

/**
 * Tunnels and the time they take. Orders are carried out at once as far as may be without a person; the rest is one proposal,
 * updated with each decision, until a person approves it. What a decision closes beyond its budget stays until the next.
 */
export class Network {
  /** Tunnels by link that are up. */
  readonly open: Int32Array;
  /** Up or being set up. */
  readonly standing: Int32Array;
  changes = 0;
  proposals = 0;
  /** Tunnels that no gateway had a slot for. */
  refused = 0;
  private readonly world: World;
  private readonly seed: string;
  private readonly used: Int32Array;
  private coming: { at: number; link: number }[] = [];
  private proposal: { approvedAt: number; links: number[] } | null = null;
  /** When something was changed without a person. */
  private recent: number[] = [];

  constructor(world: World, open: Int32Array, seed: string) {
    this.world = world;
    this.seed = seed;
    this.open = open.slice();
    this.standing = open.slice();
    this.used = new Int32Array(world.sites.length);
    for (let link = 0; link < open.length; link++) this.count(link, open[link]!);
  }

  /** The next moment at which something changes by itself. */
  nextAt(): number {
    return Math.min(this.proposal?.approvedAt ?? Infinity, this.coming[0]?.at ?? Infinity);
  }

  /** Lets happen what is due. */
  advance(nowMs: number): void {
    while (this.coming.length > 0 && this.coming[0]!.at <= nowMs) this.open[this.coming.shift()!.link]! += 1;
    if (this.proposal !== null && this.proposal.approvedAt <= nowMs) {
      const { links } = this.proposal;
      this.proposal = null;
      for (const link of links) this.start(link, nowMs);
    }
  }

  changesLeft(nowMs: number): number {
    this.recent = this.recent.filter((at) => at > nowMs - 3_600_000);
    return Math.max(0, this.world.autoApply.perHour - this.recent.length);
  }

  order(wanted: Int32Array, slot: number, nowMs: number): void {
    const { autoApply } = this.world;
    let budget = Math.min(autoApply.perDecision, this.changesLeft(nowMs));
    const spend = (): void => {
      budget -= 1;
      this.recent.push(nowMs);
    };
    const excess: number[] = [];
    for (const link of missing(wanted, this.standing)) {
      if (budget <= 0) excess.push(link);
      else if (this.start(link, nowMs)) spend();
    }
    for (let link = 0; link < wanted.length; link++) {
      const closing = Math.min(budget, this.standing[link]! - wanted[link]!, this.open[link]!);
      for (let unit = 0; unit < closing; unit++) {
        this.close(link);
        spend();
      }
    }
    if (excess.length === 0) this.proposal = null;
    else if (this.proposal !== null) this.proposal.links = excess;
    else {
      this.proposals += 1;
      this.proposal = { approvedAt: nowMs + approvalMs(this.seed, slot), links: excess };
    }
  }

  private start(link: number, nowMs: number): boolean {
    const { a, b } = this.world.pairs[link >> 1]!;
    if (this.used[a]! >= this.world.tunnelSlots[a]! || this.used[b]! >= this.world.tunnelSlots[b]!) {
      this.refused += 1;
      return false;
    }
    this.standing[link]! += 1;
    this.count(link, 1);
    this.changes += 1;
    this.coming.push({ at: nowMs + WORLD.setUpMs, link });
    return true;
  }

  private close(link: number): void {
    this.standing[link]! -= 1;
    this.open[link]! -= 1;
    this.count(link, -1);
    this.changes += 1;
  }

  private count(link: number, by: number): void {
    const { a, b } = this.world.pairs[link >> 1]!;
    this.used[a]! += by;
    this.used[b]! += by;
  }
}

/** Exponential; the same for all policies, since it depends on seed and slot alone. */
function approvalMs(seed: string, slot: number): number {
  return (-Math.log(1 - createRng(`${seed}/approval/${slot}`).next()) / Math.LN2) * WORLD.approvalMedianMs;
}

/** A link for each tunnel that lacks, those first whose link has least of what it should have. */
function missing(wanted: Int32Array, standing: Int32Array): number[] {
  const lacking: { link: number; has: number }[] = [];
  for (let link = 0; link < wanted.length; link++) for (let unit = standing[link]!; unit < wanted[link]!; unit++) lacking.push({ link, has: unit / wanted[link]! });
  return lacking.sort((one, other) => one.has - other.has || one.link - other.link).map(({ link }) => link);
}
