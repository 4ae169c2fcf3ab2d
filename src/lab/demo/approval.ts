import { signReview } from '../../forge/index.ts';
import type { ProposalDetail, ProposalSummary } from '../../reconcile/index.ts';
import { OPERATOR } from '../mesh-repository.ts';
import { await_, note, type Demo } from './demo.ts';

/**
 * Waits for a change that the engine makes by itself, as a person on duty does: when the policy will not let it pass
 * without somebody, its question is shown and approved on screen. That comes on a machine that is short of CPU: changes
 * come too late there to be of use, the record of the forecasts turns poor, and the policy wants a person for the next.
 */
export async function awaitChange<T>(demo: Demo, what: string, limitMs: number, look: () => Promise<T | null | undefined | false>): Promise<T | null> {
  const { world, intent } = demo;
  let lookedAt = world.clock.now();
  const answered = new Set<string>();
  return await_(demo, what, limitMs, async () => {
    const found = await look();
    if (found || world.clock.now() - lookedAt < intent.mesh.cycleMs) return found;
    lookedAt = world.clock.now();
    await answerQuestions(demo, answered);
    return null;
  });
}

/** Approves what the engine asks about the network itself; what people asked for is not waited for with this. */
async function answerQuestions(demo: Demo, answered: Set<string>): Promise<void> {
  for (const proposal of await openProposals(demo)) {
    if (proposal.scope !== 'network' || answered.has(proposal.headSha)) continue;
    demo.screen.say('the policy wants a person for the next change; Ada looks at it and agrees:');
    await showQuestion(demo, proposal);
    answered.add(await approve(demo, proposal));
    demo.screen.command(`foremesh proposal approve ${proposal.id} --key ~/.ssh/id_ed25519`);
    note(demo, 'askedInBetween', Number(demo.facts.get('askedInBetween') ?? 0) + 1);
  }
}

export async function openProposals(demo: Demo): Promise<ProposalSummary[]> {
  return (await demo.engine.ask<{ proposals: ProposalSummary[] }>('GET', '/v1/proposals')).proposals;
}

/** What a person reads before the answer: why it is asked, and which tunnels change. */
export async function showQuestion({ screen, engine }: Demo, { id, title }: ProposalSummary): Promise<void> {
  const { body, verdict } = await engine.ask<ProposalDetail>('GET', `/v1/proposals/${id}`);
  const reasons = (verdict?.reasons ?? []).map(({ code, message }) => `${code}: ${message}`);
  const tunnels = body.split('\n').filter((line) => /^[-+~] tunnel /.test(line));
  screen.command(`foremesh proposal show ${id}`);
  screen.evidence([`#${id}  ${title}`, ...reasons, ...tunnels].join('\n'));
}

/** Gives the head that was approved. */
export async function approve(demo: Demo, proposal: ProposalSummary): Promise<string> {
  // the head may move while a person reads, when the forecast does: what counts is the head that is signed
  const current = (await openProposals(demo)).find(({ id }) => id === proposal.id) ?? proposal;
  const review = await signReview(current.id, { by: OPERATOR, verdict: 'approve', sha: current.headSha, at: demo.world.clock.now() }, demo.repository.operatorKeyFile);
  const answer = await demo.world.api.request('POST', `/v1/proposals/${current.id}/reviews`, review);
  // refused when the head moved while it was signed: looked at again in the next round
  return answer.status < 300 ? current.headSha : '';
}
