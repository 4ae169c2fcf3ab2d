#!/usr/bin/env node
// Writes made-up tables of demands in unusual sizes, as `foremesh bench forecast --data` reads them: to see that forecasts hold for them too.
//   node tools/demand-tables.mjs --kind many-pairs --out FILE.csv[.gz] [--seed text]
//   node tools/demand-tables.mjs --list
// Demands are generateHistory's (day curve, quieter weekends, AR(1) noise, bursts, trend); the same arguments give the same bytes. Needs a build.
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { createGzip } from 'node:zlib';
import { ROOT } from './bootstrap.mjs';

const { createRng } = await import(join(ROOT, 'dist/src/base/index.js'));
const { generateHistory } = await import(join(ROOT, 'dist/src/forecast/index.js'));

const MINUTE_MS = 60_000;
const END_AT = Date.UTC(2026, 5, 1);

/** Pairs, days and step of each table; `change` spoils a cell's value, null makes it unknown. */
const KINDS = {
  'two-pairs': { pairs: 2, days: 28, stepMs: 15 * MINUTE_MS },
  'many-pairs': { pairs: 5000, days: 14, stepMs: 15 * MINUTE_MS },
  'as-abilene': { pairs: 132, days: 167, stepMs: 5 * MINUTE_MS },
  'as-geant': { pairs: 462, days: 119.375, stepMs: 15 * MINUTE_MS },
  year: { pairs: 12, days: 365, stepMs: 5 * MINUTE_MS },
  minute: { pairs: 20, days: 7, stepMs: MINUTE_MS },
  hour: { pairs: 30, days: 120, stepMs: 60 * MINUTE_MS },
  'one-day': { pairs: 30, days: 1, stepMs: 5 * MINUTE_MS },
  'two-days': { pairs: 30, days: 2, stepMs: 5 * MINUTE_MS },
  gaps: { pairs: 30, days: 28, stepMs: 15 * MINUTE_MS, withGaps: 0.2 },
  'some-zeros': { pairs: 30, days: 21, stepMs: 15 * MINUTE_MS, change: (value, pair) => (pair % 3 === 0 ? 0 : value) },
  'all-zeros': { pairs: 30, days: 14, stepMs: 15 * MINUTE_MS, change: () => 0 },
  constant: { pairs: 30, days: 14, stepMs: 15 * MINUTE_MS, change: (_, pair) => pair + 1 },
  // Latency and loss of each pair's way beside it; demand gives way half an hour later, or has nothing to do with them.
  'path-backoff': { pairs: 20, days: 28, stepMs: 15 * MINUTE_MS, withWays: true, backOff: 0.7 },
  'path-unrelated': { pairs: 20, days: 28, stepMs: 15 * MINUTE_MS, withWays: true, backOff: 0 },
  bursts: { pairs: 30, days: 14, stepMs: 15 * MINUTE_MS, history: { weekendFactor: 1, noiseRatio: 0.4, burstsPerDay: 16 }, isFlat: true },
};

const { values: options } = parseArgs({ options: { kind: { type: 'string' }, out: { type: 'string' }, seed: { type: 'string', default: 'tables' }, list: { type: 'boolean', default: false } } });
if (options.list) {
  for (const [name, { pairs, days, stepMs }] of Object.entries(KINDS)) process.stdout.write(`${name}\t${pairs} pairs, ${days} days, every ${stepMs / MINUTE_MS} min\n`);
} else if (options.kind in KINDS && options.out !== undefined) {
  const lines = Readable.from(linesOf(KINDS[options.kind], createRng(options.seed).fork(options.kind)));
  const file = createWriteStream(options.out);
  await (options.out.endsWith('.gz') ? pipeline(lines, createGzip(), file) : pipeline(lines, file));
} else {
  process.stderr.write(`--kind ${Object.keys(KINDS).join('|')} and --out FILE are needed\n`);
  process.exitCode = 2;
}

function* linesOf({ pairs, days, stepMs, change, withGaps = 0, history = {}, isFlat = false, withWays = false, backOff = 0 }, rng) {
  const series = generateHistory({ demands: demandsOf(pairs, isFlat, rng.fork('levels')), slotMs: stepMs, slotsPerDay: (24 * 60 * MINUTE_MS) / stepMs, days, endAt: END_AT, seed: options.seed, ...history });
  const slots = series[0].mbps.length;
  const gaps = series.map((_, pair) => gapsOf(slots, withGaps, rng.fork(`gaps/${pair}`)));
  const names = series.map(({ from, to }) => `${from}>${to}`);
  const ways = withWays ? names.map((name) => wayOf(slots, rng.fork(`way/${name}`))) : [];
  const sides = ways.length > 0 ? names.flatMap((name) => [`latencyMs:${name}`, `lossRatio:${name}`]) : [];
  yield `timestamp,${[...names, ...sides].join(',')}\n`;
  for (let slot = 0; slot < slots; slot++) {
    const kept = (pair) => 1 - backOff * (ways[pair]?.strain[slot - 2] ?? 0);
    const cells = series.map(({ mbps }, pair) => (gaps[pair][slot] ? '' : Number((change?.(mbps[slot], pair) ?? kept(pair) * mbps[slot]).toPrecision(6))));
    const figures = ways.flatMap(({ latencyMs, lossRatio }) => [latencyMs[slot].toFixed(2), lossRatio[slot].toFixed(5)]);
    yield `${new Date(END_AT - (slots - slot) * stepMs).toISOString()},${[...cells, ...figures].join(',')}\n`;
  }
}

/** Pairs of as few nodes as give so many; levels over two powers of ten. */
function demandsOf(pairs, isFlat, rng) {
  const nodes = Math.ceil((1 + Math.sqrt(1 + 4 * pairs)) / 2);
  const all = Array.from({ length: nodes * nodes }, (_, at) => [Math.floor(at / nodes), at % nodes]).filter(([from, to]) => from !== to);
  return all.slice(0, pairs).map(([from, to]) => {
    const peakMbps = 10 ** (3 * rng.next());
    return { from: `n${from}`, to: `n${to}`, classId: 'all', baseMbps: peakMbps * (isFlat ? 1 : 0.1 + 0.3 * rng.next()), peakMbps };
  });
}

/**
 * A way that is strained about once a day: over one to two hours its latency rises, then its loss, for one to four hours
 * more, and it eases off. Latency also changes for hours without any strain, as when a provider routes otherwise.
 */
function wayOf(slots, rng) {
  const strain = new Float64Array(slots);
  const detour = new Float64Array(slots).fill(1);
  for (let slot = rng.integer(96); slot < slots; slot += 48 + rng.integer(96)) {
    const [rise, hold, peak] = [4 + rng.integer(5), 4 + rng.integer(13), 0.4 + 0.6 * rng.next()];
    for (let at = 0; at < rise + hold + 2 && slot + at < slots; at++) strain[slot + at] = peak * Math.min(1, (at + 1) / rise, (rise + hold + 2 - at) / 3);
  }
  for (let slot = rng.integer(200); slot < slots; slot += 100 + rng.integer(300)) detour.fill(1.1 + 0.4 * rng.next(), slot, slot + 8 + rng.integer(40));
  const base = 8 + 60 * rng.next();
  return {
    strain,
    latencyMs: strain.map((value, slot) => base * detour[slot] * (1 + 0.8 * value) * (1 + 0.03 * Math.abs(rng.gaussian()))),
    lossRatio: strain.map((value) => Math.max(0, 0.0003 * Math.abs(rng.gaussian()) + 0.06 * Math.max(0, value - 0.3) ** 2)),
  };
}

/** Half of what is unknown are single slots, half runs of 2 to 50. */
function gapsOf(slots, share, rng) {
  const gaps = new Uint8Array(slots);
  if (share === 0) return gaps;
  for (let slot = 0; slot < slots; slot++) {
    if (rng.next() < share / 2) gaps[slot] = 1;
    if (rng.next() < share / 2 / 26) gaps.fill(1, slot, slot + 2 + rng.integer(49));
  }
  return gaps;
}
