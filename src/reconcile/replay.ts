import { digest, ForemeshError } from '../base/index.ts';
import type { Verdict } from '../model/index.ts';
import { emptyReport } from './answer.ts';
import { decide } from './decide.ts';
import type { EngineDeps } from './deps.ts';
import { readTreePlan } from './live-plan.ts';
import { recordKey, type DecisionRecord, type RecordStore } from './records.ts';

export interface ReplayResult {
  commit: string;
  /** True when every file comes out byte for byte as it was committed, under the same verdict. */
  same: boolean;
  files: { file: string; same: boolean }[];
  decision: string;
  verdict: Verdict | null;
}

/**
 * Computes a past decision again from its recorded inputs and the policy of then, and compares the bytes.
 * @param commit  any commit on mesh/live that the engine made
 * @throws ForemeshError API_NOT_FOUND when the commit is unknown, is a person's, or its inputs were not recorded here
 */
export async function replayCommit(deps: Pick<EngineDeps, 'repository' | 'planning' | 'policy'>, records: RecordStore, commit: string): Promise<ReplayResult> {
  const sha = await deps.repository.resolve(commit);
  const before = sha === null ? null : await deps.repository.resolve(`${sha}~1`);
  const info = sha === null ? undefined : (await deps.repository.log({ from: before, to: sha }))[0];
  if (!sha || !info) throw notFound(`there is no commit ${commit.slice(0, 40)}`, 'take one of git log mesh/live');
  if (!info.trailers) throw notFound(`commit ${sha.slice(0, 12)} carries no decision of the engine`, 'take a commit with Foremesh trailers');
  const record = await records.load(recordKey(info.trailers));
  if (!record) throw notFound(`the inputs of ${sha.slice(0, 12)} are not recorded here`, 'replay it where the engine ran, or restore its folder inputs/');

  const { files, verdict } = await compute(deps, records, record);
  const committed = (await readTreePlan(deps, sha)).files;
  const names = [...new Set([...files.keys(), ...committed.keys()])].sort();
  const compared = names.map((file) => ({ file, same: files.get(file) === committed.get(file) }));
  const isSameVerdict = record.kind === 'answer' || digest(record.verdict) === digest(verdict);
  return { commit: sha, same: isSameVerdict && compared.every(({ same }) => same), files: compared, decision: info.trailers.decision, verdict };
}

async function compute(
  deps: Pick<EngineDeps, 'planning' | 'policy'>,
  records: RecordStore,
  record: DecisionRecord,
): Promise<{ files: Map<string, string>; verdict: Verdict | null }> {
  if (record.kind === 'answer') {
    const files = new Map(deps.planning.renderFiles(record.intent, record.plan, emptyReport(0)));
    files.set('plan/report.md', record.reportText);
    return { files, verdict: null };
  }
  const policy = await records.loadPolicy(record.inputs.policyDigest);
  if (!policy) throw notFound(`the policy ${record.inputs.policyDigest} is not recorded here`, 'restore the folder policies/ of the engine');
  const runner = await deps.policy.run(policy);
  try {
    const decision = await decide(record.inputs, { ...deps.planning, evaluate: runner.evaluate.bind(runner) });
    return { files: decision.files, verdict: decision.verdict };
  } finally {
    await runner.close();
  }
}

function notFound(what: string, fix: string): ForemeshError {
  return new ForemeshError('API_NOT_FOUND', { what, fix });
}
