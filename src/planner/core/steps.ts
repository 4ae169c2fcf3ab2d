import type { Instance } from './instance.ts';
import type { InstancePlan } from './plan-file.ts';
import { buildTables, type Tables } from './tables.ts';

/** One step of a change: tunnels come up, then traffic moves (in any order), then tunnels that nothing needs go. */
export interface Step {
  open: number[];
  /** Demands that change, and all their flows after the step. */
  changed: number[];
  flows: InstancePlan['flows'];
  close: number[];
}

export interface Change {
  steps: Step[];
  /** What had to be taken off for some steps, because nothing could move otherwise; it is back in the end. Mbit/s. */
  interrupted: { demand: number; mbps: number }[];
}

/** A way of a demand with what it sends now and in the end. */
interface Way {
  demand: number;
  links: readonly number[];
  /** Resources it uses, and how often. */
  uses: readonly (readonly [resource: number, times: number])[];
  now: number;
  later: number;
}

/** Mbit/s; less is nothing. */
const NOTHING = 1e-6;
/** Shares of a capacity that rounding may take. */
const MARGIN = 1e-7;
/** A change that takes more steps than this is finished by interrupting what is in the way. */
const PATIENCE = 8;

/**
 * Orders the change from one plan to the next so that nothing is over a limit on the way: a tunnel is up before traffic moves to it
 * and down only when nothing needs it, no site ever has more tunnels than slots, and in each step every resource could carry the
 * old and the new flows at once, so it does not matter who switches first (no congestion in between). Where everything waits for
 * everything, the least important traffic that blocks is taken off for a while, and that is said.
 * @see Hong et al., Achieving high utilization with software-driven WAN (2013), for steps without congestion
 */
export function orderSteps(instance: Instance, before: InstancePlan, after: InstancePlan): Change {
  const tables = buildTables(instance);
  const ways = waysOf(tables, before, after);
  const load = new Float64Array(tables.resources + 1);
  for (const way of ways) addLoad(load, way, way.now);
  const slots = makeSlots(tables, before.tunnels, after.tunnels);
  const change: Change = { steps: [], interrupted: [] };
  for (let round = 0; ; round++) {
    const opened = slots.openWhatFits();
    const moved = move(tables, ways, load, slots.isOpen);
    const closed = slots.closeUnused(ways);
    const hasMoved = opened.length + moved.size + closed.length > 0;
    if (hasMoved) change.steps.push({ open: opened, ...flowsOf(ways, moved), close: closed });
    if (ways.every(isDone) && slots.isDone()) return change;
    if (hasMoved && round < PATIENCE) continue;
    const interrupted = interrupt(tables, ways, load);
    if (interrupted.size === 0) {
      if (hasMoved) continue;
      return change;
    }
    for (const [demand, mbps] of interrupted) change.interrupted.push({ demand, mbps });
    change.steps.push({ open: [], ...flowsOf(ways, new Set(interrupted.keys())), close: slots.closeUnused(ways) });
  }
}

/** Moves what can move in one step; room that is given up counts from the next step on. */
function move(tables: Tables, ways: readonly Way[], load: Float64Array, isOpen: (link: number) => boolean): Set<number> {
  const most = load.slice();
  const changed = new Set<number>();
  for (const group of byDemand(ways)) {
    let given = Math.max(0, group.reduce((sum, { now, later }) => sum + now - later, 0));
    for (const way of group) {
      const wanted = way.later - way.now;
      if (wanted <= NOTHING || !way.links.every(isOpen)) continue;
      const room = way.uses.reduce((least, [resource, times]) => Math.min(least, (tables.capacity[resource]! * (1 + MARGIN) - most[resource]!) / times), wanted);
      const mbps = wanted - room < NOTHING ? wanted : room;
      if (mbps <= NOTHING) continue;
      addLoad(most, way, mbps);
      addLoad(load, way, mbps);
      way.now = mbps === wanted ? way.later : way.now + mbps;
      given += mbps;
      changed.add(way.demand);
    }
    for (const way of group) {
      const spare = way.now - way.later;
      const mbps = Math.min(spare, given);
      if (spare <= 0 || mbps <= NOTHING / 2) continue;
      addLoad(load, way, -mbps);
      way.now = spare - mbps < NOTHING ? way.later : way.now - mbps;
      given -= mbps;
      changed.add(way.demand);
    }
  }
  return changed;
}

/** Takes the least important traffic that still has to move off its old ways. */
function interrupt(tables: Tables, ways: readonly Way[], load: Float64Array): Map<number, number> {
  const stuck = ways.filter(({ now, later }) => now > later);
  const least = Math.min(...stuck.map(({ demand }) => tables.weight[tables.classOf[demand]!]!));
  const taken = new Map<number, number>();
  for (const way of stuck) {
    if (tables.weight[tables.classOf[way.demand]!] !== least) continue;
    const mbps = way.now - way.later;
    addLoad(load, way, -mbps);
    way.now = way.later;
    taken.set(way.demand, (taken.get(way.demand) ?? 0) + mbps);
  }
  return taken;
}

interface Slots {
  isOpen: (link: number) => boolean;
  openWhatFits: () => number[];
  closeUnused: (ways: readonly Way[]) => number[];
  isDone: () => boolean;
}

function makeSlots(tables: Tables, before: readonly number[], after: readonly number[]): Slots {
  const open = new Set(before);
  const wanted = new Set(after);
  const used = new Int32Array(tables.sites);
  const ends = (link: number): [number, number] => [tables.hopFrom[2 * link]!, tables.hopTo[2 * link]!];
  const count = (link: number, by: number): void => ends(link).forEach((site) => void (used[site]! += by));
  for (const link of open) count(link, 1);
  return {
    isOpen: (link) => open.has(link),
    openWhatFits: () => {
      const opened = [...wanted].filter((link) => {
        if (open.has(link) || ends(link).some((site) => used[site]! >= tables.slots[site]!)) return false;
        open.add(link);
        count(link, 1);
        return true;
      });
      return opened;
    },
    closeUnused: (ways) => {
      const carrying = new Set(ways.flatMap(({ links, now }) => (now > 0 ? links : [])));
      const closed = [...open].filter((link) => !wanted.has(link) && !carrying.has(link));
      for (const link of closed) {
        open.delete(link);
        count(link, -1);
      }
      return closed;
    },
    isDone: () => open.size === wanted.size && [...wanted].every((link) => open.has(link)),
  };
}

/** Ways of both plans, the most important demands first. */
function waysOf(tables: Tables, before: InstancePlan, after: InstancePlan): Way[] {
  const known = new Map<string, Way>();
  const add = ({ demand, links, mbps }: InstancePlan['flows'][number], when: 'now' | 'later'): void => {
    if (demand >= tables.demands || links.some((link) => link >= tables.links)) return;
    const key = `${demand} ${links.join(' ')}`;
    const way = known.get(key) ?? { demand, links, uses: usesOf(tables, tables.source[demand]!, links), now: 0, later: 0 };
    way[when] += mbps;
    known.set(key, way);
  };
  for (const flow of before.flows) add(flow, 'now');
  for (const flow of after.flows) add(flow, 'later');
  const rank = ({ demand }: Way): number => tables.weight[tables.classOf[demand]!]!;
  return [...known.values()].sort((one, other) => rank(other) - rank(one) || one.demand - other.demand);
}

function usesOf(tables: Tables, source: number, links: readonly number[]): [number, number][] {
  const uses = new Map<number, number>();
  const use = (resource: number): void => void (resource < tables.resources && uses.set(resource, 1 + (uses.get(resource) ?? 0)));
  let at = source;
  for (const link of links) {
    const hop = tables.hopFrom[2 * link] === at ? 2 * link : 2 * link + 1;
    for (const resource of [tables.hopUses[4 * hop]!, tables.hopUses[4 * hop + 1]!, tables.hopUses[4 * hop + 2]!, tables.cryptoBase + tables.hopFrom[hop]!, tables.cryptoBase + tables.hopTo[hop]!]) use(resource);
    at = tables.hopTo[hop]!;
  }
  return [...uses];
}

function byDemand(ways: readonly Way[]): Way[][] {
  const groups = new Map<number, Way[]>();
  for (const way of ways) {
    const group = groups.get(way.demand);
    if (group === undefined) groups.set(way.demand, [way]);
    else group.push(way);
  }
  return [...groups.values()];
}

function addLoad(load: Float64Array, { uses }: Way, mbps: number): void {
  for (const [resource, times] of uses) load[resource]! += times * mbps;
}

function isDone({ now, later }: Way): boolean {
  return now === later;
}

function flowsOf(ways: readonly Way[], demands: Set<number>): Pick<Step, 'changed' | 'flows'> {
  return {
    changed: [...demands].sort((one, other) => one - other),
    flows: ways.filter(({ demand, now }) => demands.has(demand) && now > 0).map(({ demand, links, now }) => ({ demand, links: [...links], mbps: now })),
  };
}
