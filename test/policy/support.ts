import type { SourceFile } from '../../src/base/index.ts';
import { compilePolicy, findOpa, type CompiledPolicy } from '../../src/policy/index.ts';

export const opaProgram = await findOpa();

const ALLOW = 'verdict := {"decision": "allow", "reasons": [], "rulesRun": ["X"]}';

/** Three questions that all allow, but for the rules given. */
export function policySources(rules: Partial<Record<'intent' | 'plan' | 'change', string>> = {}): SourceFile[] {
  return (['intent', 'plan', 'change'] as const).map((question) => ({
    file: `policies/${question}/rule.rego`,
    text: `package foremesh.${question}\n\n${rules[question] ?? ALLOW}\n`,
  }));
}

export async function compiled(sources: readonly SourceFile[]): Promise<CompiledPolicy> {
  const result = await compilePolicy(sources, opaProgram);
  if (!result.ok) throw new Error(JSON.stringify(result.findings));
  return result.policy;
}
