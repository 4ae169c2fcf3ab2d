import { diff, parsePlan } from '../../../render/index.ts';
import { findRevertAnswer, revertTip } from '../../person.ts';
import { await_, check, isApplied, note, pathInWords, planOf, type Demo } from '../demo.ts';

/** 9: git revert takes back what was applied last, and it stays taken back. */
export async function showRevert(demo: Demo): Promise<void> {
  const { screen, engine, repository, world, intent } = demo;
  const before = await engine.plan();
  const { reverted, command } = await revertTip(repository.git);
  screen.command(command);
  screen.say(`taken back: ${await repository.git('log', '-1', '--format=%h %s', reverted)}`);
  const after = await await_(demo, 'nodes roll back', 120_000, async () => {
    const answered = await findRevertAnswer(repository.git, reverted);
    return answered && (await isApplied(demo, answered.generation)) ? { ...answered, plan: planOf(await engine.plan()) } : null;
  });
  if (!after) return;
  const [old, now] = [planOf(before), after.plan];
  const back = now.tunnels.filter(({ id }) => !old.tunnels.some((tunnel) => tunnel.id === id));
  const gone = old.tunnels.filter(({ id }) => !now.tunnels.some((tunnel) => tunnel.id === id));
  screen.evidence([...gone.map((tunnel) => `- ${pathInWords(tunnel.path)}`), ...back.map((tunnel) => `+ ${pathInWords(tunnel.path)}`)].join('\n') || '(routes only: no tunnel came or went)');
  const differing = await repository.git('diff', '--name-only', `${reverted}^`, after.commit, '--', 'plan/nodes');
  const runtimes = await Promise.all(intent.sites.flatMap(({ nodes }) => nodes).map((node) => world.nodeState(node.id)));
  const rolled = runtimes.filter(({ generation }) => generation >= after.generation).length;
  screen.command(`git diff --stat ${reverted.slice(0, 10)}^ ${after.commit.slice(0, 10)} -- plan/nodes     # nothing: every node's config is as it was`);
  check(demo, rolled === runtimes.length && differing === '', `all ${rolled} nodes run generation ${after.generation} (one up, as always) with the very configs of before`);
  const vetoes = await engine.vetoes();
  screen.command('foremesh veto list');
  screen.evidence(vetoes.map((veto) => `${veto.fingerprint.slice(7, 19)}  until ${veto.until.slice(0, 16)}Z  ${veto.what}`).join('\n'));
  await world.pass(intent.mesh.cycleMs * 4);
  const made = await changesSince(demo, after.commit);
  const returned = vetoes.filter(({ fingerprint }) => made.has(fingerprint));
  note(demo, 'vetoes', vetoes.length);
  note(demo, 'revertReturned', returned.length);
  check(demo, vetoes.length > 0 && returned.length === 0, `four cycles later demand still asks for it, and none of the ${vetoes.length} vetoed changes was made again`);
}

/** Fingerprints of all that was changed on mesh/live after a commit. */
async function changesSince({ repository, intent }: Demo, commit: string): Promise<Set<string>> {
  await repository.git('fetch', '-q', 'origin');
  const later = await repository.git('rev-list', '--first-parent', '--reverse', `${commit}..origin/mesh/live`);
  const made = new Set<string>();
  let before = parsePlan(await repository.git('show', `${commit}:plan/mesh.yaml`));
  for (const each of later.split('\n').filter((sha) => sha !== '')) {
    const next = parsePlan(await repository.git('show', `${each}:plan/mesh.yaml`));
    for (const { fingerprint } of diff(intent, before, next, null).changes) made.add(fingerprint);
    before = next;
  }
  return made;
}
