import type { Demo } from './demo.ts';
import { columns } from './screen.ts';

/** The figures that matter, in one table; the same on both networks. */
export async function showSummary(demo: Demo, elapsedMs: number): Promise<void> {
  const { screen, facts, world, repository } = demo;
  const fact = (name: string): number => Number(facts.get(name) ?? Number.NaN);
  const text = (name: string, unit: string, digits = 0): string => (facts.has(name) ? `${fact(name).toFixed(digits)}${unit}` : '-');
  await repository.git('fetch', '-q', 'origin');
  const commits = Number(await repository.git('rev-list', '--count', '--first-parent', 'origin/mesh/live'));
  const underlay = await world.underlay();
  screen.title('');
  screen.title(`Summary${world.kind === 'simulated' ? ' (simulated network)' : ''}`);
  screen.evidence(
    columns(
      ['what', 'measured'],
      [
        ['second path carried before the first was full', text('leadSeconds', ' s ahead', 1)],
        ['packets lost through that rise', `${text('peakLost', '')} of ${text('peakSent', '')}`],
        ['outage when a path was cut silently', text('outageMs', ' ms')],
        ['idle tunnel torn down after', text('idleSeconds', ' s', 1)],
        ['packets in clear text on the underlay, whole run', String(underlay.clearTextPackets)],
        ['ESP packets on the underlay, whole run', String(underlay.espPackets)],
        ['commits on mesh/live, every one signed by the engine or taken back by a person', String(commits)],
        ['vetoed changes that came back', text('revertReturned', '')],
        [world.kind === 'lab' ? 'time, installation not counted' : 'real time', `${(elapsedMs / 1000).toFixed(0)} s`],
      ],
    ),
  );
  if (demo.failures.length === 0) screen.holds('all ten steps hold');
  else for (const failure of demo.failures) screen.fails(failure);
}
