import type { Clock, Log, SourceFile } from '../base/index.ts';
import type { AgentHub } from '../channel/index.ts';
import type { Forecaster } from '../forecast/index.ts';
import type { Forge } from '../forge/index.ts';
import type { Repository } from '../git/index.ts';
import type { loadIntent } from '../intent/index.ts';
import type { DemandSeries, Intent } from '../model/index.ts';
import type { CompiledPolicy, compilePolicy, PolicyRunner } from '../policy/index.ts';
import type { TelemetryStore } from '../telemetry/index.ts';
import type { PlanningStages } from './stages.ts';

/** What training starts from: past demand, all series ending at `endAt`. */
export interface TrainingHistory {
  series: DemandSeries[];
  endAt: number;
  /** Generated rather than measured: it deserves little work, is scaled to what is observed, and goes when there is enough of that. */
  isMadeUp?: boolean;
}

/** Everything an engine touches, handed in: real parts in `serve`, virtual time and plain values in tests and simulation. */
export interface EngineDeps {
  clock: Clock;
  log: Log;
  seed: string;
  /** Recorded inputs, compiled policies, the model, and which commit was published last. All but the inputs can be rebuilt. */
  stateDir: string;
  repository: Repository;
  forge: Forge;
  store: TelemetryStore;
  forecaster: Forecaster;
  hub: Pick<AgentHub, 'publish' | 'nodes' | 'tunnelStatuses' | 'droppedSamples' | 'onEvent'>;
  policy: PolicyTools;
  loadIntent: typeof loadIntent;
  planning: PlanningStages;
  /** Whose signature on a commit of mesh/live counts, and the allowed_signers file that holds the key. */
  signer: { identity: string; signersFile: string };
  /** Demand to train on before there is any observed; called once per training. */
  history: (intent: Intent, now: number) => Promise<TrainingHistory> | TrainingHistory;
  /** Branch with intent and policies; default `main`. */
  mainBranch?: string;
  /** The first plan of a mesh waits until the models are trained; by default it comes at once, made on what was observed. */
  isFirstPlanAfterTraining?: boolean;
  /** How often the models are trained again, ms; default every night. */
  retrainMs?: number;
  /** Called between all effects; a test throws or kills here. */
  checkpoint?: (name: Checkpoint) => void | Promise<void>;
}

export interface PolicyTools {
  compile(files: readonly SourceFile[]): ReturnType<typeof compilePolicy>;
  run(policy: CompiledPolicy): Promise<PolicyRunner>;
}

/** The places at which an engine may die, in the order of a cycle. */
export const CHECKPOINTS = [
  'fetched',
  'loaded',
  'observed',
  'decided',
  'recorded',
  'committed',
  'pushed',
  'remembered',
  'proposal-committed',
  'proposal-pushed',
  'proposal-opened',
  'merged',
  'proposal-closed',
  'published',
] as const;

export type Checkpoint = (typeof CHECKPOINTS)[number];

export const LIVE_BRANCH = 'mesh/live';
export const LIVE_REF = `refs/heads/${LIVE_BRANCH}`;
export const PROPOSAL_PREFIX = 'mesh/plan/';
