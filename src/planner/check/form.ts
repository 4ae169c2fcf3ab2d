import type { Plan } from '../../model/index.ts';

/** Every number finite, every index and time whole and not negative, every weight a whole per cent from 1 to 100. */
export function checkFigures(plan: Plan): string[] {
  const problems: string[] = [];
  for (const tunnel of plan.tunnels) {
    if (!Number.isSafeInteger(tunnel.index) || tunnel.index < 0) problems.push(`tunnel ${tunnel.id}: index ${tunnel.index} is no whole number from 0`);
    if (!Number.isFinite(tunnel.plannedAt)) problems.push(`tunnel ${tunnel.id}: plannedAt ${tunnel.plannedAt} is no time`);
  }
  for (const { from, to, classId, routes } of plan.assignments) {
    for (const { weight } of routes) {
      if (!Number.isSafeInteger(weight) || weight < 1 || weight > 100) problems.push(`assignment ${from}>${to} ${classId}: weight ${weight} is no whole per cent from 1 to 100`);
    }
  }
  for (const entry of [...plan.overrides, ...plan.vetoes]) {
    if (!Number.isFinite(entry.until)) problems.push(`an override or veto has no end: until ${entry.until}`);
  }
  return problems;
}

/** Lists in their one order, without doubles. */
export function checkOrder(plan: Plan): string[] {
  const problems: string[] = [];
  const see = (list: string, keys: readonly string[]): void => {
    for (let index = 1; index < keys.length; index++) {
      const [before, key] = [keys[index - 1]!, keys[index]!];
      if (key === before) problems.push(`${list} has ${key.replaceAll('\0', ' ')} twice`);
      else if (key < before) problems.push(`${list} is not sorted: ${key.replaceAll('\0', ' ')} after ${before.replaceAll('\0', ' ')}`);
    }
  };
  see('servingNodes', plan.servingNodes.map(({ site, node }) => `${site}\0${node}`));
  see('tunnels', plan.tunnels.map(({ id }) => id));
  see('assignments', plan.assignments.map(({ from, to, classId }) => `${from}\0${to}\0${classId}`));
  see('admitted', plan.admitted.map((pair) => pair.join('\0')));
  see('securityProfiles', plan.securityProfiles.map(({ name }) => name));
  see('overrides', plan.overrides.map(({ id }) => id));
  return problems;
}
