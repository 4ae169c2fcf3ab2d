import { eachWay } from './paths.ts';
import { makeRiskMarks } from './reserve.ts';
import type { Tables } from './tables.ts';
import { hasFreeSlot, openIdle, type Tunnels } from './tunnels.ts';

/** A way as hops, `second` -1 for a direct one. */
export interface Way {
  first: number;
  second: number;
}

export interface BackupSearch {
  /** Ways that share none of the risks and need exactly so many new tunnels, in slots that are free; the shortest first, at most `SHORTLIST`. */
  shortest: (demand: number, risks: readonly number[], newTunnels: number) => Way[];
  /** New tunnels that would help a demand to such a way, with how much: `ALONE` when nothing else is needed. */
  openers: (demand: number, risks: readonly number[]) => Map<number, number>;
}

/** So many of the shortest ways are looked at for room in the reserve. */
const SHORTLIST = 4;
/** What a new tunnel counts for a demand that needs nothing else, and for one that needs a second one too. */
const ALONE = 5;
const WITH_ANOTHER = 2;
/** Rounds of opening what helps most: one that opened a tunnel makes others of more use. */
const ROUNDS = 6;

/**
 * Finds ways for backups.
 * @param isShort whether a site has too few free slots for a tunnel to each partner, so that sharing one to a relay counts
 */
export function makeSearch(tables: Tables, tunnels: Tunnels, isShort: (site: number) => boolean): BackupSearch {
  const marks = makeRiskMarks(tables);
  const isFree = (hop: number): boolean => hasFreeSlot(tables, tunnels, tables.hopFrom[hop]!, 1) && hasFreeSlot(tables, tunnels, tables.hopTo[hop]!, 1);
  const isLookedAt = new Uint8Array(tables.hubs.length);
  const each = (demand: number, risks: readonly number[], newTunnels: number, visit: (first: number, second: number) => void): void => {
    marks.put(risks);
    lookAtHubs(tables, tunnels, demand, newTunnels, isLookedAt);
    const isAllowed = (hop: number): boolean => (tunnels.isOpen[hop >> 1] === 1 || (newTunnels > 0 && isFree(hop))) && !marks.meetsHop(hop);
    eachWay(tables, demand, isAllowed, (first, second) => {
      const opened = 1 - tunnels.isOpen[first >> 1]! + (second < 0 ? 0 : 1 - tunnels.isOpen[second >> 1]!);
      if (opened === newTunnels && (opened < 2 || hasFreeSlot(tables, tunnels, tables.hopTo[first]!, 2))) visit(first, second);
    }, tables, isLookedAt);
  };
  return {
    shortest: (demand, risks, newTunnels) => {
      const found: (Way & { rttMs: number })[] = [];
      each(demand, risks, newTunnels, (first, second) => {
        const rttMs = tables.hopRttMs[first]! + (second < 0 ? 0 : tables.hopRttMs[second]! + tables.relayMs);
        if (found.length === SHORTLIST && rttMs >= found[SHORTLIST - 1]!.rttMs) return;
        let place = found.length;
        while (place > 0 && found[place - 1]!.rttMs > rttMs) place--;
        found.splice(place, 0, { first, second, rttMs });
        if (found.length > SHORTLIST) found.pop();
      });
      return found;
    },
    openers: (demand, risks) => {
      const links = new Map<number, number>();
      if (isShort(tables.source[demand]!) || isShort(tables.target[demand]!)) {
        each(demand, risks, 2, (first, second) => void links.set(first >> 1, WITH_ANOTHER).set(second >> 1, WITH_ANOTHER));
      }
      each(demand, risks, 1, (first, second) => void links.set(tunnels.isOpen[first >> 1] === 0 ? first >> 1 : second >> 1, ALONE));
      return links;
    },
  };
}

/** Which relays a demand could meet at with exactly so many new tunnels: its sites have the others there, and slots are free. Most are ruled out so, before a hop is looked at. */
function lookAtHubs(tables: Tables, tunnels: Tunnels, demand: number, newTunnels: number, isLookedAt: Uint8Array): void {
  const { hubs } = tables;
  const { toHub } = tunnels;
  const source = tables.source[demand]!;
  const target = tables.target[demand]!;
  const atSource = hasFreeSlot(tables, tunnels, source, 1);
  const atTarget = hasFreeSlot(tables, tunnels, target, 1);
  for (let hub = 0; hub < hubs.length; hub++) {
    const hasFirst = toHub[source * hubs.length + hub]! > 0;
    const hasSecond = toHub[target * hubs.length + hub]! > 0;
    const isMet =
      newTunnels === 0
        ? hasFirst && hasSecond
        : newTunnels === 1
          ? ((hasFirst && atTarget) || (hasSecond && atSource)) && hasFreeSlot(tables, tunnels, hubs[hub]!, 1)
          : atSource && atTarget && hasFreeSlot(tables, tunnels, hubs[hub]!, 2);
    isLookedAt[hub] = isMet ? 1 : 0;
  }
}

/**
 * Opens tunnels in free slots, always the one that gives most demands a backup (the greedy rule for covering sets).
 * @param settle gives a demand a backup over what is open
 * @returns the demands that still have none
 */
export function openForMost(tables: Tables, tunnels: Tunnels, search: BackupSearch, demands: Int32Array, risksOf: (demand: number) => readonly number[], settle: (demand: number) => boolean): Int32Array {
  let left = demands;
  const isSettled = new Uint8Array(tables.demands);
  for (let round = 0; round < ROUNDS; round++) {
    const use = new Int32Array(tables.links);
    const helped = new Map<number, number[]>();
    const openersOf = new Map<number, Map<number, number>>();
    for (const demand of left) {
      const openers = search.openers(demand, risksOf(demand));
      openersOf.set(demand, openers);
      for (const [link, counts] of openers) {
        use[link]! += counts;
        const list = helped.get(link);
        if (list === undefined) helped.set(link, [demand]);
        else list.push(demand);
      }
    }
    const byUse: number[][] = [];
    for (const link of [...helped.keys()].sort((one, other) => one - other)) (byUse[use[link]!] ??= []).push(link);
    let opened = 0;
    for (let most = byUse.length - 1; most > 0; most--) {
      const links = byUse[most] ?? [];
      for (let index = 0; index < links.length; index++) {
        const link = links[index]!;
        if (use[link]! < most) {
          if (use[link]! > 0) (byUse[use[link]!] ??= []).push(link);
          continue;
        }
        if (!hasFreeSlot(tables, tunnels, tables.hopFrom[2 * link]!, 1) || !hasFreeSlot(tables, tunnels, tables.hopTo[2 * link]!, 1)) continue;
        openIdle(tables, tunnels, link);
        opened++;
        for (const demand of helped.get(link)!) {
          if (isSettled[demand] === 1 || !settle(demand)) continue;
          isSettled[demand] = 1;
          for (const [other, counts] of openersOf.get(demand)!) use[other]! -= counts;
        }
      }
    }
    if (opened === 0) break;
    left = left.filter((demand) => isSettled[demand] === 0);
  }
  return left;
}
