import { createRng, type Rng } from '../../base/index.ts';
import type { Instance } from './instance.ts';

/** Partners of a site; with few sites all of them. */
const PARTNERS = 12;
/** ms round trip: of an access, and from one end of the square to the other. */
const ACCESS_MS = 3;
const ACROSS_MS = 120;
/** Of what their uplinks hold, what all sites want together, and each at most. */
const LOAD = 0.4;
const MOST = 1.3;

/**
 * A made-up mesh that grows as real ones do, to see what planning costs at any size: sites on a square, those that relay with three
 * uplinks, others with two; each has twelve partners, the greater and nearer the likelier; a link joins uplinks of sites that are
 * partners or of which one relays; three classes. Equal arguments give an equal mesh.
 */
export function makeMesh(sites: number, seed: string): Instance {
  const rng = createRng(`mesh/${seed}/${sites}`);
  const relays = Math.max(2, Math.round(0.8 * Math.sqrt(sites)));
  const places = Array.from({ length: sites }, () => [rng.next(), rng.next()] as const);
  const masses = places.map((_, site) => Math.exp(rng.gaussian()) * (site < relays ? 5 : 1));
  const uplinks = places.flatMap((_, site) => uplinksOf(site, site < relays, rng.fork(`uplinks ${site}`)));
  const distanceMs = (one: number, other: number): number => ACROSS_MS * Math.hypot(places[one]![0] - places[other]![0], places[one]![1] - places[other]![1]);
  const pairs = partnersOf(masses, distanceMs, rng.fork('partners'));
  return {
    format: 'te-instance/1',
    relayMs: 1,
    classes: [
      { id: 'voice', priority: 0, maxRttMs: 150, maxLossPct: 1, minSecurity: 2, backup: true },
      { id: 'business', priority: 1, maxRttMs: 300, maxLossPct: 2, minSecurity: 1, backup: true },
      { id: 'bulk', priority: 2, maxRttMs: 2000, maxLossPct: 8, minSecurity: 1, backup: false },
    ],
    sites: places.map(([x], site) => ({ id: `s${site}`, region: x < 0.5 ? 'west' : 'east', relay: site < relays })),
    gateways: places.map((_, site) => ({ site, role: 'active', cryptoMbps: site < relays ? 20_000 : 1500, maxTunnels: site < relays ? Math.max(60, 2 * sites) : 60, security: site < relays || rng.next() < 0.95 ? 2 : 1 })),
    uplinks,
    links: linksOf(uplinks, pairs, relays, distanceMs, rng.fork('links')),
    demands: demandsOf(pairs, masses, uplinks, rng.fork('demands')),
  };
}

function uplinksOf(site: number, isRelay: boolean, rng: Rng): Instance['uplinks'] {
  return Array.from({ length: isRelay ? 3 : 2 }, (_, rank) => {
    const provider = `isp${rng.integer(8)}`;
    const mbps = [100, 200, 500, 1000][rng.integer(4)]! * (isRelay ? 10 : 1) * (rank === 0 ? 2 : 1);
    return { site, provider, upMbps: mbps, downMbps: mbps, usdPerGb: [0, 0.01, 0.09][rank]!, srlg: [`${provider} at ${site}`] };
  });
}

/** Pairs that want something from each other, [one, other] with one < other. */
function partnersOf(masses: readonly number[], distanceMs: (one: number, other: number) => number, rng: Rng): [number, number][] {
  const pairs = new Set<number>();
  for (const [site] of masses.entries()) {
    const draws = masses.map((mass, other) => (other === site ? -1 : (mass / Math.sqrt(10 + distanceMs(site, other))) * Math.exp(0.8 * rng.gaussian())));
    const chosen = [...masses.keys()].filter((other) => other !== site).sort((one, other) => draws[other]! - draws[one]! || one - other).slice(0, PARTNERS);
    for (const other of chosen) pairs.add(Math.min(site, other) * masses.length + Math.max(site, other));
  }
  return [...pairs].sort((one, other) => one - other).map((pair) => [Math.floor(pair / masses.length), pair % masses.length]);
}

function linksOf(uplinks: Instance['uplinks'], pairs: readonly [number, number][], relays: number, distanceMs: (one: number, other: number) => number, rng: Rng): Instance['links'] {
  const sites = uplinks.at(-1)!.site + 1;
  const bySite = Array.from({ length: sites }, (): number[] => []);
  for (const [uplink, { site }] of uplinks.entries()) bySite[site]!.push(uplink);
  const toRelays = Array.from({ length: relays }, (_, relay) => Array.from({ length: sites - relay - 1 }, (__, index): [number, number] => [relay, relay + 1 + index])).flat();
  return [...pairs.filter(([one]) => one >= relays), ...toRelays].flatMap(([one, other]) =>
    bySite[one]!.flatMap((a) =>
      bySite[other]!.map((b): Instance['links'][number] => [a, b, ACCESS_MS + distanceMs(one, other) * Math.exp(0.2 * rng.gaussian()), Math.min(8, 0.05 * Math.exp(rng.gaussian())), rng.next() < 0.15 ? Math.max(10, 0.5 * Math.min(uplinks[a]!.upMbps, uplinks[b]!.upMbps)) : 0]),
    ),
  );
}

function demandsOf(pairs: readonly [number, number][], masses: readonly number[], uplinks: Instance['uplinks'], rng: Rng): Instance['demands'] {
  const wanted = pairs.flatMap(([one, other]) => [[one, other], [other, one]].map(([src, dst]) => ({ src: src!, dst: dst!, size: Math.sqrt(masses[src!]! * masses[dst!]!) * Math.exp(0.6 * rng.gaussian()) })));
  const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);
  const holds = masses.map((_, site) => total(uplinks.filter((uplink) => uplink.site === site).map(({ upMbps }) => upMbps)));
  const scale = (LOAD * total(holds)) / Math.max(1e-9, total(wanted.map(({ size }) => size)));
  const sends = masses.map(() => 0);
  const gets = masses.map(() => 0);
  for (const { src, dst, size } of wanted) {
    sends[src]! += scale * size;
    gets[dst]! += scale * size;
  }
  const excess = holds.map((mbps, site) => Math.max(1, Math.max(sends[site]!, gets[site]!) / (MOST * mbps)));
  return wanted.flatMap(({ src, dst, size }) =>
    [0.1, 0.3, 0.6].flatMap((share, cls) => {
      const p95 = Math.max(0.05, ((scale * size) / Math.max(excess[src]!, excess[dst]!)) * share * Math.exp(0.4 * rng.gaussian()));
      return cls > 0 && rng.next() < 0.25 ? [] : [{ src, dst, cls, p50: p95 / (1 + Math.exp(0.4 * rng.gaussian() - 0.2)), p95 }];
    }),
  );
}
