// In: an instance (te-instance/1: sites, uplinks, measured links, demands as plain numbers), the plan before, how many sweeps.
// Out: tunnels, flows and backups, and a certificate: prices that prove how far from the best possible the plan is at most.
// Start reading at plan-instance.ts (the order of the steps), then sweep.ts (how one demand moves), flows.ts (what a price is).
// Pure and deterministic; typed arrays and CSR tables inside (tables.ts, paths.ts), no objects in loops.
// docs/planning.md tells the same in words, with the measured tables.
export { doubtsAbout, parseInstance, readInstance } from './instance.ts';
export type { Instance } from './instance.ts';
export type { Certificate } from './certificate.ts';
export { explainPlan } from './explain.ts';
export type { Bar, Explanation, Limit, Refusal, TunnelReason } from './explain.ts';
export { repairAfterFailure } from './failure.ts';
export type { Repair } from './failure.ts';
export { makeMesh } from './made-mesh.ts';
export { flowsWorth, measureFlows } from './measure.ts';
export type { Measure } from './measure.ts';
export { planInstance, replan } from './plan-instance.ts';
export type { Planned, PlanOptions, Standing } from './plan-instance.ts';
export type { InstancePlan } from './plan-file.ts';
export { regain } from './regain.ts';
export { busiestUplinks, onTrial, rehearseFailures } from './rehearsal.ts';
export type { Rehearsed } from './rehearsal.ts';
export { orderSteps } from './steps.ts';
export type { Change, Step } from './steps.ts';
