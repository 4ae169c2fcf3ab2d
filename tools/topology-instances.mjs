#!/usr/bin/env node
// Turns published topologies into planning instances (te-instance/1, docs/planning.md).
//   node tools/topology-instances.mjs --topologies FOLDER --out FOLDER [--load 1]
// FOLDER holds JSON files, in subfolders too, of { name, nodes: [{ id, lat, lon }], edges: [{ a, b, km }], demands?: { from: { to: amount } } },
// as converted from SNDlib and the Topology Zoo. Places, degrees and (where given) demands are real; everything else is drawn from a
// stream seeded by the name: two or three uplinks a site, providers, prices, loss, gateways. Round trips follow great-circle
// distance by the law measured between clouds (median 1.79 ms per 100 km). The best-connected tenth of the sites relay.
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from './bootstrap.mjs';

const { createRng } = await import(join(ROOT, 'dist/src/base/index.js'));

const CLASSES = [
  { id: 'rt', priority: 0, share: 0.1, maxRttMs: 300, maxLossPct: 1, minSecurity: 2, backup: true },
  { id: 'biz', priority: 1, share: 0.3, maxRttMs: 450, maxLossPct: 2, minSecurity: 1, backup: true },
  { id: 'bulk', priority: 2, share: 0.6, maxRttMs: 2000, maxLossPct: 8, minSecurity: 1, backup: false },
];

const { values: options } = parseArgs({ options: { topologies: { type: 'string' }, out: { type: 'string' }, load: { type: 'string', default: '1' } } });
if (options.topologies === undefined || options.out === undefined) {
  process.stderr.write('--topologies FOLDER and --out FOLDER are needed\n');
  process.exit(2);
}
mkdirSync(options.out, { recursive: true });
for (const file of readdirSync(options.topologies, { recursive: true }).filter((name) => name.endsWith('.json')).sort()) {
  const topology = JSON.parse(readFileSync(join(options.topologies, file), 'utf8'));
  if (!Array.isArray(topology.nodes) || topology.nodes.length < 2) continue;
  writeFileSync(join(options.out, file.replaceAll('/', '-')), JSON.stringify(instanceOf(topology, Number(options.load))));
}

function instanceOf({ name, nodes, edges, demands }, load) {
  const rng = createRng(`topology-${name}`);
  const index = new Map(nodes.map(({ id }, site) => [String(id), site]));
  const degree = nodes.map(() => 0);
  for (const { a, b } of edges) for (const end of [a, b]) degree[index.get(String(end))]++;
  const relays = new Set([...nodes.keys()].sort((one, other) => degree[other] - degree[one] || one - other).slice(0, Math.max(2, Math.round(nodes.length / 10))));
  const wanted = demands === undefined ? gravity(degree, rng) : matrixOf(demands, index, nodes.length);

  const sent = nodes.map((_, site) => wanted.reduce((sum, row, from) => sum + row.reduce((all, mbps, to) => all + (from === site || to === site ? mbps / 2 : 0), 0), 0));
  const scale = (load * 300) / Math.max(1e-9, median(sent.filter((mbps) => mbps > 0)));
  const uplinks = nodes.flatMap((_, site) =>
    Array.from({ length: relays.has(site) ? 3 : 2 }, (__, rank) => {
      const provider = `isp${rng.integer(6)}`;
      const mbps = [100, 200, 500, 1000][rng.integer(4)] * (relays.has(site) ? 5 : 1) * (rank === 0 ? 2 : 1);
      return { site, provider, upMbps: mbps, downMbps: mbps, usdPerGb: [0, 0.005, 0.09][rank], srlg: [`${provider}@${site}`] };
    }),
  );
  const links = [];
  for (const [a, one] of uplinks.entries()) {
    for (let b = a + 1; b < uplinks.length; b++) {
      const other = uplinks[b];
      if (one.site === other.site) continue;
      const rttMs = 3 + 0.0179 * kilometres(nodes[one.site], nodes[other.site]) * Math.exp(0.28 * rng.gaussian());
      links.push([a, b, round(rttMs), round(Math.min(8, 0.05 * Math.exp(1.1 * rng.gaussian()))), rng.next() < 0.15 ? Math.max(10, Math.round(0.5 * Math.min(one.upMbps, other.upMbps))) : 0]);
    }
  }
  const list = wanted.flatMap((row, src) =>
    row.flatMap((mbps, dst) =>
      mbps <= 0 ? [] : CLASSES.map(({ share }, cls) => {
        const p95 = Math.max(0.05, mbps * scale * share * Math.exp(0.4 * rng.gaussian()));
        return { src, dst, cls, p50: round(p95 / (1 + Math.exp(0.4 * rng.gaussian() - 0.2))), p95: round(p95) };
      }),
    ),
  );
  return {
    format: 'te-instance/1',
    name,
    relayMs: 1,
    classes: CLASSES,
    sites: nodes.map(({ id, lon }, site) => ({ id: String(id), region: lon < 0 ? 'west' : 'east', relay: relays.has(site) })),
    gateways: nodes.map((_, site) => ({ site, role: 'active', cryptoMbps: relays.has(site) ? 10000 : 1500, maxTunnels: relays.has(site) ? 2 * nodes.length : [20, 30, 50][rng.integer(3)], security: relays.has(site) || rng.next() < 0.9 ? 2 : 1 })),
    uplinks,
    links,
    demands: list,
  };
}

/** Demands by degree at both ends, for topologies that come without. */
function gravity(degree, rng) {
  const mass = degree.map((count) => (1 + count) * Math.exp(rng.gaussian()));
  return mass.map((from, src) => mass.map((to, dst) => (src === dst || rng.next() < 0.3 ? 0 : from * to)));
}

function matrixOf(demands, index, count) {
  const rows = Array.from({ length: count }, () => Array.from({ length: count }, () => 0));
  for (const [from, targets] of Object.entries(demands)) for (const [to, amount] of Object.entries(targets)) if (from !== to) rows[index.get(from)][index.get(to)] += amount;
  return rows;
}

function kilometres(one, other) {
  const [a, b, c, d] = [one.lat, one.lon, other.lat, other.lon].map((degrees) => (degrees * Math.PI) / 180);
  const half = Math.sin((c - a) / 2) ** 2 + Math.cos(a) * Math.cos(c) * Math.sin((d - b) / 2) ** 2;
  return 12742 * Math.asin(Math.sqrt(Math.min(1, half)));
}

function median(numbers) {
  return [...numbers].sort((one, other) => one - other)[Math.floor(numbers.length / 2)] ?? 1;
}

function round(value) {
  return Math.round(1000 * value) / 1000;
}
