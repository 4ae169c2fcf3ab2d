import { checkPlan, plan } from '../planner/index.ts';
import { changeInput, intentInput, planInput, type PolicyRunner } from '../policy/index.ts';
import { diff, fingerprint, parsePlan, renderFiles } from '../render/index.ts';

/** The pure stages that a decision is made of. Injected, so that a test or a replay can see each arrow on its own. */
export interface PlanningStages {
  plan: typeof plan;
  checkPlan: typeof checkPlan;
  renderFiles: typeof renderFiles;
  parsePlan: typeof parsePlan;
  diff: typeof diff;
  fingerprint: typeof fingerprint;
  intentInput: typeof intentInput;
  planInput: typeof planInput;
  changeInput: typeof changeInput;
}

/** The planning stages and the policy that judges what they make. */
export interface Stages extends PlanningStages {
  evaluate: PolicyRunner['evaluate'];
}

/** The real ones: what every engine outside of unit tests runs. */
export const planningStages: PlanningStages = { plan, checkPlan, renderFiles, parsePlan, diff, fingerprint, intentInput, planInput, changeInput };
