import type { Finding } from '../base/index.ts';
import { findingsOfVerdict, loadIntent, readConfigFolder, type LocatedIntent } from '../intent/index.ts';
import { compilePolicy, createPolicyRunner, intentInput, readPolicyFolder, testPolicy, type CompiledPolicy } from '../policy/index.ts';

export interface CheckedRepository {
  /** Null when a finding stands in the way of it. */
  located: LocatedIntent | null;
  policy: CompiledPolicy | null;
  findings: Finding[];
}

/**
 * All that can be said about a mesh repository without a network: schema and references of the intent, Rego compiled
 * strictly and its tests, the intent's verdict. Everything found, at once; the policy tests run beside the rest.
 * @param dir  folder that holds mesh-config/ and policies/
 */
export async function checkRepository(dir: string, opaProgram: string, now: number): Promise<CheckedRepository> {
  const [configFiles, policyFiles] = await Promise.all([readConfigFolder(dir), readPolicyFolder(dir)]);
  const result = loadIntent(configFiles, null);
  const [compiled, testFindings] = await Promise.all([compilePolicy(policyFiles, opaProgram), testPolicy(policyFiles, opaProgram)]);
  const located = result.ok ? result.value : null;
  const policy = compiled.ok ? compiled.policy : null;
  const findings = [...(result.ok ? result.warnings : result.findings), ...(compiled.ok ? testFindings : compiled.findings)];
  if (located && policy) findings.push(...(await judgeIntent(located, policy, now)));
  return { located, policy, findings };
}

async function judgeIntent(located: LocatedIntent, policy: CompiledPolicy, now: number): Promise<Finding[]> {
  const runner = await createPolicyRunner(policy);
  try {
    return findingsOfVerdict(await runner.evaluate('intent', intentInput(located.intent, now)), located);
  } finally {
    await runner.close();
  }
}
