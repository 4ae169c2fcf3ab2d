#!/usr/bin/env node
// Runs the optimising core over many instances, has an independent checker judge every plan, and prints the table of figures.
//   node tools/planner-figures.mjs --checker DIR [--sites 10,30,100] [--seeds 1-4] [--tunnels 1] [--load 1] [--bounds] [--mip] [--cycles 10]
//   node tools/planner-figures.mjs --checker DIR --instances FOLDER      (files te-instance/1, as tools/topology-instances.mjs writes them)
// DIR holds te_gen.py and te_reference.py (python3 with numpy and highspy). --bounds solves the LPs beside it, with and without medians
// first; --mip the MIP, at 10 sites. Needs a build (`npm run build`). One line an instance on stderr, the table on stdout.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from './bootstrap.mjs';
import { backupFigures } from './planner-figures-backups.mjs';

const { createRng } = await import(join(ROOT, 'dist/src/base/index.js'));
const { planInstance, readInstance, regain, repairAfterFailure, replan } = await import(join(ROOT, 'dist/src/planner/index.js'));

const { values: options } = parseArgs({
  options: {
    checker: { type: 'string' },
    sites: { type: 'string', default: '10,30,100' },
    seeds: { type: 'string', default: '1-4' },
    tunnels: { type: 'string', default: '1' },
    load: { type: 'string', default: '1' },
    instances: { type: 'string' },
    cycles: { type: 'string', default: '3' },
    bounds: { type: 'boolean', default: false },
    mip: { type: 'boolean', default: false },
  },
});
if (options.checker === undefined) {
  process.stderr.write('--checker DIR is needed: the folder of te_gen.py and te_reference.py\n');
  process.exit(2);
}
const folder = mkdtempSync(join(tmpdir(), 'foremesh-planner-'));
const groups = new Map();
try {
  for (const { group, name, text } of instances()) {
    const row = figuresOf(JSON.parse(text), name);
    groups.set(group, [...(groups.get(group) ?? []), row]);
    process.stderr.write(`${name}: ${Object.entries(row).map(([key, value]) => `${key} ${format(value)}`).join(', ')}\n`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
printTable();

function* instances() {
  if (options.instances !== undefined) {
    for (const file of readdirSync(options.instances).filter((name) => name.endsWith('.json')).sort()) yield { group: 'files', name: file, text: readFileSync(join(options.instances, file), 'utf8') };
    return;
  }
  const [first, last = first] = options.seeds.split('-').map(Number);
  for (const sites of options.sites.split(',')) {
    for (const tunnels of options.tunnels.split(',')) {
      for (let seed = first; seed <= last; seed++) yield { group: `${sites} sites, tunnels × ${tunnels}, load × ${options.load}`, name: `${sites}-${seed}`, text: python('te_gen.py', ['--sites', sites, '--seed', String(seed), '--tunnels', tunnels, '--load', options.load]).text };
    }
  }
}

function figuresOf(value, name) {
  const instance = readInstance(value);
  const sweeps = sweepsFor(instance);
  const row = { name };
  const startedMs = performance.now();
  const cold = planInstance(instance, { sweeps });
  row.coldSeconds = (performance.now() - startedMs) / 1000;
  row.gapPct = cold.certificate.provenGapPct;
  const report = check(instance, cold.plan);
  row.broken = report.errors.length;
  row.checkerGapPct = report.certGapPct;
  const backups = backupFigures(instance, cold.plan);
  row.protectedPct = backups.possible === 0 ? undefined : (100 * report.backupDisjoint) / backups.possible;
  row.reservePct = backups.reservePct;
  if (options.bounds) Object.assign(row, besideBounds(instance, report));
  if (options.mip) Object.assign(row, besideMip(instance, report, backups));
  Object.assign(row, cyclesOf(instance, cold, Math.ceil(0.4 * sweeps)), swings(instance, Math.ceil(0.4 * sweeps), cold.plan), failureOf(instance, cold.standing));
  return row;
}

function besideBounds(instance, report) {
  const file = write('instance.json', instance);
  const strict = python('te_reference.py', ['solve', file, '--mode', 'priority,cost', '--time', '300']).json;
  const floor = python('te_reference.py', ['solve', file, '--mode', 'priority,cost', '--floor', '--time', '300']).json;
  const classes = instance.classes.map((_, cls) => cls);
  const p50 = (cls) => instance.demands.reduce((sum, demand) => sum + (demand.cls === cls ? demand.p50 : 0), 0);
  const share = (part, whole) => (whole > 0 ? (100 * part) / whole : 100);
  return {
    throughputPct: Math.min(...classes.map((cls) => share(report.throughputMbps[cls], strict.priority[cls].boundMbps))),
    throughputMediansFirstPct: Math.min(...classes.map((cls) => share(report.throughputMbps[cls], floor.priority[2 * cls].boundMbps + floor.priority[2 * cls + 1].boundMbps))),
    medianPct: Math.min(...classes.map((cls) => share(report.floorServed[cls] * p50(cls), floor.priority[2 * cls].boundMbps))),
    money: floor.cost?.boundUsdPerHour > 0 ? report.usdPerHour / floor.cost.boundUsdPerHour : undefined,
    moneyStrict: strict.cost?.boundUsdPerHour > 0 ? report.usdPerHour / strict.cost.boundUsdPerHour : undefined,
  };
}

/** The objective of the MIP, of our plan: weighted throughput + 5 a protected pair and class − 0.001 a tunnel. */
function besideMip(instance, report, backups) {
  const mip = python('te_reference.py', ['mip', write('instance.json', instance), '--time', '60']).json;
  const objective = report.weighted + 5 * backups.pairsSetUp - 0.001 * report.tunnels;
  return { mipPct: (100 * objective) / mip.mipObjective, mipProtectedPct: mip.protected > 0 ? (100 * backups.pairsSetUp) / mip.protected : undefined };
}

/** Plans from the plan before with 10 % noise on each demand; what is lost is beside a plan from nothing. */
function cyclesOf(instance, cold, sweeps) {
  const rng = createRng(`figures-${instance.demands.length}`);
  const churn = [];
  const lost = [];
  const seconds = [];
  let before = cold.plan;
  let broken = 0;
  for (let cycle = 0; cycle < Number(options.cycles); cycle++) {
    const noisy = noise(instance, rng);
    const startedMs = performance.now();
    const { plan } = planInstance(noisy, { sweeps, previousPlan: before });
    seconds.push((performance.now() - startedMs) / 1000);
    const report = check(noisy, plan, before);
    broken += report.errors.length;
    churn.push(100 * report.churn.share);
    if (cycle % 3 === 0) lost.push(100 * (1 - total(plan) / total(planInstance(noisy, { sweeps: 2.5 * sweeps }).plan)));
    before = plan;
  }
  return { warmSeconds: median(seconds), warmBroken: broken, churnPct: mean(churn), churnMostPct: Math.max(...churn), noiseLostPct: Math.max(...lost) };
}

/** A-B-A-B for ten cycles, B with 10 % noise: how often the tunnel that changes most is opened or closed, after its first change. */
function swings(instance, sweeps, plan) {
  const other = noise(instance, createRng('swing'));
  const changes = new Map();
  let before = plan;
  for (let cycle = 0; cycle < 10; cycle++) {
    const next = planInstance(cycle % 2 === 0 ? other : instance, { sweeps, previousPlan: before }).plan;
    const [old, now] = [new Set(before.tunnels), new Set(next.tunnels)];
    for (const link of new Set([...old, ...now])) if (old.has(link) !== now.has(link)) changes.set(link, 1 + (changes.get(link) ?? 0));
    before = next;
  }
  return { flaps: Math.max(0, ...[...changes.values()].map((count) => count - 1)) };
}

/** The busiest uplink dies: the repair, the first plan after it, and the full one that goes on from there. */
function failureOf(instance, standing) {
  const carried = new Float64Array(instance.uplinks.length);
  for (const { links, mbps } of standing.plan.flows) for (const link of links) for (const uplink of instance.links[link].slice(0, 2)) carried[uplink] += mbps;
  const busiest = [...carried.keys()].sort((one, two) => carried[two] - carried[one])[0];
  const left = structuredClone(standing);
  const startedMs = performance.now();
  const repair = repairAfterFailure(left, [busiest]);
  const repairedMs = performance.now();
  const first = regain(left, repair);
  const backMs = performance.now();
  const { plan } = replan(first.standing, 4);
  const doneMs = performance.now();
  const failed = { ...instance, uplinks: instance.uplinks.map((uplink, index) => (index === busiest ? { ...uplink, upMbps: 0, downMbps: 0 } : uplink)) };
  const best = planInstance(failed, { sweeps: sweepsFor(instance) }).certificate.bound;
  const [back, full] = [check(failed, first.plan), check(failed, plan)];
  return {
    repairMs: repairedMs - startedMs,
    backSeconds: (backMs - startedMs) / 1000,
    backGapPct: 100 * (1 - back.weighted / best),
    backProvenGapPct: first.certificate.provenGapPct,
    backBroken: back.errors.length,
    replanSeconds: (doneMs - backMs) / 1000,
    failedGapPct: 100 * (1 - full.weighted / best),
    failedBroken: full.errors.length,
  };
}

/** As `foremesh bench planner` does without a limit. */
function sweepsFor({ demands }) {
  return demands.length < 3000 ? 60 : Math.min(24, Math.max(6, Math.floor(1_000_000 / demands.length)));
}

function noise(instance, rng) {
  const demands = instance.demands.map((demand) => {
    const factor = Math.exp(0.1 * rng.gaussian());
    return { ...demand, p50: demand.p50 * factor, p95: demand.p95 * factor };
  });
  return { ...instance, demands };
}

function check(instance, plan, before) {
  const extra = before === undefined ? [] : ['--prev', write('before.json', before)];
  return python('te_reference.py', ['check', write('instance.json', instance), write('plan.json', plan), ...extra]).json;
}

function python(script, args) {
  const { stdout, stderr, error } = spawnSync('python3', [join(options.checker, script), ...args], { encoding: 'utf8', maxBuffer: 2 ** 30 });
  if (error !== undefined || stdout === '') throw new Error(`${script} ${args.join(' ')}: ${error?.message ?? stderr}`);
  return {
    text: stdout,
    get json() {
      // the solver may print its banner first; NaN and Infinity are Python's, not JSON's
      return JSON.parse(stdout.slice(stdout.indexOf('{')).replace(/-?\b(NaN|Infinity)\b/g, 'null'));
    },
  };
}

function write(name, value) {
  writeFileSync(join(folder, name), JSON.stringify(value));
  return join(folder, name);
}

/** A row a group: the worst of every figure (the sum of what is broken, the mean of seconds and churn). */
function printTable() {
  const keys = [...new Set([...groups.values()].flat().flatMap(Object.keys))].filter((key) => key !== 'name');
  const least = /^(throughput|median|protected|reserve|mip)/;
  const rows = [...groups].map(([group, list]) => {
    const cell = (key) => {
      const numbers = list.map((row) => row[key]).filter((value) => value !== undefined && value !== null);
      if (numbers.length === 0) return '';
      if (key.toLowerCase().endsWith('broken')) return String(numbers.reduce((sum, value) => sum + value, 0));
      if (/Seconds$|Ms$|^churnPct$/.test(key)) return format(mean(numbers));
      return format(least.test(key) ? Math.min(...numbers) : Math.max(...numbers));
    };
    return `| ${group} (${list.length}) | ${keys.map(cell).join(' | ')} |`;
  });
  process.stdout.write([`| instances | ${keys.join(' | ')} |`, `|---|${keys.map(() => '---').join('|')}|`, ...rows, ''].join('\n'));
}

function format(value) {
  return typeof value === 'number' ? (Number.isInteger(value) ? String(value) : value.toFixed(value < 10 ? 3 : 2)) : String(value);
}

function total(plan) {
  return plan.flows.reduce((sum, { mbps }) => sum + mbps, 0);
}

function mean(numbers) {
  return numbers.reduce((sum, value) => sum + value, 0) / Math.max(1, numbers.length);
}

function median(numbers) {
  return [...numbers].sort((one, other) => one - other)[Math.floor(numbers.length / 2)];
}
