import type { Instance, InstancePlan } from './core/index.ts';
import { measureRound } from './certify.ts';
import { planRounds, type PlanInputs } from './plan.ts';

/** A mesh for other programs: the problem, and what the engine makes of it, both in the core's format (docs/planning.md). */
export interface ExportedMesh extends Instance {
  /** The engine's plan: what it sends within the limits and SLAs, with the prices that prove how good that is. Its further tunnels and fall-backs are left out. */
  plan: InstancePlan;
}

/** The planning problem of these inputs as a `te-instance/1` with the engine's plan for it, to be judged by a program that shares nothing with the engine. */
export function exportInstance(inputs: PlanInputs): ExportedMesh {
  const { board } = planRounds(inputs).rounds.at(-1)!;
  const { mesh, flows, prices } = measureRound(board);
  const tunnels = mesh.hops.flatMap((hop, link) => (board.ledger.isClaimed(hop) ? [link] : []));
  return { ...mesh.instance, plan: { tunnels, flows, backups: [], idle: [], prices: [...prices] } };
}
