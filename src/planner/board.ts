import type { Site, TrafficClass } from '../model/index.ts';
import { isUsable } from './admissibility.ts';
import { Ledger, type Fit } from './ledger.ts';
import type { Network } from './network.ts';
import type { Guide } from './guide.ts';
import type { Notes } from './notes.ts';
import type { Choice, Hop, Pair, Want, Way } from './types.ts';
import { relayWay } from './ways.ts';

/** How a want is carried. `fit` is what of it counts against the limits; the rest is in the report as unplaced. */
export interface Placement {
  want: Want;
  choice: Choice;
  fit: Fit;
}

/** The state of one round of planning: who has what so far. */
export class Board {
  readonly network: Network;
  readonly notes: Notes;
  readonly ledger: Ledger;
  readonly wants: ReadonlyMap<string, Want>;
  readonly placements = new Map<string, Placement>();
  /** Where second copies of duplicated wants have capacity; what is refused one is sent once. */
  readonly copies = new Map<string, Placement>();
  readonly copiesRefused = new Set<string>();
  /** Tunnels that relayed traffic of a class uses to a site whose own connection does not allow that class. */
  readonly #lentHops = new Map<string, Hop>();
  /** Wants that relayed traffic leans on: their choice is final. */
  readonly settled = new Set<string>();
  readonly #expected = new Map<string, Choice>();
  /** What to try first; null: nothing but today's rules. */
  readonly guide: Guide | null;

  constructor(network: Network, notes: Notes, wants: readonly Want[], guide: Guide | null = null) {
    this.network = network;
    this.guide = guide;
    this.notes = notes;
    this.ledger = new Ledger(network);
    this.wants = new Map(wants.map((want) => [want.key, want]));
    for (const want of wants) {
      if (!want.active || !want.previous) continue;
      const choice = this.previousWays(want).filter(({ way }) => way.hops.every(isUsable));
      this.#expected.set(want.key, choice);
      this.ledger.expect(choice, want, 1);
    }
  }

  /** The want's turn has come: what it had is no longer expected, what it gets will be placed. */
  begin(want: Want): void {
    const expected = this.#expected.get(want.key);
    if (expected) this.ledger.expect(expected, want, -1);
    this.#expected.delete(want.key);
  }

  /** Gives the want its choice: capacity, tunnel slots, and the relay's own assignments that the choice relies on. */
  commit(want: Want, choice: Choice, reason: string): Placement {
    this.release(want);
    const fit = this.ledger.fit(choice, want);
    this.ledger.place(choice, want, fit);
    for (const { way } of choice) {
      for (const hop of way.hops) this.claim(hop, reason);
      if (way.relay !== null) for (const hop of way.hops) this.#settle(hop, want.trafficClass);
    }
    const placement = { want, choice, fit };
    this.placements.set(want.key, placement);
    return placement;
  }

  /** Takes back the capacity of a placement; its tunnels stay claimed. */
  release(want: Want): void {
    const placement = this.placements.get(want.key);
    if (!placement) return;
    this.ledger.place(placement.choice, want, placement.fit, -1);
    this.placements.delete(want.key);
  }

  claim(hop: Hop, reason: string): void {
    if (this.ledger.isClaimed(hop)) return;
    this.ledger.claim(hop);
    if (!hop.existing) this.notes.claimReasons.set(hop.tunnel, reason);
  }

  /** The previous choice as ways of today, usable or not; shares that no longer exist are left out. */
  previousWays(want: Want): Choice {
    return (want.previous ?? []).flatMap(({ key, weight }) => {
      const way = this.wayOf(want.pair, want.trafficClass, key);
      return way ? [{ way, weight }] : [];
    });
  }

  wayOf(pair: Pair, trafficClass: TrafficClass, key: string): Way | null {
    if (key.startsWith('relay:')) {
      const relay = this.network.relays.find((site: Site) => `relay:${site.id}` === key);
      return relay ? relayWay(this, pair, relay, trafficClass) : null;
    }
    const hop = this.network.hops(pair).find((each) => `direct:${each.path}` === key);
    return hop ? this.network.directWay(pair, hop) : null;
  }

  /**
   * The tunnels a pair's own gateways send a class over, when settled; null when still open; `elsewhere` when the pair
   * is relayed itself or found no tunnel, so that nobody can be relayed over it.
   */
  directRoutes(pair: Pair, trafficClass: TrafficClass): { hop: Hop; share: number }[] | 'elsewhere' | null {
    const key = `${pair.key}|${trafficClass.id}`;
    const lent = this.#lentHops.get(key);
    if (lent) return [{ hop: lent, share: 100 }];
    const placement = this.placements.get(key);
    if (!placement) return null;
    if (placement.choice.some(({ way }) => way.relay !== null)) return 'elsewhere';
    return placement.choice.map(({ way, weight }) => ({ hop: way.hops[0]!, share: weight }));
  }

  /** How settled a hop is for a pair's class: 0 it carried the class before, 1 claimed, 2 exists, 3 would be new. */
  standingOf(pair: Pair, trafficClass: TrafficClass, hop: Hop): number {
    const previous = this.wants.get(`${pair.key}|${trafficClass.id}`)?.previous ?? [];
    if (previous.some((share) => share.key === `direct:${hop.path}`)) return 0;
    if (this.ledger.isClaimed(hop)) return 1;
    return hop.existing ? 2 : 3;
  }

  /** Fixes the tunnel by which a hop's pair sends a class, since relayed traffic now counts on it. */
  #settle(hop: Hop, trafficClass: TrafficClass): void {
    const pair = this.network.pairOfHop(hop)!;
    const key = `${pair.key}|${trafficClass.id}`;
    this.settled.add(key);
    if (this.placements.has(key)) return;
    const want = this.wants.get(key);
    if (!want) this.#lentHops.set(key, hop);
    else {
      this.begin(want);
      this.commit(want, [{ way: this.network.directWay(pair, hop), weight: 100 }], `hop of relayed ${trafficClass.id}`);
    }
  }
}
