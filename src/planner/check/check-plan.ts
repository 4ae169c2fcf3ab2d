import type { Finding } from '../../base/index.ts';
import type { Intent, Plan } from '../../model/index.ts';
import { checkAddresses, checkLimits, checkTunnels } from './tunnels.ts';
import { checkAssignments } from './assignments.ts';
import { ruleFor } from './rules.ts';
import { checkFigures, checkOrder } from './form.ts';

/**
 * Judges a plan against the intent, knowing nothing of how it was made and sharing no code with the planner: every
 * reference leads somewhere, only admitted pairs have anything, nothing drained, forbidden or too weak is used, limits
 * hold, weights add up, and the plan is written in its one normal form. [] when all is well; all findings at once, each
 * with code PLAN_INVALID.
 */
export function checkPlan(intent: Intent, plan: Plan): Finding[] {
  const problems = [
    ...checkFigures(plan),
    ...checkOrder(plan),
    ...checkHeader(intent, plan),
    ...checkServingNodes(intent, plan),
    ...checkAdmitted(intent, plan),
    ...checkTunnels(intent, plan),
    ...checkAddresses(intent, plan),
    ...checkLimits(intent, plan),
    ...checkAssignments(intent, plan),
  ];
  return [...new Set(problems)].map((what) => ({
    code: 'PLAN_INVALID',
    severity: 'error',
    what,
    where: null,
    fix: 'plan again from this intent; if the planner made this plan, report it with `foremesh replay`',
  }));
}

function checkHeader(intent: Intent, plan: Plan): string[] {
  const problems: string[] = [];
  if (plan.schema !== 'foremesh/plan/v1') problems.push(`schema ${JSON.stringify(plan.schema)} is not foremesh/plan/v1`);
  if (plan.mesh !== intent.mesh.name) problems.push(`the plan is for mesh ${plan.mesh}, the intent for ${intent.mesh.name}`);
  return problems;
}

function checkServingNodes(intent: Intent, plan: Plan): string[] {
  const problems: string[] = [];
  const seen = new Set<string>();
  for (const { site, node } of plan.servingNodes) {
    const nodes = intent.sites.find((each) => each.id === site)?.nodes;
    if (!nodes) problems.push(`serving node of site ${site}, which the intent does not have`);
    else if (!nodes.some((each) => each.id === node)) problems.push(`serving node ${node} is no node of site ${site}`);
    const others = plan.servingNodes.filter((other) => other.site === site && other.node !== node);
    const areActive = [node, ...others.map((other) => other.node)].every((id) => nodes?.find((each) => each.id === id)?.role === 'active');
    if (others.length > 0 && !areActive) problems.push(`site ${site} has several serving nodes, and not all of them are active ones`);
    if (others.length > 1) problems.push(`site ${site} has ${others.length + 1} serving nodes, two at most can share its traffic`);
    seen.add(site);
  }
  for (const site of intent.sites) {
    if (site.nodes.length > 0 && !seen.has(site.id)) problems.push(`site ${site.id} has no serving node`);
  }
  return problems;
}

function checkAdmitted(intent: Intent, plan: Plan): string[] {
  const problems: string[] = [];
  for (const [one, other] of plan.admitted) {
    const isOrdered = one < other;
    const areKnown = [one, other].every((id) => intent.sites.some((site) => site.id === id));
    const rule = ruleFor(intent, one, other);
    if (!isOrdered) problems.push(`admitted pair ${one}, ${other}: the lesser site comes first, and a site is not paired with itself`);
    if (!areKnown) problems.push(`admitted pair ${one}, ${other} names a site the intent does not have`);
    if (!rule || rule.mode === 'never') problems.push(`pair ${one}, ${other} is admitted although the intent ${rule ? `says never (${rule.name})` : 'has no connection for it'}`);
  }
  return problems;
}
