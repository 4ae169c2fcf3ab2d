import { planInstance, type Instance, type InstancePlan } from '../../planner/index.ts';
import type { Outlook } from './planned.ts';
import { overflowShares } from './reactive.ts';
import { PROVIDERS, WORLD, type World } from './world.ts';

/** Decides what each link should carry of what is expected, Mbit/s by [4 × pair + 2 × direction + provider]. */
export interface Placement {
  place(outlook: Outlook, shareForward: Float64Array): Float64Array;
}

const WIDTH = PROVIDERS.reduce((sum, { share }) => sum + share, 0);
/** Rounds of a plan from nothing, and of one from the plan before. */
const SWEEPS_COLD = 24;
const SWEEPS_WARM = 8;

/** The planner's core: medians first, then provisions, under what uplinks carry, for the least money. */
export function createPlannerPlacement(world: World): Placement {
  let previousPlan: InstancePlan | undefined;
  const plannedMbps = new Float64Array(4 * world.pairs.length);
  return {
    place(outlook, shareForward) {
      const instance = instanceOf(world, outlook, shareForward);
      const { plan } = planInstance(instance, previousPlan === undefined ? { sweeps: SWEEPS_COLD } : { sweeps: SWEEPS_WARM, previousPlan });
      previousPlan = plan;
      plannedMbps.fill(0);
      for (const { demand, links, mbps } of plan.flows) for (const link of links) plannedMbps[2 * demand + (link % 2)]! += mbps;
      // what found no room is sent all the same, by the width of the uplinks
      for (const [demand, { p95 }] of instance.demands.entries()) {
        const unplaced = Math.max(0, p95 - plannedMbps[2 * demand]! - plannedMbps[2 * demand + 1]!);
        for (const [provider, { share }] of PROVIDERS.entries()) plannedMbps[2 * demand + provider]! += (share / WIDTH) * unplaced;
      }
      return plannedMbps;
    },
  };
}

/** All over the first provider but what its uplinks cannot take: near to what the planner does, for a fraction of the time. Used to choose settings. */
export function createDirectPlacement(world: World): Placement {
  const plannedMbps = new Float64Array(4 * world.pairs.length);
  const directed = new Float64Array(2 * world.pairs.length);
  return {
    place({ openMbps }, shareForward) {
      for (let pair = 0; pair < openMbps.length; pair++) {
        directed[2 * pair] = shareForward[pair]! * openMbps[pair]!;
        directed[2 * pair + 1] = (1 - shareForward[pair]!) * openMbps[pair]!;
      }
      const overflow = overflowShares(world, directed);
      for (let pair = 0; pair < openMbps.length; pair++) {
        for (let direction = 0; direction < 2; direction++) {
          plannedMbps[4 * pair + 2 * direction] = (1 - overflow[pair]!) * directed[2 * pair + direction]!;
          plannedMbps[4 * pair + 2 * direction + 1] = overflow[pair]! * directed[2 * pair + direction]!;
        }
      }
      return plannedMbps;
    },
  };
}

/** The mesh as a `te-instance/1`: a link is as wide as what its pair may need, since tunnels are opened for what is planned. */
export function instanceOf(world: World, { p50Mbps, openMbps }: Outlook, shareForward: Float64Array): Instance {
  return {
    format: 'te-instance/1',
    relayMs: 1,
    classes: [{ id: 'all', priority: 0, maxRttMs: WORLD.rttMaxMs, maxLossPct: 1, minSecurity: 1, backup: false }],
    sites: world.sites.map((id) => ({ id, region: 'all', relay: false })),
    gateways: world.sites.map((_, site) => ({ site, role: 'active', cryptoMbps: 4 * (world.uplinkMbps[2 * site]! + world.uplinkMbps[2 * site + 1]!), maxTunnels: 2 * world.sites.length, security: 1 })),
    uplinks: world.sites.flatMap((_, site) => PROVIDERS.map(({ usdPerGb }, provider) => ({ site, provider: `isp${provider}`, upMbps: WORLD.uplinkFullAt * world.uplinkMbps[2 * site + provider]!, downMbps: WORLD.uplinkFullAt * world.uplinkMbps[2 * site + provider]!, usdPerGb, srlg: [] }))),
    links: world.pairs.flatMap(({ a, b }, pair) => PROVIDERS.map((_, provider): [number, number, number, number, number] => [2 * a + provider, 2 * b + provider, world.rttMs[2 * pair + provider]!, 0, 0])),
    demands: world.pairs.flatMap(({ a, b }, pair) => {
      const of = (share: number): { cls: number; p50: number; p95: number } => ({ cls: 0, p50: share * Math.min(p50Mbps[pair]!, openMbps[pair]!), p95: share * openMbps[pair]! });
      return [{ src: a, dst: b, ...of(shareForward[pair]!) }, { src: b, dst: a, ...of(1 - shareForward[pair]!) }];
    }),
  };
}
