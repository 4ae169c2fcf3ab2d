import type { Instance } from '../../src/planner/index.ts';

/** Sites a (0), b (1) and relay r (2) with one uplink of 100 Mbit/s each; links a–b, a–r, r–b; voice before bulk from a to b. */
export function triangle(change: (instance: Instance) => void = () => undefined): Instance {
  const instance: Instance = {
    format: 'te-instance/1',
    relayMs: 1,
    classes: [
      { id: 'voice', priority: 0, maxRttMs: 100, maxLossPct: 1, minSecurity: 1, backup: false },
      { id: 'bulk', priority: 1, maxRttMs: 100, maxLossPct: 1, minSecurity: 1, backup: false },
    ],
    sites: ['a', 'b', 'r'].map((id) => ({ id, region: 'west', relay: id === 'r' })),
    gateways: [0, 1, 2].map((site) => ({ site, role: 'active', cryptoMbps: 1000, maxTunnels: 2, security: 1 })),
    uplinks: [0, 1, 2].map((site) => ({ site, provider: `isp${site}`, upMbps: 100, downMbps: 100, usdPerGb: 0, srlg: [] })),
    links: [
      [0, 1, 10, 0.1, 0],
      [0, 2, 20, 0.1, 0],
      [2, 1, 20, 0.1, 0],
    ],
    demands: [
      { src: 0, dst: 1, cls: 0, p50: 10, p95: 30 },
      { src: 0, dst: 1, cls: 1, p50: 20, p95: 90 },
    ],
  };
  change(instance);
  return instance;
}

/**
 * Sites of two uplinks each: uplink 2s is fibre, 2s + 1 radio. Links between fibres (10 ms) and between radios (30 ms) of all
 * pairs; site 0 relays. One class that wants backups; demands as given.
 */
export function twoUplinks(sites: number, demands: readonly [src: number, dst: number, mbps: number][], change: (instance: Instance) => void = () => undefined): Instance {
  const numbers = Array.from({ length: sites }, (_, site) => site);
  const pairs = numbers.flatMap((a) => numbers.filter((b) => b > a).map((b) => [a, b] as const));
  const instance: Instance = {
    format: 'te-instance/1',
    relayMs: 1,
    classes: [{ id: 'voice', priority: 0, maxRttMs: 100, maxLossPct: 1, minSecurity: 1, backup: true }],
    sites: numbers.map((site) => ({ id: `s${site}`, region: 'west', relay: site === 0 })),
    gateways: numbers.map((site) => ({ site, role: 'active', cryptoMbps: 1000, maxTunnels: 20, security: 1 })),
    uplinks: numbers.flatMap((site) => ['fibre', 'radio'].map((kind) => ({ site, provider: kind, upMbps: 100, downMbps: 100, usdPerGb: kind === 'radio' ? 1 : 0, srlg: [`${kind} of ${site}`] }))),
    links: pairs.flatMap(([a, b]): Instance['links'] => [
      [2 * a, 2 * b, 10, 0.1, 0],
      [2 * a + 1, 2 * b + 1, 30, 0.1, 0],
    ]),
    demands: demands.map(([src, dst, mbps]) => ({ src, dst, cls: 0, p50: mbps, p95: mbps })),
  };
  change(instance);
  return instance;
}

/** Mbit/s by demand, rounded to thousandths. */
export function servedOf(instance: Instance, flows: readonly { demand: number; mbps: number }[]): number[] {
  return instance.demands.map((_, index) => Math.round(1000 * flows.reduce((sum, { demand, mbps }) => sum + (demand === index ? mbps : 0), 0)) / 1000);
}
