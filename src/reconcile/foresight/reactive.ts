import type { Moment, Policy } from './network.ts';
import { PROVIDERS, WORLD, type World } from './world.ts';

export interface ReactiveSettings {
  /** Opens tunnels when they are fuller than this, so many that they are no longer. */
  openAbove: number;
  /** Closes those without which the others would still not be fuller than this… */
  closeBelow: number;
  /** …with the highest load of so long. */
  holdMs: number;
}

/**
 * What products do today, as they are delivered: more above 80 %, fewer when the rest would stay below 60 %, as Azure's guide of autoscaling
 * advises, for half an hour: longer than any of Kubernetes (5 minutes), Google's instance groups (10) and Juniper's mesh tunnels (15).
 * @see docs/foresight.md
 */
export const REACTIVE_TEXTBOOK: ReactiveSettings = { openAbove: 0.8, closeBelow: 0.6, holdMs: 30 * 60_000 };

/** A threshold rule on the load that was last seen; pairs whose load is unknown are left alone. */
export function createReactive(world: World, settings: ReactiveSettings): Policy {
  const hold = Math.max(1, Math.round(settings.holdMs / world.slotMs));
  const recent = world.pairs.map(() => new Float64Array(hold));
  let decisions = 0;
  return {
    name: 'reactive',
    decide({ seenMbps, standing }: Moment, wanted: Int32Array, shareSecond: Float64Array): void {
      const overflow = overflowShares(world, seenMbps);
      for (let pair = 0; pair < world.pairs.length; pair++) {
        const load = sumKnown(seenMbps[2 * pair]!, seenMbps[2 * pair + 1]!);
        const window = recent[pair]!;
        if (decisions === 0) window.fill(load || 0);
        window[decisions % hold] = load || 0;
        if (Number.isNaN(load)) continue;
        const units = standing[2 * pair]! + standing[2 * pair + 1]!;
        const most = window.reduce((max, mbps) => Math.max(max, mbps), 0);
        const needed = (mbps: number, at: number): number => Math.max(1, Math.ceil(mbps / (at * world.unitMbps) - 1e-9));
        const target = Math.max(needed(load, settings.openAbove), Math.min(units, needed(most, settings.closeBelow)));
        settle(wanted, pair, target, overflow[pair]! * load, (1 - overflow[pair]!) * load, world.unitMbps);
      }
      for (let at = 0; at < shareSecond.length; at++) shareSecond[at] = overflow[at >> 1]!;
      decisions += 1;
    },
  };
}

/**
 * Gives a pair so many tunnels, by what each provider should carry: more where most lacks, fewer where least is needed. A
 * provider that lacks a whole tunnel gets it even so; what is then too many goes with the next decisions.
 */
export function settle(wanted: Int32Array, pair: number, target: number, secondMbps: number, firstMbps: number, unitMbps: number): void {
  const lacks = (provider: number): number => (provider === 0 ? firstMbps : secondMbps) / unitMbps - wanted[2 * pair + provider]!;
  const sum = (): number => wanted[2 * pair]! + wanted[2 * pair + 1]!;
  while (sum() < target) wanted[2 * pair + (lacks(1) > lacks(0) ? 1 : 0)]! += 1;
  while (sum() > target) {
    const provider = wanted[2 * pair]! < 1 || (wanted[2 * pair + 1]! > 0 && lacks(1) <= lacks(0)) ? 1 : 0;
    if (lacks(provider) > -1) break;
    wanted[2 * pair + provider]! -= 1;
  }
  for (const provider of [0, 1]) while (lacks(provider) >= 1) wanted[2 * pair + provider]! += 1;
}

const SECOND_SHARE_MAX = PROVIDERS[1].share / (PROVIDERS[0].share + PROVIDERS[1].share);

/** By pair: the share that would have to go over the second provider, were the first one's uplinks filled by all that was sent. */
export function overflowShares(world: World, mbps: Float64Array): Float64Array {
  const sent = new Float64Array(world.sites.length);
  const received = new Float64Array(world.sites.length);
  for (const [pair, { a, b }] of world.pairs.entries()) {
    const [forward, backward] = [mbps[2 * pair]! || 0, mbps[2 * pair + 1]! || 0];
    sent[a]! += forward;
    received[b]! += forward;
    sent[b]! += backward;
    received[a]! += backward;
  }
  const share = sent.map((out, site) => {
    const most = Math.max(out, received[site]!);
    // a site that is short all the same fills both alike
    return most > 0 ? Math.min(SECOND_SHARE_MAX, Math.max(0, 1 - (WORLD.uplinkFullAt * world.uplinkMbps[2 * site]!) / most)) : 0;
  });
  return Float64Array.from(world.pairs, ({ a, b }) => Math.max(share[a]!, share[b]!));
}

/** NaN when neither is known. */
export function sumKnown(one: number, other: number): number {
  return Number.isNaN(one) ? other : Number.isNaN(other) ? one : one + other;
}
