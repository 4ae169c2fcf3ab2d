// In: Intent and Plan (with PlanReport for the files, Forecast for the differ). Out: NodeConfigs, the files of mesh/live, a Changeset.
// Pure and deterministic: the same plan gives the same bytes, and a plan read back from its file is the same plan.
// Start reading at render-nodes.ts (what an agent gets), then diff.ts (what a change does to whom).
// lanes.ts has the one rule that agents rely on: the same lane content always has the same mark.
// Others import from this file only.
export { diff } from './diff.ts';
export { fingerprint } from './fingerprint.ts';
export { parsePlan } from './parse-plan.ts';
export { renderFiles } from './render-files.ts';
export { renderNodes } from './render-nodes.ts';
export { renderReport } from './report.ts';
