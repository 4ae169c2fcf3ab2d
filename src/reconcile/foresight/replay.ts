import { Carrier, type Carried } from './carry.ts';
import { Network, type Policy } from './network.ts';
import type { Peak } from './peaks.ts';
import { LeadTimes, type LeadFigures } from './peaks.ts';
import { PROVIDERS, sumOf, unitsFor, WORLD, type World } from './world.ts';

export interface Figures {
  demandMbit: number;
  unservedMbit: number;
  /** Of that, what uplinks were too small for: no tunnel would have helped. */
  unservedByUplinksMbit: number;
  /** Pair-minutes in which a pair wanted more than its tunnels hold. */
  overCapacityMinutes: number;
  /** Pair-minutes in which it was not all carried, over tunnels too full, or over too long a way. */
  slaMinutes: number;
  tunnelChanges: number;
  tunnelHours: number;
  /** Tunnels and egress. */
  usd: number;
  /** Left to a person. */
  proposals: number;
  refusedTunnels: number;
  lead: LeadFigures;
}

export interface ReplayTask {
  world: World;
  policy: Policy;
  /** The first slot that is decided on; slots from the next on are counted. */
  fromSlot: number;
  untilSlot: number;
  seed: string;
  peaks: readonly Peak[];
  /** Sees every counted slot: what was wanted and what was not served, Mbit, and tunnels at its end. */
  onSlot?: (slot: number, demandMbit: number, unservedMbit: number, tunnels: number) => void;
}

/** Mbit/s; less is not missed. */
const NOTHING = 1e-9;

/** Replays slots through the mesh as one policy runs it. Pure: equal tasks give equal figures. */
export function replay({ world, policy, fromSlot, untilSlot, seed, peaks, onSlot }: ReplayTask): Figures {
  const carrier = new Carrier(world);
  const network = new Network(world, openAtFirst(world, fromSlot), seed);
  const leads = new LeadTimes(world, peaks, fromSlot);
  const meter = new Meter(world);
  const seenMbps = new Float64Array(2 * world.pairs.length);
  const wanted = network.standing.slice();
  const shareSecond = new Float64Array(2 * world.pairs.length);
  leads.observe(network.open, fromSlot * world.slotMs);
  for (let slot = fromSlot + 1; slot < untilSlot; slot++) {
    const startMs = slot * world.slotMs;
    const endMs = startMs + world.slotMs;
    const before = meter.mark();
    let atMs = startMs;
    let hasDecided = false;
    while (atMs < endMs) {
      const decideMs = hasDecided ? Infinity : startMs + Math.min(WORLD.reportedAfterMs, world.slotMs / 2);
      const untilMs = Math.min(endMs, decideMs, Math.max(atMs, network.nextAt()));
      if (untilMs > atMs) meter.count(carrier.carry(slot, network.open, shareSecond), network.open, (untilMs - atMs) / 1000);
      atMs = untilMs;
      if (atMs >= endMs) break;
      network.advance(atMs);
      if (atMs === decideMs) {
        hasDecided = true;
        for (const [pair, { forward, backward }] of world.pairs.entries()) {
          seenMbps[2 * pair] = forward[slot - 1]!;
          seenMbps[2 * pair + 1] = backward[slot - 1]!;
        }
        wanted.set(network.standing);
        policy.decide({ slot: slot - 1, nowMs: atMs, seenMbps, standing: network.standing, changesLeft: network.changesLeft(atMs) }, wanted, shareSecond);
        network.order(wanted, slot, atMs);
      }
      leads.observe(network.open, atMs);
    }
    onSlot?.(slot, meter.demandMbit - before.demandMbit, meter.unservedMbit - before.unservedMbit, network.open.reduce((sum, units) => sum + units, 0));
  }
  return { ...meter.figures(), tunnelChanges: network.changes, proposals: network.proposals, refusedTunnels: network.refused, lead: leads.figures() };
}

/** Enough for what was last seen, all over the first provider: the same for every policy. */
export function openAtFirst(world: World, slot: number): Int32Array {
  return Int32Array.from({ length: 2 * world.pairs.length }, (_, link) => {
    if (link % PROVIDERS.length !== 0) return 0;
    const sums = sumOf(world.pairs[link >> 1]!, slot + 1);
    return unitsFor(sums[slot]! || 0, world.unitMbps);
  });
}

class Meter {
  demandMbit = 0;
  unservedMbit = 0;
  private unservedByUplinksMbit = 0;
  private overSeconds = 0;
  private slaSeconds = 0;
  private tunnelSeconds = 0;
  private egressUsd = 0;
  private readonly world: World;

  constructor(world: World) {
    this.world = world;
  }

  mark(): { demandMbit: number; unservedMbit: number } {
    return { demandMbit: this.demandMbit, unservedMbit: this.unservedMbit };
  }

  count({ demandMbps, carriedMbps, openMbps, overSecond, sentMbps }: Carried, open: Int32Array, seconds: number): void {
    const { world } = this;
    for (let pair = 0; pair < world.pairs.length; pair++) {
      const demand = demandMbps[2 * pair]! + demandMbps[2 * pair + 1]!;
      if (demand <= 0) continue;
      const carried = carriedMbps[2 * pair]! + carriedMbps[2 * pair + 1]!;
      const unserved = demand - carried;
      this.demandMbit += demand * seconds;
      if (unserved > NOTHING) {
        this.unservedMbit += unserved * seconds;
        this.unservedByUplinksMbit += Math.max(0, Math.min(demand, openMbps[pair]!) - carried) * seconds;
      }
      if (demand > openMbps[pair]!) this.overSeconds += seconds;
      const rttMs = overSecond[pair]! > 0 ? Math.max(world.rttMs[2 * pair + 1]!, overSecond[pair]! < 1 ? world.rttMs[2 * pair]! : 0) : world.rttMs[2 * pair]!;
      if (demand > WORLD.fullAt * openMbps[pair]! + NOTHING || carried < WORLD.servedShareMin * demand || rttMs > WORLD.rttMaxMs) this.slaSeconds += seconds;
    }
    for (let link = 0; link < open.length; link++) this.tunnelSeconds += open[link]! * seconds;
    for (const [provider, { usdPerGb }] of PROVIDERS.entries()) this.egressUsd += (sentMbps[provider]! * seconds * usdPerGb) / 8000;
  }

  figures(): Omit<Figures, 'tunnelChanges' | 'proposals' | 'refusedTunnels' | 'lead'> {
    return {
      demandMbit: this.demandMbit,
      unservedMbit: this.unservedMbit,
      unservedByUplinksMbit: this.unservedByUplinksMbit,
      overCapacityMinutes: this.overSeconds / 60,
      slaMinutes: this.slaSeconds / 60,
      tunnelHours: this.tunnelSeconds / 3600,
      usd: this.egressUsd + (this.tunnelSeconds / 3600) * WORLD.usdPerTunnelHour,
    };
  }
}
