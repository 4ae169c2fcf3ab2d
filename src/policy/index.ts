// In: Rego files and a question (intent, plan, change) with its input. Out: a Verdict: allow, needsApproval or deny, with reasons.
// compile.ts turns Rego into WASM with few built-ins; runner.ts asks it in a thread with a time and memory limit.
// Start reading at runner.ts, then policies/change/rule.rego, where the sizes of changes are decided.
// Whatever goes wrong here is a deny. inputs.ts joins what rules look up and judges nothing.
// Others import from this file only.
export type { SourceFile } from '../base/index.ts';
export { compilePolicy, readPolicyFolder, testPolicy, type CompiledPolicy } from './compile.ts';
export { changeInput, intentInput, planInput } from './inputs.ts';
export { findOpa, OPA_VERSION } from './opa.ts';
export { createPolicyRunner, type PolicyRunner, type PolicyRunnerOptions } from './runner.ts';
export { QUESTIONS, type Question } from './verdict.ts';
