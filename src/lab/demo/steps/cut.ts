import { awaitChange } from '../approval.ts';
import { await_, carries, carriersOf, check, isApplied, note, pathInWords, planOf, tunnelsBetween, type Demo } from '../demo.ts';
import { CUT_PAIR } from '../settings.ts';

/** What the packets of a cut call may miss; detection is four probes of 100 ms and a round trip. */
const OUTAGE_MAX_MS = 1000;

/** 7: a path dies without a word; the gateways move the traffic, the engine gives the pair another tunnel. */
export async function showCut(demo: Demo): Promise<void> {
  const { screen, world, engine, senders } = demo;
  const sender = senders.get('calls');
  const back = senders.get('calls-back');
  if (!sender || !back) return check(demo, false, 'nobody calls');
  // what is cut must carry the calls at that very moment, or nothing would be shown: traffic may just be moving
  const used = await await_(demo, `calls ${CUT_PAIR.from} → ${CUT_PAIR.to} run over the path of the plan`, 60_000, async () => {
    const plan = planOf(await engine.plan());
    const tunnel = plan.tunnels.find(({ id }) => id === carriersOf(plan, CUT_PAIR.from, CUT_PAIR.to, 'voice')[0]);
    if (!tunnel || !(await carries(demo, tunnel.path))) return null;
    await Promise.all([sender.reset(), back.reset()]);
    return (await carries(demo, tunnel.path)) ? { plan, tunnel } : null;
  });
  if (!used) return;
  const { plan: before, tunnel: primary } = used;
  const backup = tunnelsBetween(before, CUT_PAIR.from, CUT_PAIR.to).find(({ id }) => id !== primary.id);
  screen.say(`calls ${CUT_PAIR.from} → ${CUT_PAIR.to} run over ${pathInWords(primary.path)}; ${backup ? `${pathInWords(backup.path)} stands by` : 'no backup stands by'}`);
  await world.setPath(primary.path, { down: true });
  const cutAt = world.clock.now();
  screen.command(`foremesh lab fault ${primary.path} --down     # every packet dropped, both ways, nobody is told`);
  await world.pass(2500);
  const [there, here] = await Promise.all([sender.report(), back.report()]);
  const outageMs = Math.max(there.longestGapMs, here.longestGapMs);
  screen.evidence(
    [`${CUT_PAIR.from} → ${CUT_PAIR.to}`, `${CUT_PAIR.to} → ${CUT_PAIR.from}`]
      .map((pair, index) => {
        const report = index === 0 ? there : here;
        return `${pair}: silent for ${report.longestGapMs.toFixed(0)} ms, ${report.lost} of ${report.sent} packets lost, ${report.mbps.toFixed(2)} Mbit/s again`;
      })
      .join('\n'),
  );
  note(demo, 'outageMs', outageMs);
  check(demo, Math.max(there.lost, here.lost) > 0 && outageMs <= OUTAGE_MAX_MS && there.mbps > 0.1 && here.mbps > 0.1, `outage ${outageMs.toFixed(0)} ms, read from the receivers' packets; the gateways switched on their own`);
  const replaced = await awaitChange(demo, 'the engine replaces the tunnel', 90_000, async () => {
    const answer = await engine.plan();
    const plan = planOf(answer);
    const standing = tunnelsBetween(plan, CUT_PAIR.from, CUT_PAIR.to).filter(({ id }) => id !== primary.id);
    const fresh = standing.filter(({ id }) => !before.tunnels.some((tunnel) => tunnel.id === id));
    const isLeft = !carriersOf(plan, CUT_PAIR.from, CUT_PAIR.to, 'voice').includes(primary.id);
    return isLeft && standing.length >= 2 && (await isApplied(demo, answer.generation ?? 0, primary.id)) ? { standing, fresh, isKept: plan.tunnels.some(({ id }) => id === primary.id) } : null;
  });
  if (!replaced) return;
  screen.evidence([`${replaced.isKept ? '~' : '-'} ${pathInWords(primary.path)}${replaced.isKept ? ' (down: kept, so that its probes can tell when it lives again)' : ''}`, ...replaced.fresh.map((tunnel) => `+ ${pathInWords(tunnel.path)}`)].join('\n'));
  const after = await sender.report();
  check(demo, after.lost - there.lost <= 0, `the plan replaced it after ${((world.clock.now() - cutAt) / 1000).toFixed(1)} s: the pair has ${replaced.standing.length} tunnels that work again; ${Math.max(0, after.lost - there.lost)} more packets lost by that`);
  await world.setPath(primary.path, { down: false });
}
