import { sortedBy } from '../base/index.ts';
import type { NodeId, NodeStatus, Site, SiteId, SiteNode } from '../model/index.ts';
import type { PlanInputs } from './plan.ts';
import type { Notes } from './notes.ts';
import { PLANNER_SETTINGS } from './settings.ts';

/**
 * Which nodes of each site own its LAN addresses and the tunnels, by id; sites without a node are missing. One, or the
 * active ones of a site that has several, without those that are being drained, dead or vetoed.
 * Order of decisions where it is one: a node that is being drained, dead or vetoed comes last; then the one that serves
 * now, so that a site does not swing back on its own; then the active one; then the lesser id.
 */
export function chooseServingNodes(inputs: PlanInputs, notes: Notes): Map<SiteId, SiteNode[]> {
  const drained = new Map<NodeId, string>();
  for (const override of inputs.overrides) {
    if (override.what.kind === 'drain-node' && override.until > inputs.now) drained.set(override.what.node, override.id);
  }
  const serving = new Map<SiteId, SiteNode[]>();
  for (const site of sortedBy(inputs.intent.sites, (each) => each.id)) {
    const chosen = chooseForSite(site, inputs, drained);
    if (chosen.length > 0) serving.set(site.id, chosen);
    for (const { id } of chosen) {
      const override = drained.get(id);
      if (override !== undefined) notes.wait(`draining of ${id}`, `no other node of ${site.id} can serve it (override ${override})`, null);
    }
  }
  return serving;
}

function chooseForSite(site: Site, inputs: PlanInputs, drained: ReadonlyMap<NodeId, string>): SiteNode[] {
  const current = new Set(inputs.previous.servingNodes.flatMap((entry) => (entry.site === site.id ? [entry.node] : [])));
  const vetoed = new Set(
    inputs.vetoes.flatMap((veto) => {
      const isHere = veto.until > inputs.now && veto.change.kind === 'serving-node' && veto.change.site === site.id;
      return isHere && veto.change.kind === 'serving-node' && !current.has(veto.change.node) ? [veto.change.node] : [];
    }),
  );
  const ranked = site.nodes
    .map((node) => {
      const dead = isDead(inputs.observation.nodes.find((status) => status.node === node.id), inputs.now);
      const unfit = (dead ? 4 : 0) + (drained.has(node.id) ? 2 : 0) + (vetoed.has(node.id) ? 1 : 0);
      return { node, unfit, rank: [unfit, current.has(node.id) ? 0 : 1, node.role === 'active' ? 0 : 1] };
    })
    .sort((left, right) => compareRanks(left.rank, right.rank) || (left.node.id < right.node.id ? -1 : 1));
  const isShared = site.nodes.filter(({ role }) => role === 'active').length > 1;
  const sharing = ranked.filter(({ node, unfit }) => isShared && unfit === 0 && node.role === 'active').map(({ node }) => node);
  return sharing.length > 0 ? sortedBy(sharing, (node) => node.id) : ranked.slice(0, 1).map(({ node }) => node);
}

/** Not connected and silent for longer than `nodeDeadMs`; a node never heard of is not known to be dead. */
export function isDead(status: NodeStatus | undefined, now: number): boolean {
  if (!status || status.connected || status.lastSeenAt === null) return false;
  return now - status.lastSeenAt > PLANNER_SETTINGS.nodeDeadMs;
}

/** Known, not connected, and not for long enough to be dead: an agent that is started again, or a moment without the engine. */
export function isAwayShortly(status: NodeStatus | undefined, now: number): boolean {
  return status !== undefined && !status.connected && status.lastSeenAt !== null && !isDead(status, now);
}

function compareRanks(left: readonly number[], right: readonly number[]): number {
  for (let index = 0; index < left.length; index++) {
    const difference = left[index]! - right[index]!;
    if (difference !== 0) return difference;
  }
  return 0;
}
