// In: Intent, Forecast, Observation, the previous Plan, overrides, vetoes, constraints, now. Out: a Plan with its PlanReport.
// `plan` decides, `checkPlan` (folder check/) judges a plan with code of its own; neither has effects or a clock.
// Start reading at plan.ts (the order of the steps), then placement.ts (how one demand finds its way).
// docs/planning.md tells the same in words; every threshold is in settings.ts with its reason. core/ optimises instances of plain numbers, with a proof.
// Others import from this file only.
export { checkPlan } from './check/check-plan.ts';
export { exportInstance } from './export.ts';
export type { ExportedMesh } from './export.ts';
export { plan } from './plan.ts';
export type { PlanInputs, PlanResult } from './plan.ts';
export { PLANNER_SETTINGS } from './settings.ts';
export { busiestUplinks, doubtsAbout, explainPlan, makeMesh, measureFlows, onTrial, orderSteps, parseInstance, planInstance, readInstance, regain, rehearseFailures, repairAfterFailure, replan } from './core/index.ts';
export type { Bar, Certificate, Change, Explanation, Instance, InstancePlan, Limit, Measure, Planned, PlanOptions, Refusal, Rehearsed, Repair, Standing, Step, TunnelReason } from './core/index.ts';
