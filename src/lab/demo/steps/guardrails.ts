import { readFile } from 'node:fs/promises';
import { formatFinding } from '../../../base/index.ts';
import { findOpa } from '../../../policy/index.ts';
import { checkRepository } from '../../../reconcile/index.ts';
import { awaitChange } from '../approval.ts';
import { await_, carries, carriersOf, check, isApplied, note, pathInWords, planOf, tunnelsBetween, type Demo } from '../demo.ts';
import { CUT_PAIR } from '../settings.ts';

/** 10: what may not be, does not come to be; and an administrator's hand, for a while. */
export async function showGuardrails(demo: Demo): Promise<void> {
  await showRefusal(demo);
  await showOverride(demo);
}

const STRONG = 'encryption: aes128gcm16, prf: prfsha256, group: x25519';
const WEAK = 'encryption: 3des, integrity: sha1, prf: prfsha1, group: modp1024';

async function showRefusal(demo: Demo): Promise<void> {
  const { screen, repository, engine, world, intent } = demo;
  const before = await engine.plan();
  await repository.git('switch', '-q', '-c', 'old-router', 'main');
  await repository.replace('mesh-config/security.yaml', STRONG, WEAK);
  await repository.commitAll('security: let the old router in');
  await repository.git('push', '-q', 'origin', 'old-router');
  const findings = (await checkRepository(repository.cloneDir, await findOpa(), world.clock.now())).findings.filter(({ severity }) => severity === 'error');
  screen.command('git push origin old-router     # a pull request; its workflow runs: foremesh check');
  screen.evidence(findings.map(formatFinding).join('\n'));
  const text = (await readFile(`${repository.cloneDir}/mesh-config/security.yaml`, 'utf8')).split('\n');
  const isExact = findings.length > 0 && findings.every(({ where }) => where !== null && (text[where.line - 1] ?? '').slice(where.column - 1).length > 0 && where.file === 'mesh-config/security.yaml');
  check(demo, isExact, `foremesh check refuses it with exit code 1: ${findings.length} findings with file, line and column`);
  // merged all the same, past the check: the engine is the second line
  await repository.git('switch', '-q', 'main');
  await repository.git('merge', '-q', '--ff-only', 'old-router');
  await repository.git('push', '-q', 'origin', 'main');
  const merged = await repository.git('rev-parse', 'main');
  screen.say('somebody merges it all the same:');
  const refused = await await_(demo, 'the engine refuses the intent', 60_000, async () => {
    const status = await engine.status();
    return status.mainCommit === merged && status.findings.some(({ severity }) => severity === 'error') ? status : null;
  });
  await world.pass(intent.mesh.cycleMs * 2);
  const after = await engine.plan();
  const profiles = planOf(after).securityProfiles.flatMap(({ ike, esp }) => [...ike, ...esp]).map(({ encryption }) => encryption);
  note(demo, 'weakFindings', findings.length);
  check(demo, refused !== null && !profiles.includes('3des'), `the engine stays with the last good intent (${after.commit === before.commit ? 'not one commit' : 'no such change'} on mesh/live); no node ever saw the cipher`);
  await repository.git('revert', '--no-edit', 'HEAD');
  await repository.git('push', '-q', 'origin', 'main');
}

async function showOverride(demo: Demo): Promise<void> {
  const { screen, engine, world } = demo;
  const other = await awaitChange(demo, `a second tunnel ${CUT_PAIR.from} – ${CUT_PAIR.to}, to pin the pair to`, 60_000, async () => {
    const plan = planOf(await engine.plan());
    const carriers = carriersOf(plan, CUT_PAIR.from, CUT_PAIR.to, 'voice');
    const vetoes = await engine.vetoes();
    // a route that the revert of step 9 took back stays back, for an administrator's hand too, until its veto is lifted
    const vetoesOf = (path: string): string[] => vetoes.filter(({ what }) => what.includes(`: ${path} 100 %`)).map(({ fingerprint }) => fingerprint);
    const [best] = tunnelsBetween(plan, CUT_PAIR.from, CUT_PAIR.to)
      .filter(({ id }) => id !== carriers[0])
      .map((tunnel) => ({ ...tunnel, vetoes: vetoesOf(tunnel.path) }))
      .sort((left, right) => left.vetoes.length - right.vetoes.length);
    return best ?? null;
  });
  if (!other) return;
  for (const fingerprint of other.vetoes) {
    screen.command(`foremesh veto lift ${fingerprint}`);
    await engine.ask('DELETE', `/v1/vetoes/${encodeURIComponent(fingerprint)}`);
  }
  const forMs = world.kind === 'lab' ? 30_000 : 60_000;
  const pair = `${CUT_PAIR.from}>${CUT_PAIR.to}`;
  const until = world.clock.now() + forMs;
  screen.command(`foremesh override set pin ${pair} ${other.path} --for ${forMs / 1000}s --why "fibre is being spliced"`);
  await engine.ask('POST', '/v1/overrides', { what: { kind: 'pin-path', pair, path: other.path }, for: `${forMs / 1000}s`, why: 'fibre is being spliced', by: 'ada' });
  const pinned = await await_(demo, 'the pin is applied', forMs, async () => {
    const answer = await engine.plan();
    const plan = planOf(answer);
    return plan.overrides.length > 0 && carriersOf(plan, CUT_PAIR.from, CUT_PAIR.to, 'voice')[0] === other.id && (await isApplied(demo, answer.generation ?? 0)) ? answer : null;
  });
  if (!pinned) return;
  // a path that was down not long ago stands its hold-down first; gateways keep to the other one until then
  const isUsed = (await world.until(() => carries(demo, other.path), forMs - 5000)) === true;
  check(demo, isUsed, `the pair runs over ${pathInWords(other.path)}: its ESP packets are there`);
  const expired = await await_(demo, 'the override expires', forMs + 90_000, async () => {
    const plan = planOf(await engine.plan());
    return plan.overrides.length === 0 && world.clock.now() >= until ? plan : null;
  });
  note(demo, 'overrideExpired', expired ? 1 : 0);
  check(demo, expired !== null, `it expired by itself after ${forMs / 1000} s, as a commit with its own cause`);
}
