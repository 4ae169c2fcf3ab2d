import { formatMbps } from '../../../base/index.ts';
import { await_, check, note, type Demo } from '../demo.ts';
import { columns } from '../screen.ts';
import { PEAK_PAIR } from '../settings.ts';

/** 3: real senders, counted by the agents per pair and class before there is any tunnel. */
export async function startTraffic(demo: Demo): Promise<void> {
  const { screen, world, senders } = demo;
  for (const spec of demo.senderSpecs) senders.set(spec.name, await world.startSender(spec));
  const expected = demo.senderSpecs.map((spec) => ({ key: `${spec.from}>${spec.to} ${spec.classId}`, spec }));
  const counted = await await_(demo, 'agents count what hosts want to send', 90_000, async () => {
    const demands = await observedDemands(demo);
    return expected.every(({ key }) => (demands.get(key) ?? 0) > 0.1) ? demands : null;
  });
  if (!counted) return;
  screen.evidence(
    columns(
      ['from', 'to', 'class', 'sent', 'counted by agent'],
      expected.map(({ key, spec }) => [
        spec.from,
        spec.to,
        spec.classId,
        spec.rate.kind === 'constant' ? formatMbps(spec.rate.mbps) : `day curve ${spec.rate.lowMbps}–${spec.rate.highMbps} Mbit/s`,
        formatMbps(counted.get(key) ?? 0),
      ]),
    ),
  );
  note(demo, 'demands', expected.length);
  check(demo, true, `${expected.length} demands counted at the gateways per site pair and traffic class; ${PEAK_PAIR.from} → ${PEAK_PAIR.to} follows the day (a day lasts 96 s here)`);
}

/** Mbit/s of the last slots by `from>to class`, as the engine has it. */
async function observedDemands(demo: Demo): Promise<Map<string, number>> {
  const text = await demo.engine.ask<string>('GET', '/metrics');
  const lines = [...text.matchAll(/^foremesh_demand_mbps\{([^}]*)\}\s+(\S+)/gm)];
  return new Map(
    lines.map(([, labels = '', value]) => {
      const label = (name: string): string => new RegExp(`${name}="([^"]*)"`).exec(labels)?.[1] ?? '';
      return [`${label('pair')} ${label('class')}`, Number(value)];
    }),
  );
}
