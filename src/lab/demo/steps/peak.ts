import { cpus, loadavg } from 'node:os';
import { formatMbps } from '../../../base/index.ts';
import type { PathId } from '../../../model/index.ts';
import { awaitChange } from '../approval.ts';
import type { PeakWatch } from '../peak-watch.ts';
import { await_, check, note, pathInWords, planOf, tunnelsBetween, type Demo } from '../demo.ts';
import { PEAK_PAIR, DAY_MS } from '../settings.ts';

/** How many mornings count: a real machine that is short of CPU may be late for one; in virtual time nothing is. */
const MORNINGS = { lab: 2, simulated: 1 };

/** 5: the second path carries its share before the first one would have been full. */
export async function showPeak(demo: Demo): Promise<void> {
  const { screen, world, intent, peak } = demo;
  if (!peak) return check(demo, false, 'nobody watches the peak');
  const limit = firstPathLimit(demo);
  if (isRiseUnderWay(peak, limit)) await awaitEvening(demo, peak, limit, `the morning came before the mesh was up (${formatMbps(peak.currentMbps())} already)`);
  screen.say(`${PEAK_PAIR.from} → ${PEAK_PAIR.to} carries ${formatMbps(peak.currentMbps())} now and will want ${PEAK_PAIR.highMbps}; one path may carry ${formatMbps(limit)} (${intent.mesh.utilisationMax * 100} % of its uplink)`);
  for (let mornings = MORNINGS[world.kind]; ; mornings--) {
    const rise = await watchRise(demo, peak, limit);
    if (!rise) return;
    const isAhead = rise.leadSeconds > 0 && rise.lost === 0;
    if (isAhead || mornings === 1) return judgeRise(demo, rise);
    await awaitEvening(demo, peak, limit, `late: ${rise.leadSeconds.toFixed(1)} s ahead, ${rise.lost} of ${rise.sent} packets lost`);
  }
}

interface Rise {
  /** From the second path's first packets until the pair passed what the first may carry; above 0: ahead of it. */
  leadSeconds: number;
  exceededAt: number;
  lost: number;
  sent: number;
}

/** Waits for a rise and shows what came of it; null when none came. */
async function watchRise(demo: Demo, peak: PeakWatch, limit: number): Promise<Rise | null> {
  const { screen, engine, world } = demo;
  const sender = demo.senders.get('reports');
  if (peak.episode() === null) await sender?.reset(); // what counts is the rise, not how the mesh came up
  const seen = await awaitChange(demo, 'the morning rise', DAY_MS * 2.2, async () => {
    screen.busy(`${formatMbps(peak.currentMbps())}, ${peak.episode() ? 'second path carries' : 'one path'}`);
    const episode = peak.episode();
    return episode?.exceededAt ? episode : null;
  });
  if (!seen?.exceededAt) return null;
  await world.pass(600);
  const { lost, sent } = await sender!.report();
  const tunnels = tunnelsBetween(planOf(await engine.plan()), PEAK_PAIR.from, PEAK_PAIR.to);
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
  return { leadSeconds, exceededAt: seen.exceededAt, lost, sent };
}

async function judgeRise(demo: Demo, { leadSeconds, exceededAt, lost, sent }: Rise): Promise<void> {
  note(demo, 'leadSeconds', leadSeconds);
  note(demo, 'peakLost', lost);
  note(demo, 'peakSent', sent);
  if (leadSeconds <= 0) demo.screen.evidence(await whatWasPlanned(demo, exceededAt));
  check(demo, leadSeconds > 0, `lead time ${leadSeconds.toFixed(1)} s: the tunnel carried traffic so long before it was needed`);
  const dropped = lost === 0 ? '' : ` (the WAN dropped ${await droppedOnPair(demo)} of the pair's packets since the start)`;
  check(demo, lost === 0, `${lost} of ${sent} packets lost through the rise${dropped}`);
}

/** True when the morning came before the mesh was ready for it, as it does on a machine that is short of CPU. */
function isRiseUnderWay(peak: PeakWatch, limitMbps: number): boolean {
  const episode = peak.episode();
  if (episode) return episode.exceededAt !== null && episode.exceededAt <= episode.carriesAt;
  return peak.currentMbps() > limitMbps / 2;
}

/** @param why  this morning does not count */
async function awaitEvening(demo: Demo, peak: PeakWatch, limitMbps: number, why: string): Promise<void> {
  const busy = demo.world.kind === 'lab' ? `, load ${loadavg()[0]!.toFixed(0)} on ${cpus().length} cores` : '';
  demo.screen.say(`${why}${busy}: watched is the next morning, in less than ${DAY_MS / 1000} s`);
  await await_(demo, 'the evening', DAY_MS, async () => peak.currentMbps() < limitMbps / 2);
  peak.restart();
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
