import { formatMbps } from '../../../base/index.ts';
import type { PathId } from '../../../model/index.ts';
import { await_, check, note, pathInWords, planOf, tunnelsBetween, type Demo } from '../demo.ts';
import { PEAK_PAIR, DAY_MS } from '../settings.ts';

/** 5: the second path carries its share before the first one would have been full. */
export async function showPeak(demo: Demo): Promise<void> {
  const { screen, engine, world, intent, peak } = demo;
  if (!peak) return check(demo, false, 'nobody watches the peak');
  const limit = firstPathLimit(demo);
  if (peak.episode() === null) await demo.senders.get('reports')?.reset(); // what counts is the rise, not how the mesh came up
  screen.say(`${PEAK_PAIR.from} → ${PEAK_PAIR.to} carries ${formatMbps(peak.currentMbps())} now and will want ${PEAK_PAIR.highMbps}; one path may carry ${formatMbps(limit)} (${intent.mesh.utilisationMax * 100} % of its uplink)`);
  const seen = await await_(demo, 'the morning rise', DAY_MS * 2.2, async () => {
    screen.busy(`${formatMbps(peak.currentMbps())}, ${peak.episode() ? 'second path carries' : 'one path'}`);
    const episode = peak.episode();
    return episode?.exceededAt ? episode : null;
  });
  if (!seen?.exceededAt) return;
  const sender = demo.senders.get('reports');
  await world.pass(600);
  const report = await sender!.report();
  const plan = planOf(await engine.plan());
  const tunnels = tunnelsBetween(plan, PEAK_PAIR.from, PEAK_PAIR.to);
  const { report: planReport } = await engine.plan();
  const reason = planReport?.tunnels.find(({ path }) => path === seen.secondPath)?.reason;
  const leadSeconds = (seen.exceededAt - seen.carriesAt) / 1000;
  screen.say(`second path: ${pathInWords(seen.secondPath)}${reason ? ` — ${reason}` : ''}`);
  screen.evidence(
    [
      `t = 0.0 s    ESP of the pair on the second path: it carries`,
      `t = ${leadSeconds.toFixed(1)} s    the pair passes ${formatMbps(limit)}: the first path alone would have been over its limit`,
      `peak ${formatMbps(seen.peakMbps)}, of it ${formatMbps(seen.secondPathMbps)} on the second path; ${tunnels.length} tunnels stand between the two sites`,
    ].join('\n'),
  );
  note(demo, 'leadSeconds', leadSeconds);
  note(demo, 'peakLost', report.lost);
  note(demo, 'peakSent', report.sent);
  if (leadSeconds <= 0) screen.evidence(await whatWasPlanned(demo, seen.exceededAt));
  check(demo, leadSeconds > 0, `lead time ${leadSeconds.toFixed(1)} s: the tunnel carried traffic so long before it was needed`);
  const dropped = report.lost === 0 ? '' : ` (the WAN dropped ${await droppedOnPair(demo)} of the pair's packets since the start)`;
  check(demo, report.lost === 0, `${report.lost} of ${report.sent} packets lost through the rise${dropped}`);
}

/** For a rise that came too early for the plan: what was committed when, and what was foreseen. */
async function whatWasPlanned({ repository, engine }: Demo, exceededAt: number): Promise<string> {
  await repository.git('fetch', '-q', 'origin');
  const commits = await repository.git('log', '-12', '--format=%ct %s', 'origin/mesh/live');
  const lines = commits.split('\n').map((line) => `${(Number(line.split(' ')[0]) - exceededAt / 1000).toFixed(0)} s  ${line.slice(line.indexOf(' ') + 1)}`);
  const { forecasts } = await engine.forecasts();
  const foreseen = forecasts.filter(({ pair }) => pair === `${PEAK_PAIR.from}>${PEAK_PAIR.to}`).map(({ classId, p90PeakMbps, peakAt }) => `foreseen: ${classId} P90 ${formatMbps(p90PeakMbps)} at ${peakAt}`);
  return [...lines, ...foreseen].join('\n');
}

async function droppedOnPair({ world }: Demo): Promise<number> {
  const { paths } = await world.underlay();
  const isOnPair = (path: PathId): boolean => [PEAK_PAIR.from, PEAK_PAIR.to].every((site) => path.includes(`${site}-gw`));
  return paths.filter(({ path }) => isOnPair(path)).reduce((sum, { droppedPackets }) => sum + droppedPackets, 0);
}

/** What the first path may carry: the narrower of its two uplinks, times the planned utilisation. */
export function firstPathLimit(demo: Pick<Demo, 'intent'>): number {
  const { intent } = demo;
  const rates = [PEAK_PAIR.from, PEAK_PAIR.to].map((site) => Math.max(...(intent.sites.find(({ id }) => id === site)?.nodes[0]?.uplinks.map(({ upMbps, downMbps }) => Math.min(upMbps, downMbps)) ?? [0])));
  return Math.min(...rates) * intent.mesh.utilisationMax;
}
