import type { Moment, Policy } from './network.ts';
import type { Placement } from './placement.ts';
import { settle, sumKnown } from './reactive.ts';
import { unitsFor, WORLD, type World } from './world.ts';

/** What a policy expects, by pair, both directions together, Mbit/s. Valid until the next call. */
export interface Outlook {
  p50Mbps: Float64Array;
  /** What tunnels should be there for soon. */
  openMbps: Float64Array;
  /** What those that are there are kept for. */
  keepMbps: Float64Array;
}

/**
 * Plans on what is expected: the planner says what each link should carry, tunnels are opened for it, and closed when nothing
 * that is expected needs them.
 */
export function createPlanned(world: World, name: string, outlookAt: (slot: number) => Outlook, placement: Placement): Policy {
  const shareForward = new Float64Array(world.pairs.length).fill(0.5);
  return {
    name,
    decide({ slot, seenMbps, standing }: Moment, wanted: Int32Array, shareSecond: Float64Array): void {
      const outlook = outlookAt(slot);
      followDirections(shareForward, seenMbps);
      const plannedMbps = placement.place(outlook, shareForward);
      for (let pair = 0; pair < world.pairs.length; pair++) {
        const [first, second] = [plannedMbps[4 * pair]! + plannedMbps[4 * pair + 2]!, plannedMbps[4 * pair + 1]! + plannedMbps[4 * pair + 3]!];
        for (let direction = 0; direction < 2; direction++) {
          const over = plannedMbps[4 * pair + 2 * direction + 1]!;
          shareSecond[2 * pair + direction] = over > 0 ? over / (over + plannedMbps[4 * pair + 2 * direction]!) : 0;
        }
        const units = standing[2 * pair]! + standing[2 * pair + 1]!;
        const target = Math.max(unitsFor(outlook.openMbps[pair]!, world.unitMbps), Math.min(units, unitsFor(outlook.keepMbps[pair]!, world.unitMbps)));
        settle(wanted, pair, target, second, first, WORLD.fullAt * world.unitMbps);
      }
    },
  };
}

/** Share of a pair's demand that goes from a to b, smoothed. */
function followDirections(shareForward: Float64Array, seenMbps: Float64Array): void {
  for (let pair = 0; pair < shareForward.length; pair++) {
    const sum = sumKnown(seenMbps[2 * pair]!, seenMbps[2 * pair + 1]!);
    if (sum > 0) shareForward[pair]! += 0.3 * ((seenMbps[2 * pair]! || 0) / sum - shareForward[pair]!);
  }
}
