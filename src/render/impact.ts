import type { Assignment, Impact } from '../model/index.ts';
import { assignmentKey, type PlanView } from './plan-view.ts';
import { SILENT_MBPS, type Means } from './traffic.ts';

/**
 * What losing all routes does to a (pair, class): nothing when the forecast expects nothing of it, which is how an idle
 * tunnel goes; else an interruption. Without a forecast everything counts as in use.
 */
export function lostImpact(before: PlanView, after: PlanView, assignment: Assignment, means: Means): Impact {
  if (!means) return 'interrupt';
  const backKey = assignmentKey({ from: assignment.to, to: assignment.from, classId: assignment.classId });
  const expectedMbps = Math.max(means.get(assignmentKey(assignment)) ?? 0, before.assignments.has(backKey) && !after.assignments.has(backKey) ? (means.get(backKey) ?? 0) : 0);
  return expectedMbps >= SILENT_MBPS ? 'interrupt' : 'none';
}
