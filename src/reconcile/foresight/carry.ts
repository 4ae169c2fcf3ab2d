import { PROVIDERS, type World } from './world.ts';

/** What each pair sends in one stretch of time in which nothing changes; Mbit/s. By pair, or by [2 × pair + direction], from a to b first. */
export interface Carried {
  demandMbps: Float64Array;
  carriedMbps: Float64Array;
  /** What its tunnels hold together. */
  openMbps: Float64Array;
  /** Share of its traffic over the second provider, for the round trip. */
  overSecond: Float64Array;
  /** Egress by provider, Mbit/s. */
  sentMbps: Float64Array;
}

const LINKS = PROVIDERS.length;

/**
 * Sends demand through open tunnels as the agents would: over the two providers as the policy says, what does
 * not fit into the tunnels of one into those of the other, then cut to what uplinks carry, everybody by the same share; what a
 * full uplink refused tries the pair's other tunnels, once.
 * One instance serves one replay; the result is valid until the next call.
 */
export class Carrier {
  readonly result: Carried;
  private readonly world: World;
  /** By [(2 × pair + direction) × 2 + provider]. */
  private readonly flow: Float64Array;
  private readonly more: Float64Array;
  /** By [2 × site + provider], of both passes. */
  private readonly up: Float64Array;
  private readonly down: Float64Array;
  private readonly wantUp: Float64Array;
  private readonly wantDown: Float64Array;

  constructor(world: World) {
    this.world = world;
    const pairs = world.pairs.length;
    const uplinks = world.uplinkMbps.length;
    this.result = { demandMbps: new Float64Array(2 * pairs), carriedMbps: new Float64Array(2 * pairs), openMbps: new Float64Array(pairs), overSecond: new Float64Array(pairs), sentMbps: new Float64Array(LINKS) };
    this.flow = new Float64Array(4 * pairs);
    this.more = new Float64Array(4 * pairs);
    [this.up, this.down, this.wantUp, this.wantDown] = [0, 0, 0, 0].map(() => new Float64Array(uplinks)) as [Float64Array, Float64Array, Float64Array, Float64Array];
  }

  /**
   * @param open         tunnels by link
   * @param shareSecond  by [2 × pair + direction]: what the policy wants over the second provider, 0…1
   */
  carry(slot: number, open: Int32Array, shareSecond: Float64Array): Carried {
    const { world, flow, more, result } = this;
    const { pairs, unitMbps } = world;
    this.up.fill(0);
    this.down.fill(0);
    for (let pair = 0; pair < pairs.length; pair++) {
      const units = open[2 * pair]! + open[2 * pair + 1]!;
      const [forward, backward] = [pairs[pair]!.forward[slot]! || 0, pairs[pair]!.backward[slot]! || 0];
      result.demandMbps[2 * pair] = forward;
      result.demandMbps[2 * pair + 1] = backward;
      result.openMbps[pair] = units * unitMbps;
      const rooms = [open[2 * pair]! * unitMbps, open[2 * pair + 1]! * unitMbps] as const;
      const overSecond = shareSecond[2 * pair]! * forward + shareSecond[2 * pair + 1]! * backward;
      const overFirst = forward + backward - overSecond;
      const [fitsFirst, fitsSecond] = [overFirst > 0 ? Math.min(1, rooms[0] / overFirst) : 1, overSecond > 0 ? Math.min(1, rooms[1] / overSecond) : 1];
      // what one provider's tunnels have no room for goes to the other's
      const [leftFirst, leftSecond] = [(1 - fitsFirst) * overFirst, (1 - fitsSecond) * overSecond];
      const [takenBySecond, takenByFirst] = [leftFirst > 0 ? Math.min(1, (rooms[1] - fitsSecond * overSecond) / leftFirst) : 0, leftSecond > 0 ? Math.min(1, (rooms[0] - fitsFirst * overFirst) / leftSecond) : 0];
      for (let direction = 0; direction < 2; direction++) {
        const mbps = result.demandMbps[2 * pair + direction]!;
        const second = shareSecond[2 * pair + direction]! * mbps;
        const first = mbps - second;
        flow[4 * pair + 2 * direction] = fitsFirst * first + takenByFirst * (1 - fitsSecond) * second;
        flow[4 * pair + 2 * direction + 1] = fitsSecond * second + takenBySecond * (1 - fitsFirst) * first;
      }
    }
    more.set(flow);
    this.throughUplinks(more);
    for (let pair = 0; pair < pairs.length; pair++) {
      const refused = [0, 1].map((direction) => [0, 1].map((provider) => flow[4 * pair + 2 * direction + provider]! - more[4 * pair + 2 * direction + provider]!));
      for (let at = 4 * pair; at < 4 * pair + 4; at++) flow[at] = more[at]!;
      for (let provider = 0; provider < LINKS; provider++) {
        const room = open[2 * pair + provider]! * unitMbps - flow[4 * pair + provider]! - flow[4 * pair + 2 + provider]!;
        const wanted = refused[0]![1 - provider]! + refused[1]![1 - provider]!;
        const share = wanted > 0 ? Math.max(0, Math.min(1, room / wanted)) : 0;
        more[4 * pair + provider] = share * refused[0]![1 - provider]!;
        more[4 * pair + 2 + provider] = share * refused[1]![1 - provider]!;
      }
    }
    this.throughUplinks(more);
    for (let at = 0; at < flow.length; at++) flow[at]! += more[at]!;
    this.sumUp();
    return result;
  }

  /** Cuts flows to what is left of uplinks, sender's and receiver's, and takes it. */
  private throughUplinks(flows: Float64Array): void {
    const { world, up, down, wantUp, wantDown } = this;
    wantUp.fill(0);
    wantDown.fill(0);
    this.eachFlow((at, from, to) => {
      wantUp[from]! += flows[at]!;
      wantDown[to]! += flows[at]!;
    });
    for (let uplink = 0; uplink < world.uplinkMbps.length; uplink++) {
      const mbps = world.uplinkMbps[uplink]!;
      wantUp[uplink] = wantUp[uplink]! > 0 ? Math.min(1, Math.max(0, mbps - up[uplink]!) / wantUp[uplink]!) : 1;
      wantDown[uplink] = wantDown[uplink]! > 0 ? Math.min(1, Math.max(0, mbps - down[uplink]!) / wantDown[uplink]!) : 1;
    }
    this.eachFlow((at, from, to) => {
      flows[at]! *= Math.min(wantUp[from]!, wantDown[to]!);
      up[from]! += flows[at]!;
      down[to]! += flows[at]!;
    });
  }

  private eachFlow(visit: (at: number, from: number, to: number) => void): void {
    const { pairs } = this.world;
    for (let pair = 0; pair < pairs.length; pair++) {
      const { a, b } = pairs[pair]!;
      for (let provider = 0; provider < LINKS; provider++) {
        visit(4 * pair + provider, 2 * a + provider, 2 * b + provider);
        visit(4 * pair + 2 + provider, 2 * b + provider, 2 * a + provider);
      }
    }
  }

  private sumUp(): void {
    const { result, flow } = this;
    result.sentMbps.fill(0);
    for (let pair = 0; pair < this.world.pairs.length; pair++) {
      const at = 4 * pair;
      result.carriedMbps[2 * pair] = flow[at]! + flow[at + 1]!;
      result.carriedMbps[2 * pair + 1] = flow[at + 2]! + flow[at + 3]!;
      result.sentMbps[0]! += flow[at]! + flow[at + 2]!;
      result.sentMbps[1]! += flow[at + 1]! + flow[at + 3]!;
      const sum = flow[at]! + flow[at + 1]! + flow[at + 2]! + flow[at + 3]!;
      result.overSecond[pair] = sum > 0 ? (flow[at + 1]! + flow[at + 3]!) / sum : 0;
    }
  }
}
