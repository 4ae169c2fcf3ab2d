import { digest, ForemeshError } from '../base/index.ts';
import { EMPTY_PLAN, type Intent, type Plan } from '../model/index.ts';
import type { EngineDeps } from './deps.ts';
import { fileDigests } from './decide.ts';

/** The plan of one commit as its tree holds it. */
export interface TreePlan {
  plan: Plan;
  files: Map<string, string>;
  /** Digests of the files that agents read. */
  digests: Record<string, string>;
}

/** What is planned before anything was. */
export function emptyTree(intent: Intent): TreePlan {
  return { plan: { ...EMPTY_PLAN, mesh: intent.mesh.name }, files: new Map(), digests: {} };
}

/** Reads the plan out of a commit. @throws ForemeshError PLAN_INVALID when there is none or it does not parse; GIT_REF_REFUSED for a hostile tree */
export async function readTreePlan(deps: Pick<EngineDeps, 'repository' | 'planning'>, commit: string): Promise<TreePlan> {
  const files = new Map((await deps.repository.readFolder(commit, 'plan')).map(({ file, text }) => [file, text]));
  const text = files.get('plan/mesh.yaml');
  if (text === undefined) {
    throw new ForemeshError('PLAN_INVALID', { what: `commit ${commit.slice(0, 12)} has no plan/mesh.yaml`, fix: 'revert the commit that removed it' });
  }
  return { plan: deps.planning.parsePlan(text), files, digests: fileDigests(files) };
}

/** Digest of a plan without its moments of planning: what makes two plans the same plan. */
export function planDigest(plan: Plan): string {
  return digest({ ...plan, tunnels: plan.tunnels.map((tunnel) => ({ ...tunnel, plannedAt: 0 })) });
}
