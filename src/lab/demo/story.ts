import type { Demo } from './demo.ts';
import { showContention } from './steps/contention.ts';
import { showCut } from './steps/cut.ts';
import { showFirstPlan } from './steps/first-plan.ts';
import { showGuardrails } from './steps/guardrails.ts';
import { showLab } from './steps/lab-up.ts';
import { showMeshRepository } from './steps/mesh-repository.ts';
import { showPeak } from './steps/peak.ts';
import { showProposal } from './steps/proposal.ts';
import { showRevert } from './steps/revert.ts';
import { startTraffic } from './steps/traffic.ts';

export interface Step {
  title: string;
  run: (demo: Demo) => Promise<void>;
}

/** The main job in ten steps; told on any `World`, and tested step by step on both. */
export const STORY: readonly Step[] = [
  { title: 'A mesh repository: intent and policies in Git', run: showMeshRepository },
  { title: 'The mesh comes up: gateways, daemons, agents, certificates', run: showLab },
  { title: 'Hosts send; agents count it per pair and class', run: startTraffic },
  { title: 'Train, forecast, plan, judge, commit; tunnels come up', run: showFirstPlan },
  { title: 'Before the peak: a second path carries its share', run: showPeak },
  { title: 'A large change waits for a person', run: showProposal },
  { title: 'A path is cut, silently', run: showCut },
  { title: 'Unused tunnels go, unimportant ones give way', run: showContention },
  { title: 'git revert takes it back, and it stays back', run: showRevert },
  { title: 'What may not be is refused; an override has an end', run: showGuardrails },
];
