import { nodesOf, type Assignment, type ClassId, type Intent, type Plan, type SiteId, type Tunnel, type TunnelId } from '../../model/index.ts';

/** What one Mbit/s of a demand costs on one resource, Mbit/s. */
interface Use {
  resource: number;
  share: number;
}

/**
 * What a plan makes of demands, without planning anything: each uplink's two directions and each node's cryptography,
 * with what may go over them. The names and their order follow from the intent alone, so two plans can be compared.
 */
export interface LoadModel {
  names: string[];
  limitsMbps: number[];
  /** By `from>to#class`; a demand that is not in here has no way. */
  uses: ReadonlyMap<string, readonly Use[]>;
}

/** @param plan  its tunnels may name uplinks that the intent no longer has: these have no limit and are left out */
export function loadModel(intent: Intent, plan: Plan): LoadModel {
  const names: string[] = [];
  const limitsMbps: number[] = [];
  const numbers = new Map<string, number>();
  const add = (name: string, limitMbps: number): void => {
    numbers.set(name, limitsMbps.push(limitMbps) - 1);
    names.push(name);
  };
  for (const node of nodesOf(intent)) {
    for (const { id, upMbps, downMbps } of node.uplinks) {
      add(`${id} up`, upMbps * intent.mesh.utilisationMax);
      add(`${id} down`, downMbps * intent.mesh.utilisationMax);
    }
    add(`${node.id} crypto`, node.cryptoMbps);
  }
  const tunnels = new Map(plan.tunnels.map((tunnel) => [tunnel.id, tunnel]));
  return { names, limitsMbps, uses: new Map(plan.assignments.map((assignment) => [demandName(assignment), usesOf(assignment, tunnels, numbers)])) };
}

/** Load of every resource, Mbit/s, under demands of one slot. @param mbpsOf by `from>to#class`; what is not known counts as 0 */
export function loadsOf(model: LoadModel, mbpsOf: (demand: string) => number): Float64Array {
  const loads = new Float64Array(model.names.length);
  for (const [demand, uses] of model.uses) {
    const mbps = mbpsOf(demand);
    if (mbps > 0) for (const { resource, share } of uses) loads[resource] = loads[resource]! + mbps * share;
  }
  return loads;
}

export function demandName({ from, to, classId }: { from: SiteId; to: SiteId; classId: ClassId }): string {
  return `${from}>${to}#${classId}`;
}

function usesOf(assignment: Assignment, tunnels: ReadonlyMap<TunnelId, Tunnel>, numbers: ReadonlyMap<string, number>): Use[] {
  const shares = new Map<number, number>();
  const use = (name: string, share: number): void => {
    const resource = numbers.get(name);
    if (resource !== undefined) shares.set(resource, (shares.get(resource) ?? 0) + share);
  };
  const send = (way: readonly TunnelId[], share: number): void => {
    let at = assignment.from;
    for (const id of way) {
      const tunnel = tunnels.get(id);
      if (!tunnel) return;
      const [sender, receiver] = tunnel.a.site === at ? [tunnel.a, tunnel.b] : [tunnel.b, tunnel.a];
      use(`${sender.uplink} up`, share);
      use(`${receiver.uplink} down`, share);
      use(`${sender.node} crypto`, share);
      use(`${receiver.node} crypto`, share);
      at = receiver.site;
    }
  };
  for (const { tunnels: way, weight } of assignment.routes) send(way, weight / 100);
  // a class that is sent twice takes as much again on the first way of its copies
  if (assignment.copies?.[0]) send(assignment.copies[0], 1);
  return [...shares].map(([resource, share]) => ({ resource, share }));
}
