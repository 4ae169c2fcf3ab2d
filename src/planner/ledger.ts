import { sortedBy } from '../base/index.ts';
import type { NodeId, TunnelId } from '../model/index.ts';
import { isUsable } from './admissibility.ts';
import { sizeOf } from './demand.ts';
import { pairKey, type Network } from './network.ts';
import type { Choice, Hop, Pair, Usage, Want } from './types.ts';

/** How much of a want a choice would carry: share of each direction and of both together, 0…1. */
export interface Fit {
  forward: number;
  backward: number;
  carried: number;
  /** Everything fits. */
  whole: boolean;
  /** The resource that gives out first, when not. */
  tightest: number | null;
}

/** Small enough to be rounding, Mbit/s. */
const EPSILON_MBPS = 1e-6;

/**
 * What is given away so far: Mbit/s on every resource, tunnel slots at every node. `expected` is what lower
 * priorities, not placed yet, had in the previous plan: it raises prices but holds nothing back.
 */
export class Ledger {
  readonly claimed = new Map<TunnelId, Hop>();
  readonly expectedMbps: Float64Array;
  readonly placedMbps: Float64Array;
  readonly #network: Network;
  readonly #claimedHops = new Set<Hop>();
  readonly #claimedByPair = new Map<string, Hop[]>();
  readonly #standbysByPair = new Map<string, Hop[]>();
  readonly #slots = new Map<NodeId, number>();
  /** Usable tunnels of the previous plan that nobody has claimed yet, by node. */
  readonly #standing = new Map<NodeId, number>();
  readonly #isStanding = new Set<TunnelId>();

  constructor(network: Network) {
    this.#network = network;
    this.placedMbps = new Float64Array(network.resources.limitsMbps.length);
    this.expectedMbps = new Float64Array(network.resources.limitsMbps.length);
    for (const tunnel of network.previousTunnels.values()) {
      const hop = network.hopOf(tunnel);
      if (hop && isUsable(hop)) this.#stand(hop, 1);
    }
  }

  fit(choice: Choice, want: Want): Fit {
    const limits = this.#network.resources.limitsMbps;
    let forward = 1;
    let backward = 1;
    let tightest: number | null = null;
    for (const usage of combinedUsage(choice)) {
      const needForward = usage.forward * want.forward.plannedMbps;
      const needBackward = usage.backward * want.backward.plannedMbps;
      const need = needForward + needBackward;
      const left = Math.max(0, limits[usage.resource]! - this.placedMbps[usage.resource]!);
      if (need <= left + EPSILON_MBPS) continue;
      const share = left / need;
      if (share < Math.min(forward, backward)) tightest = usage.resource;
      if (needForward > 0) forward = Math.min(forward, share);
      if (needBackward > 0) backward = Math.min(backward, share);
    }
    const size = sizeOf(want);
    const carried = size > 0 ? (forward * want.forward.plannedMbps + backward * want.backward.plannedMbps) / size : 1;
    return { forward, backward, carried, whole: tightest === null, tightest };
  }

  /** Adds (or with -1 takes back) what `fit` of the want uses. */
  place(choice: Choice, want: Want, fit: Pick<Fit, 'forward' | 'backward'>, sign: 1 | -1 = 1): void {
    addUsage(this.placedMbps, choice, want.forward.plannedMbps * fit.forward * sign, want.backward.plannedMbps * fit.backward * sign);
  }

  expect(choice: Choice, want: Want, sign: 1 | -1): void {
    addUsage(this.expectedMbps, choice, want.forward.plannedMbps * sign, want.backward.plannedMbps * sign);
  }

  /** Utilisation of a resource's limit when `addedMbps` come on top of everything placed and expected; 0 for nothing on nothing. */
  utilisation(resource: number, addedMbps: number): number {
    const load = Math.max(0, this.placedMbps[resource]! + this.expectedMbps[resource]!) + addedMbps;
    if (load <= EPSILON_MBPS) return 0;
    const limit = this.#network.resources.limitsMbps[resource]!;
    return limit > 0 ? load / limit : Number.MAX_SAFE_INTEGER;
  }

  isClaimed(hop: Hop): boolean {
    return this.#claimedHops.has(hop);
  }

  /** Claimed tunnels of a pair, by path. */
  claimedOf(pair: Pick<Pair, 'key'>): readonly Hop[] {
    return this.#claimedByPair.get(pair.key) ?? [];
  }

  /** The node that has no slot left for these hops together; null when all can be had. `spare`: without touching a standing tunnel. */
  fullNode(hops: readonly Hop[], spare = false): NodeId | 'overlay' | null {
    const added = new Map<NodeId, number>();
    let fresh = 0;
    for (const hop of hops) {
      if (this.isClaimed(hop)) continue;
      fresh++;
      const standing = this.#isStanding.has(hop.tunnel);
      for (const { node } of hop.ends) {
        const count = (added.get(node.id) ?? 0) + (spare && standing ? 0 : 1);
        added.set(node.id, count);
        if (this.slotsTaken(node.id, spare) + count > node.tunnelsMax) return node.id;
      }
    }
    return fresh > 0 && this.claimed.size + fresh > this.#network.resources.tunnelsMax ? 'overlay' : null;
  }

  slotsTaken(node: NodeId, withStanding: boolean): number {
    return (this.#slots.get(node) ?? 0) + (withStanding ? (this.#standing.get(node) ?? 0) : 0);
  }

  /** Tunnels between a pair's sites that only stand by, of both halves, by path. No placement uses them. */
  standbysOf({ a, b }: Pick<Pair, 'a' | 'b'>): readonly Hop[] {
    return this.#standbysByPair.get(pairKey(a.id, b.id)) ?? [];
  }

  claim(hop: Hop): void {
    this.#claimInto(this.#claimedByPair, hop, this.#network.pairOfHop(hop)?.key ?? sitesOf(hop));
  }

  claimStandby(hop: Hop): void {
    this.#claimInto(this.#standbysByPair, hop, sitesOf(hop));
  }

  #claimInto(byPair: Map<string, Hop[]>, hop: Hop, key: string): void {
    if (this.isClaimed(hop)) return;
    this.claimed.set(hop.tunnel, hop);
    this.#claimedHops.add(hop);
    byPair.set(key, sortedBy([...(byPair.get(key) ?? []), hop], (each) => each.path));
    for (const { node } of hop.ends) this.#slots.set(node.id, (this.#slots.get(node.id) ?? 0) + 1);
    if (this.#isStanding.has(hop.tunnel)) this.#stand(hop, -1);
  }

  #stand(hop: Hop, sign: 1 | -1): void {
    if (sign > 0) this.#isStanding.add(hop.tunnel);
    else this.#isStanding.delete(hop.tunnel);
    for (const { node } of hop.ends) this.#standing.set(node.id, (this.#standing.get(node.id) ?? 0) + sign);
  }
}

function sitesOf({ ends: [one, other] }: Hop): string {
  return pairKey(one.site.id, other.site.id);
}

/** Uses of all ways of a choice, weighted, one entry a resource. */
export function combinedUsage(choice: Choice): Usage[] {
  if (choice.length === 1) return choice[0]!.way.usage;
  const uses = new Map<number, Usage>();
  for (const { way, weight } of choice) {
    for (const usage of way.usage) {
      const sum = uses.get(usage.resource) ?? { resource: usage.resource, forward: 0, backward: 0 };
      sum.forward += (usage.forward * weight) / 100;
      sum.backward += (usage.backward * weight) / 100;
      uses.set(usage.resource, sum);
    }
  }
  return [...uses.values()];
}

function addUsage(target: Float64Array, choice: Choice, forwardMbps: number, backwardMbps: number): void {
  for (const usage of combinedUsage(choice)) target[usage.resource]! += usage.forward * forwardMbps + usage.backward * backwardMbps;
}
