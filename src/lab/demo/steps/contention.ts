import type { Plan } from '../../../model/index.ts';
import { awaitChange } from '../approval.ts';
import { await_, check, isApplied, note, pathInWords, planOf, tunnelsBetween, type Demo } from '../demo.ts';
import { HIGH_PAIR, IDLE_PAIR, LATE_SENDER, LOW_PAIR } from '../settings.ts';

/** 8: what nobody uses goes; what matters less gives way when a gateway is full. */
export async function showContention(demo: Demo): Promise<void> {
  await showIdle(demo);
  await showGiveWay(demo);
}

async function showIdle(demo: Demo): Promise<void> {
  const { screen, engine, senders, world, intent } = demo;
  const before = planOf(await engine.plan());
  const idle = tunnelsBetween(before, IDLE_PAIR.from, IDLE_PAIR.to);
  if (idle.length === 0) return check(demo, false, `${IDLE_PAIR.from} – ${IDLE_PAIR.to} has no tunnel that could fall idle`);
  await senders.get('archive')?.stop();
  const stoppedAt = world.clock.now();
  screen.say(`the archive run ${IDLE_PAIR.from} → ${IDLE_PAIR.to} ends; its tunnel may be idle for ${intent.mesh.idleTimeoutMs / 1000} s`);
  const gone = await awaitChange(demo, 'the idle tunnel is torn down', 180_000, async () => {
    const answer = await engine.plan();
    return tunnelsBetween(planOf(answer), IDLE_PAIR.from, IDLE_PAIR.to).length === 0 && (await isApplied(demo, answer.generation ?? 0)) ? answer : null;
  });
  if (!gone) return;
  const unlisted = await await_(demo, 'charon no longer lists it', 45_000, async () => !(await world.listSas(idle[0]!.a.node)).some(({ tunnel }) => idle.some(({ id }) => id === tunnel)));
  const tookMs = world.clock.now() - stoppedAt;
  screen.evidence(idle.map((tunnel) => `- ${pathInWords(tunnel.path)}`).join('\n'));
  note(demo, 'idleSeconds', tookMs / 1000);
  check(demo, tookMs >= intent.mesh.idleTimeoutMs && unlisted === true, `torn down ${(tookMs / 1000).toFixed(1)} s after the last packet; charon no longer lists it`);
}

async function showGiveWay(demo: Demo): Promise<void> {
  const { screen, engine, senders, world, intent } = demo;
  const node = intent.sites.find(({ id }) => id === HIGH_PAIR.from)?.nodes[0];
  const before = planOf(await engine.plan());
  const held = tunnelsAt(before, HIGH_PAIR.from);
  screen.say(`${node?.id} may hold ${node?.tunnelsMax} tunnels and holds ${held.length}, one of them for bulk traffic to ${LOW_PAIR.to}; now a voice call starts ${HIGH_PAIR.from} → ${HIGH_PAIR.to}, directly or not at all`);
  const hotline = await world.startSender(LATE_SENDER);
  senders.set(LATE_SENDER.name, hotline);
  const taken = await awaitChange(demo, 'the low-priority tunnel gives way', 120_000, async () => {
    const answer = await engine.plan();
    const plan = planOf(answer);
    return tunnelsBetween(plan, HIGH_PAIR.from, HIGH_PAIR.to).length > 0 && (await isApplied(demo, answer.generation ?? 0)) ? answer : null;
  });
  if (!taken) return;
  const after = planOf(taken);
  const lost = held.filter(({ id }) => !after.tunnels.some((tunnel) => tunnel.id === id));
  const isTheLesser = lost.length > 0 && lost.every(({ a, b }) => a.site === LOW_PAIR.to || b.site === LOW_PAIR.to);
  const won = tunnelsAt(after, HIGH_PAIR.from).filter(({ id }) => !held.some((tunnel) => tunnel.id === id));
  screen.evidence([...lost.map((tunnel) => `- ${pathInWords(tunnel.path)}`), ...won.map((tunnel) => `+ ${pathInWords(tunnel.path)}`)].join('\n'));
  for (const line of taken.report?.removed ?? []) if (lost.some(({ id }) => id === line.tunnel)) screen.say(`why: ${line.reason}`);
  await hotline.reset();
  const heard = await await_(demo, 'the call is heard', 30_000, async () => ((await hotline.report()).mbps > LATE_SENDER_MBPS * 0.8 ? hotline.report() : null));
  const atLimit = tunnelsAt(after, HIGH_PAIR.from).length;
  note(demo, 'hotlineMbps', heard?.mbps ?? 0);
  check(demo, heard !== null && atLimit <= (node?.tunnelsMax ?? 0) && isTheLesser, `the call is carried (${(heard?.mbps ?? 0).toFixed(2)} Mbit/s arrive), ${lost.map(({ path }) => pathInWords(path)).join(' and ')} gave way, ${atLimit} of ${node?.tunnelsMax} tunnels in use`);
}

const LATE_SENDER_MBPS = LATE_SENDER.rate.kind === 'constant' ? LATE_SENDER.rate.mbps : LATE_SENDER.rate.lowMbps;

function tunnelsAt(plan: Plan, site: string): Plan['tunnels'] {
  return plan.tunnels.filter(({ a, b }) => a.site === site || b.site === site);
}
