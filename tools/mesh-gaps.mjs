// How far the engine's plans are from the best possible, on made-up meshes with more demand than they can carry: proven by the
// certificate in each plan's report. `--out` writes the planning problems with their plans, for a checker that shares nothing with us.
//   node tools/mesh-gaps.mjs [--sites 5,10,20] [--seeds 1-3] [--load 1] [--slots 12] [--out FOLDER]
// Needs dist/ (npm run build).
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { makeInputs, NOW } from './made-mesh.mjs';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const { createRng } = await import(join(ROOT, 'dist/src/base/index.js'));
const { exportInstance, plan, PLANNER_SETTINGS } = await import(join(ROOT, 'dist/src/planner/index.js'));
const GUIDED_FROM = PLANNER_SETTINGS.guidedGapMinPct;

const { values: options } = parseArgs({
  options: { sites: { type: 'string', default: '5,10,20' }, seeds: { type: 'string', default: '1-3' }, load: { type: 'string', default: '1' }, slots: { type: 'string', default: '12' }, out: { type: 'string' } },
});
const [first, last = first] = options.seeds.split('-').map(Number);
if (options.out) mkdirSync(options.out, { recursive: true });
console.log('sites seed demands | tunnels served % gap % next gap % changed cpu-ms | guided: the same | bound %');
for (const sites of options.sites.split(',').map(Number)) {
  for (let seed = first; seed <= last; seed++) {
    const inputs = makeInputs(createRng, { sites, seed, load: Number(options.load), slots: Number(options.slots) });
    const { wanted, bound } = plan(inputs).report.certificate;
    const cells = [Infinity, GUIDED_FROM].map((gapMinPct) => {
      PLANNER_SETTINGS.guidedGapMinPct = gapMinPct;
      return figures(inputs, seed, wanted);
    });
    console.log([[sites, seed, inputs.forecast.demands.length].join(' '), ...cells, ((100 * bound) / wanted).toFixed(2)].join(' | '));
    if (options.out) writeFileSync(join(options.out, `mesh-${sites}-${seed}.json`), JSON.stringify(exportInstance(inputs)));
  }
}

/** From nothing, then an hour later with 10 % noise. */
function figures(inputs, seed, wanted) {
  const before = process.cpuUsage();
  const made = plan(inputs);
  const ms = process.cpuUsage(before).user / 1000;
  const next = plan(withNoise({ ...inputs, previous: made.plan, now: NOW + 3_600_000 }, seed));
  const kept = new Set(made.plan.tunnels.map(({ id }) => id));
  const stayed = next.plan.tunnels.filter(({ id }) => kept.has(id)).length;
  const again = plan({ ...inputs, previous: made.plan, now: NOW + 60_000 }).plan;
  const isSame = isDeepStrictEqual(again, made.plan);
  const { worth, provenGapPct } = made.report.certificate;
  return [made.plan.tunnels.length, ((100 * worth) / wanted).toFixed(2), provenGapPct.toFixed(3), next.report.certificate.provenGapPct.toFixed(3), made.plan.tunnels.length + next.plan.tunnels.length - 2 * stayed, ms.toFixed(0), isSame ? '' : '(planned again: other)'].join(' ');
}

function withNoise(inputs, seed) {
  const rng = createRng(`noise-${seed}`);
  const demands = inputs.forecast.demands.map((demand) => {
    const factor = Math.exp(0.1 * rng.gaussian());
    return { ...demand, slots: demand.slots.map((slot, index) => ({ startAt: inputs.now + index * 900_000, p50: slot.p50 * factor, p90: slot.p90 * factor, p95: slot.p95 * factor })) };
  });
  return { ...inputs, forecast: { ...inputs.forecast, demands } };
}
