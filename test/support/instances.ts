import { createRng } from '../../src/base/index.ts';
import type { Instance } from '../../src/planner/index.ts';

export interface InstanceShape {
  sites: number;
  relays: number;
  seed: number;
  /** Tunnels that a gateway holds. */
  slots: number;
  /** Mbit/s of a demand's P95, on average. */
  meanMbps: number;
}

/** A made-up mesh: sites on a square of 100 ms, one to three uplinks each, links between all uplinks, demands in three classes. */
export function makeInstance({ sites, relays, seed, slots, meanMbps }: InstanceShape): Instance {
  const rng = createRng(`instance-${seed}`);
  const places = Array.from({ length: sites }, () => [100 * rng.next(), 100 * rng.next()] as const);
  const uplinks: Instance['uplinks'] = places.flatMap((_, site) =>
    Array.from({ length: 1 + rng.integer(3) }, (_, index) => {
      const provider = `isp${rng.integer(4)}`;
      const mbps = [50, 100, 200, 500][rng.integer(4)]!;
      return { site, provider, upMbps: mbps, downMbps: mbps, usdPerGb: [0, 0.01, 0.1, 2][index]!, srlg: [`${provider}@${Math.floor(places[site]![0] / 25)}`] };
    }),
  );
  const links: Instance['links'] = [];
  for (const [a, one] of uplinks.entries()) {
    for (let b = a + 1; b < uplinks.length; b++) {
      const other = uplinks[b]!;
      if (one.site === other.site || (one.site >= relays && other.site >= relays && rng.next() < 0.3)) continue;
      const distanceMs = Math.hypot(places[one.site]![0] - places[other.site]![0], places[one.site]![1] - places[other.site]![1]);
      links.push([a, b, 2 + distanceMs * (1 + 0.3 * rng.next()), 3 * rng.next() ** 3, rng.next() < 0.2 ? 40 : 0]);
    }
  }
  const demands: Instance['demands'] = [];
  for (let src = 0; src < sites; src++) {
    for (let dst = 0; dst < sites; dst++) {
      if (src === dst) continue;
      for (let cls = 0; cls < 3; cls++) {
        if (rng.next() < 0.4) continue;
        const p95 = meanMbps * Math.exp(rng.gaussian() - 0.5);
        demands.push({ src, dst, cls, p50: p95 * (0.3 + 0.5 * rng.next()), p95, ...(rng.next() < 0.1 ? { avoid: [`isp${rng.integer(4)}`] } : {}), ...(rng.next() < 0.05 ? { regionLock: 'west' } : {}) });
      }
    }
  }
  return {
    format: 'te-instance/1',
    relayMs: 1,
    classes: [
      { id: 'voice', priority: 0, maxRttMs: 90, maxLossPct: 1, minSecurity: 2, backup: true },
      { id: 'business', priority: 1, maxRttMs: 150, maxLossPct: 2, minSecurity: 1, backup: true },
      { id: 'bulk', priority: 2, maxRttMs: 1000, maxLossPct: 8, minSecurity: 1, backup: false },
    ],
    sites: places.map(([x], site) => ({ id: `s${site}`, region: x < 50 ? 'west' : 'east', relay: site < relays })),
    gateways: places.map((_, site) => ({ site, role: 'active', cryptoMbps: site < relays ? 2000 : 400, maxTunnels: slots, security: rng.next() < 0.1 ? 1 : 2 })),
    uplinks,
    links,
    demands,
  };
}
