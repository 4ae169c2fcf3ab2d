import { createRng } from '../../../src/base/index.ts';
import { classId, nodeId, siteId, uplinkId, type Evidence, type NodeId, type OfferedBytes, type SiteId, type TunnelBytes } from '../../../src/model/index.ts';
import type { Topology } from '../../../src/telemetry/trust/topology.ts';

/** What one gateway makes of its true counters. */
export type Lie = (sample: OfferedBytes | TunnelBytes) => OfferedBytes | TunnelBytes | null;

/** Sites of one gateway each, a tunnel between any two, and about 10 Mbit/s from each to all others together. */
export class CountedMesh {
  readonly sites: SiteId[];
  readonly topology: Topology;
  readonly windowMs: number;
  readonly lies = new Map<NodeId, Lie>();
  /** Of the true traffic, by window. */
  factor: (window: number) => number = () => 1;
  lossRatio = 0;
  uplinkMbps = 100;

  constructor(sites: number, windowMs = 300_000) {
    this.windowMs = windowMs;
    this.sites = Array.from({ length: sites }, (_, index) => siteId(`s${index}`));
    const tunnels: Topology['tunnels'] = new Map();
    this.eachPair((one, other) => {
      if (one < other) tunnels.set(`t-${one}-${other}`, { ends: [node(one), node(other)], uplinks: [uplinkId(node(one), 'x'), uplinkId(node(other), 'x')] });
    });
    const lastHops: Topology['lastHops'] = new Map();
    this.eachPair((from, to) => lastHops.set(`${from}>${to}`, new Set([tunnelOf(from, to)])));
    this.topology = {
      nodes: new Map(this.sites.map((site) => [node(site), { site, isRelay: false }])),
      tunnels,
      uplinks: new Map(this.sites.map((site) => [uplinkId(node(site), 'x'), { upMbps: 100, downMbps: 100 }])),
      lastHops,
      capacityMbps: () => 100,
    };
  }

  /** True traffic of a pair in a window, Mbit/s. */
  trueMbps(from: SiteId, to: SiteId, window: number): number {
    const noise = createRng(`${from}>${to} ${window}`).gaussian();
    return (10 / (this.sites.length - 1)) * (1 + 0.3 * Math.sin(window / 20)) * Math.exp(0.2 * noise) * this.factor(window);
  }

  evidence(fromWindow: number, untilWindow: number): Evidence {
    const offered: OfferedBytes[] = [];
    const ends = new Map<string, TunnelBytes>();
    const bytesOf = (mbps: number): number => (mbps * 1000 * this.windowMs) / 8;
    for (let window = fromWindow; window < untilWindow; window++) {
      const end = (at: SiteId, tunnel: string): TunnelBytes => {
        const key = `${window} ${at} ${tunnel}`;
        const known = ends.get(key) ?? { node: node(at), tunnel, window, rxBytes: 0, txBytes: 0, countedMs: this.windowMs };
        ends.set(key, known);
        return known;
      };
      this.eachPair((from, to) => {
        const wanted = this.trueMbps(from, to, window);
        const mbps = Math.min(wanted, this.uplinkMbps / (this.sites.length - 1));
        offered.push({ node: node(from), from, to, classId: classId('bulk'), window, bytes: bytesOf(wanted), droppedBytes: 0 });
        end(from, tunnelOf(from, to)).txBytes += bytesOf(wanted) * 1.03;
        end(to, tunnelOf(from, to)).rxBytes += bytesOf(mbps) * 1.03 * (1 - this.lossRatio);
      });
    }
    const told = <T extends OfferedBytes | TunnelBytes>(samples: readonly T[]): T[] => samples.flatMap((sample) => (this.lies.get(sample.node)?.(sample) as T | null | undefined) ?? (this.lies.has(sample.node) ? [] : [sample]));
    return { windowMs: this.windowMs, fromWindow, untilWindow, offered: told(offered), tunnels: told([...ends.values()]) };
  }

  private eachPair(visit: (from: SiteId, to: SiteId) => void): void {
    for (const from of this.sites) for (const to of this.sites) if (from !== to) visit(from, to);
  }
}

export function node(site: SiteId): NodeId {
  return nodeId(`${site}-gw1`);
}

function tunnelOf(one: SiteId, other: SiteId): string {
  return one < other ? `t-${one}-${other}` : `t-${other}-${one}`;
}

/** Everything that it reports, times a factor. */
export function inflated(factor: number | ((window: number) => number), what: 'all' | 'offered' | 'tunnels' = 'all'): Lie {
  return (sample) => {
    const by = typeof factor === 'number' ? factor : factor(sample.window);
    if ('bytes' in sample) return what === 'tunnels' ? sample : { ...sample, bytes: sample.bytes * by };
    return what === 'offered' ? sample : { ...sample, rxBytes: sample.rxBytes * by, txBytes: sample.txBytes * by };
  };
}
