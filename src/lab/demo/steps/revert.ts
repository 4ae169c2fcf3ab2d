import { tunnelsBetween, await_, check, isApplied, note, pathInWords, planOf, type Demo } from '../demo.ts';
import { HIGH_PAIR } from '../settings.ts';

/** 9: git revert takes back what was applied last, and it stays taken back. */
export async function showRevert(demo: Demo): Promise<void> {
  const { screen, engine, repository, world, intent } = demo;
  const before = await engine.plan();
  await repository.git('fetch', '-q', 'origin');
  await repository.git('switch', '-q', '-C', 'live', 'origin/mesh/live');
  const reverted = await repository.git('log', '-1', '--format=%h %s');
  await repository.git('revert', '--no-edit', 'HEAD');
  await repository.git('push', '-q', 'origin', 'live:mesh/live');
  await repository.git('switch', '-q', 'main');
  screen.command('git switch mesh/live && git revert HEAD && git push');
  screen.say(`taken back: ${reverted}`);
  const after = await await_(demo, 'nodes roll back', 45_000, async () => {
    const status = await engine.status();
    return status.live?.decision === 'reverted' && (await isApplied(demo, (before.generation ?? 0) + 1)) ? engine.plan() : null;
  });
  if (!after) return;
  const [old, now] = [planOf(before), planOf(after)];
  const back = now.tunnels.filter(({ id }) => !old.tunnels.some((tunnel) => tunnel.id === id));
  const gone = old.tunnels.filter(({ id }) => !now.tunnels.some((tunnel) => tunnel.id === id));
  screen.evidence([...gone.map((tunnel) => `- ${pathInWords(tunnel.path)}`), ...back.map((tunnel) => `+ ${pathInWords(tunnel.path)}`)].join('\n'));
  const runtimes = await Promise.all(intent.sites.flatMap(({ nodes }) => nodes).map((node) => world.nodeState(node.id)));
  const rolled = runtimes.filter(({ generation }) => generation >= (after.generation ?? 0)).length;
  check(demo, rolled === runtimes.length && gone.length > 0, `all ${rolled} nodes run generation ${after.generation} (one up, as always) with the tunnels of before`);
  const vetoes = await engine.vetoes();
  screen.command('foremesh veto list');
  screen.evidence(vetoes.map((veto) => `${veto.fingerprint.slice(7, 19)}  until ${veto.until.slice(0, 16)}Z  ${veto.what}`).join('\n'));
  await world.pass(intent.mesh.cycleMs * 4);
  const later = planOf(await engine.plan());
  const returned = tunnelsBetween(later, HIGH_PAIR.from, HIGH_PAIR.to).filter(({ path }) => gone.some((tunnel) => tunnel.path === path));
  note(demo, 'vetoes', vetoes.length);
  note(demo, 'revertReturned', returned.length);
  check(demo, vetoes.length > 0 && returned.length === 0, `four cycles later the call still asks for it, and the engine has not brought it back (${vetoes.length} vetoes stand)`);
}
