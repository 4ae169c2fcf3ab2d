import { digest, FindingsError, ForemeshError, Stalled, type Finding, type SourceFile } from '../base/index.ts';
import { findingsOfVerdict, type LocatedIntent } from '../intent/index.ts';
import type { Intent, LiveTrailers, Override } from '../model/index.ts';
import type { CompiledPolicy, PolicyRunner } from '../policy/index.ts';
import type { EngineDeps } from './deps.ts';
import type { RecordStore } from './records.ts';

/** What people want (`intent`) and allow (`policy`): the newest of main that is sound, and what is wrong with anything newer. */
export interface MainState {
  /** Tip of main that was looked at last. */
  tip: string;
  intent: Intent;
  /** Digest of the intent without its commit: the same text on another commit is the same intent. */
  intentDigest: string;
  /** Documents of kind Override in the intent in use, whatever their end; their id is their name. */
  overrides: Override[];
  policyDigest: string;
  evaluate: PolicyRunner['evaluate'];
  /** Why main's tip is not what is in use, and warnings; empty when all is well. */
  findings: Finding[];
}

export interface MainReader {
  /**
   * Looks at main's tip. What is wrong there is a finding and the last good state stays in use, after a restart the one
   * that the live commit names. @throws Stalled when nothing good is known at all
   */
  read(tip: string | null, live: LiveTrailers | null, now: number): Promise<MainState>;
  /** The intent of some commit of main, null when it cannot be read any more. Cached. */
  intentAt(commit: string): Promise<Intent | null>;
  close(): Promise<void>;
}

interface PolicyInUse {
  digest: string;
  sourceDigest: string;
  runner: PolicyRunner;
}

/** Few are ever asked for: main's tip, and what the live commit names. */
const INTENTS_KEPT = 20;

/** Reads main through the repository, judging each new intent by the policy of the same commit. */
export function createMainReader(deps: Pick<EngineDeps, 'repository' | 'policy' | 'loadIntent' | 'planning' | 'log'>, records: RecordStore): MainReader {
  let policy: PolicyInUse | null = null;
  let state: MainState | null = null;
  const intents = new Map<string, Intent | null>();

  async function read(tip: string | null, live: LiveTrailers | null, now: number): Promise<MainState> {
    if (tip === null) throw new Stalled('GIT_REF_MOVED', { what: 'the repository has no main branch', fix: 'push mesh-config/ and policies/ to main' });
    if (state?.tip === tip) return state;
    const findings: Finding[] = [];
    policy = (await usePolicy(tip, findings)) ?? policy ?? (await recoverPolicy(live));
    if (policy === null) throw stalled('POLICY_INVALID', 'no policy of main compiles', findings);
    const located = await readIntent(tip, findings);
    const judged = located && (await judge(located, policy, now, findings));
    const intent = judged ?? state?.intent ?? (live ? await intentAt(live.intent) : null);
    if (intent === null) throw stalled('INTENT_INVALID', 'no intent of main is sound', findings);
    state = { tip, intent, intentDigest: intentDigest(intent), overrides: judged && located ? located.overrides : (state?.overrides ?? []), policyDigest: policy.digest, evaluate: policy.runner.evaluate.bind(policy.runner), findings };
    return state;
  }

  async function usePolicy(commit: string, findings: Finding[]): Promise<PolicyInUse | null> {
    try {
      const files = await deps.repository.readFolder(commit, 'policies');
      const sourceDigest = digest(files.map(({ file, text }) => [file, text]));
      if (policy?.sourceDigest === sourceDigest) return policy;
      const compiled = await deps.policy.compile(files);
      if (compiled.ok) return await startPolicy(compiled.policy, sourceDigest);
      findings.push(...compiled.findings);
    } catch (error) {
      findings.push(...findingsOf(error));
    }
    return null;
  }

  async function startPolicy(compiled: CompiledPolicy, sourceDigest: string): Promise<PolicyInUse> {
    const runner = await deps.policy.run(compiled);
    await records.savePolicy(compiled);
    await policy?.runner.close();
    return { digest: compiled.digest, sourceDigest, runner };
  }

  /** After a restart with a broken policy on main: the one that judged the live plan. */
  async function recoverPolicy(live: LiveTrailers | null): Promise<PolicyInUse | null> {
    const compiled = live ? await records.loadPolicy(live.policy) : null;
    if (compiled) return startPolicy(compiled, 'recovered');
    return live ? usePolicy(live.intent, []) : null;
  }

  async function readIntent(commit: string, findings: Finding[]): Promise<LocatedIntent | null> {
    try {
      const loaded = deps.loadIntent(yamlOf(await deps.repository.readFolder(commit, 'mesh-config')), commit);
      findings.push(...(loaded.ok ? loaded.warnings : loaded.findings));
      if (loaded.ok) keep(commit, loaded.value.intent);
      return loaded.ok ? loaded.value : null;
    } catch (error) {
      findings.push(...findingsOf(error));
      return null;
    }
  }

  async function judge(located: LocatedIntent, inUse: PolicyInUse, now: number, findings: Finding[]): Promise<Intent | null> {
    const verdict = await inUse.runner.evaluate('intent', deps.planning.intentInput(located.intent, now));
    findings.push(...findingsOfVerdict(verdict, located));
    return verdict.decision === 'deny' ? null : located.intent;
  }

  async function intentAt(commit: string): Promise<Intent | null> {
    const known = intents.get(commit);
    if (known !== undefined) return known;
    const intent = commit === 'none' ? null : ((await readIntent(commit, []))?.intent ?? null);
    keep(commit, intent);
    return intent;
  }

  function keep(commit: string, intent: Intent | null): void {
    if (intents.size >= INTENTS_KEPT) intents.clear();
    intents.set(commit, intent);
  }

  return {
    read,
    intentAt,
    async close() {
      await policy?.runner.close();
    },
  };
}

export function intentDigest(intent: Intent): string {
  return digest({ ...intent, commit: null });
}

function yamlOf(files: readonly SourceFile[]): SourceFile[] {
  return files.filter(({ file }) => file.endsWith('.yaml') || file.endsWith('.yml'));
}

/** What is wrong with a tree is a finding; what is wrong with the machine is thrown on. */
function findingsOf(error: unknown): readonly Finding[] {
  if (error instanceof FindingsError) return error.findings;
  if (error instanceof ForemeshError && error.httpStatus < 500) {
    return [{ code: error.code, severity: 'error', what: error.what, where: error.where, fix: error.fix }];
  }
  throw error;
}

function stalled(code: 'POLICY_INVALID' | 'INTENT_INVALID', what: string, findings: readonly Finding[]): Stalled {
  const first = findings.find(({ severity }) => severity === 'error');
  return new Stalled(code, {
    what: `${what}${first ? `: ${first.what}` : ''}`,
    where: first?.where ?? null,
    fix: first?.fix ?? 'run foremesh check in the mesh repository',
  });
}
