// In: a repository, a forge, telemetry, a forecaster, the policy, agents. Out: signed commits on mesh/live, proposals, and a view of it all.
// The only place that joins stages and orders effects; whatever it is killed at, Git and the forge hold the decisions.
// Start reading at decide.ts (what to do, without effects), then cycle.ts (the steps), then engine.ts (when).
// Effects: live-writer.ts (commits), proposals.ts (the forge), records.ts (the state folder). Time, seed and all parts are handed in.
// Others import from this file only.
export { checkRepository, type CheckedRepository } from './check-repository.ts';
export { decide, fileDigests, type Decision, type DecisionBase, type DecisionInputs } from './decide.ts';
export { demandPairs, observedSlots } from './demand-pairs.ts';
export { CHECKPOINTS, LIVE_BRANCH, LIVE_REF, PROPOSAL_PREFIX, type Checkpoint, type EngineDeps, type PolicyTools, type TrainingHistory } from './deps.ts';
export { createEngine, type CycleResult, type Engine } from './engine.ts';
export type { Explanation, ExplainTarget } from './explain.ts';
export type { LedgerView, ScoreboardView } from './hindsight/hindsight.ts';
export { benchForesight, FORESIGHT_POLICIES, type ForesightPolicy, type ForesightResult, type WorstDay } from './foresight/bench-foresight.ts';
export type { Range } from './foresight/rule-spread.ts';
export { readTopology, type Topology } from './foresight/topology.ts';
export { createHistory, generatedHistory } from './history.ts';
export { planDigest } from './live-plan.ts';
export { readMarker, type ProposalMarker, type ProposalScope } from './proposal-marker.ts';
export type { ProposalDetail, ProposalSummary } from './proposal-detail.ts';
export type { ProposalState } from './proposals.ts';
export { openRecordStore, recordKey, type DecisionRecord, type RecordStore } from './records.ts';
export type { ReplayResult } from './replay.ts';
export { OVERRIDE_MS_MAX, type OverrideRequest, type RequestResult } from './requests.ts';
export { planningStages, type PlanningStages, type Stages } from './stages.ts';
export type { TrainingView } from './training.ts';
export type { DecisionView, EngineMetrics, EngineView, ForecastView, NodeView, ProposalView, TunnelView } from './view.ts';
