import { readFile } from 'node:fs/promises';
import { approve, openProposals, showQuestion } from '../approval.ts';
import { await_, check, isApplied, note, pathInWords, planOf, type Demo } from '../demo.ts';

const DRAINED = { site: 'aws-fra', uplink: 'eip-a' };

/** 6: a large change waits for a person; approved, it is applied. */
export async function showProposal(demo: Demo): Promise<void> {
  const { screen, repository, engine, world } = demo;
  const before = await engine.plan();
  const affected = planOf(before).tunnels.filter(({ path }) => path.includes(`${DRAINED.site}-gw1/${DRAINED.uplink}`));
  await drainUplink(demo);
  await repository.commitAll(`aws-fra: empty ${DRAINED.uplink}, its zone is maintained tonight`);
  await repository.git('push', '-q', 'origin', 'main');
  screen.command(`git commit -am "aws-fra: empty ${DRAINED.uplink}, its zone is maintained tonight" && git push origin main`);
  screen.say(`${affected.length} tunnels end on that uplink and have to move: more than the policy lets pass without a person`);
  const proposal = await await_(demo, 'a proposal', 90_000, async () => (await openProposals(demo)).find(({ scope }) => scope === 'intent') ?? null);
  if (!proposal) return;
  await showQuestion(demo, proposal);
  const stillOld = planOf(await engine.plan()).tunnels.filter(({ path }) => affected.some((tunnel) => tunnel.path === path)).length;
  check(demo, stillOld === affected.length, `not applied: all ${affected.length} tunnels still stand on mesh/live`);
  let approvedHead = await approve(demo, proposal);
  screen.command(`foremesh proposal approve ${proposal.id} --key ~/.ssh/id_ed25519`);
  const moved = await await_(demo, 'the approved change, applied', 120_000, async () => {
    const renewed = (await openProposals(demo)).find(({ scope, headSha }) => scope === 'intent' && headSha !== approvedHead);
    if (renewed) {
      // a small change went in between, so the question is another one now and wants an answer of its own
      approvedHead = await approve(demo, renewed);
      screen.command(`foremesh proposal approve ${renewed.id} --key ~/.ssh/id_ed25519     # made again on the newest plan`);
    }
    const answer = await engine.plan();
    const remaining = planOf(answer).tunnels.filter(({ path }) => path.includes(`${DRAINED.site}-gw1/${DRAINED.uplink}`));
    return remaining.length === 0 && (await isApplied(demo, (before.generation ?? 0) + 1)) ? answer : null;
  });
  if (!moved) return;
  const fresh = planOf(moved).tunnels.filter(({ id }) => !planOf(before).tunnels.some((tunnel) => tunnel.id === id));
  screen.evidence(fresh.map((tunnel) => `+ ${pathInWords(tunnel.path)}`).join('\n'));
  note(demo, 'proposalTunnelsMoved', fresh.length);
  await repository.git('fetch', '-q', 'origin');
  const decision = await repository.git('log', '-12', '--format=%(trailers:key=Foremesh-Decision,valueonly,separator=%x2C)', 'origin/mesh/live');
  check(demo, decision.includes('reviewed'), `merged on Ada's signed approval and applied: no tunnel is left on ${DRAINED.uplink}, ${fresh.length} stand elsewhere`);
  await world.pass(1500);
}

async function drainUplink(demo: Demo): Promise<void> {
  const file = `mesh-config/sites/${DRAINED.site}.yaml`;
  const text = await readFile(`${demo.repository.cloneDir}/${file}`, 'utf8');
  const line = text.split('\n').find((one) => one.includes(`name: ${DRAINED.uplink}`)) ?? '';
  const indent = ' '.repeat(line.indexOf('name:'));
  await demo.repository.replace(file, line, `${line}\n${indent}drain: true`);
}
