import type { Flows } from './flows.ts';
import { eachWay, type Legs } from './paths.ts';
import type { InstancePlan } from './plan-file.ts';
import { makeRiskMarks, type RiskMarks } from './reserve.ts';
import type { Tables } from './tables.ts';
import type { Tunnels } from './tunnels.ts';

/** What a demand's backup is worth, as much as so many Mbit/s of the least important class. */
export const BACKUP_WORTH = 2.5;

/** What open tunnels protect, and what opening or closing one would change of that; in demands. */
export interface Protection {
  /** Demands that have two open ways without a risk in common. */
  protects: number;
  /** By link: demands that would lose their second way with it. */
  needed: Float64Array;
  /** By link: demands that would gain one by it, `WITH_ANOTHER` for each that would need a second new tunnel too. */
  helps: Float64Array;
}

/** What a new tunnel counts for a demand that needs a second one too: those that many share, to a relay, are found so. */
const WITH_ANOTHER = 0.4;
/** So many of the open ways of a demand are asked what new tunnel would back them up, direct ones first. */
const TRIED = 2;
/** Where more demands want a backup than this, none are looked at: too dear beside all else; those get backups in slots that are left. */
const MOST_WANTING = 10_000;
/** Mbit/s; less is nothing. */
const NOTHING = 1e-6;
/** By link, while openers are counted: whether it helps alone, only with another, or (0) not at all. */
const ALONE = 2;
const ANOTHER = 1;

/** Ways as hops, `second` -1 for a direct one; filled again and again. */
interface Ways {
  first: number[];
  second: number[];
}

/** As where no demand wants a backup. */
export function noProtection(tables: Tables): Protection {
  return { protects: 0, needed: new Float64Array(tables.links), helps: new Float64Array(tables.links) };
}

/** By link: what the backups of the plan before over it are worth. */
export function backupWorth(tables: Tables, previousPlan: InstancePlan | undefined): Float64Array {
  const worth = new Float64Array(tables.links);
  for (const { links } of previousPlan?.backups ?? []) for (const link of links) if (link < tables.links) worth[link]! += BACKUP_WORTH;
  return worth;
}

/** Whether each end has two uplinks that have no risk in common; without, no two ways can be disjoint. */
export function canBeProtected(tables: Tables, demand: number): boolean {
  return tables.isSevered[tables.source[demand]!] === 0 && tables.isSevered[tables.target[demand]!] === 0;
}

/**
 * Looks, whenever it is called, at each demand that is served and wants a backup: two disjoint ways over what is open then, whichever of them
 * carries more. Demands that could not have two if all links were open are found once.
 */
export function protectionOver(tables: Tables, flows: Flows, { isOpen }: Tunnels): () => Protection {
  const marks = makeRiskMarks(tables);
  const wanting = Int32Array.from({ length: tables.demands }, (_, demand) => demand).filter((demand) => tables.wantsBackup[tables.classOf[demand]!] === 1 && canBeProtected(tables, demand));
  const looked = wanting.length > MOST_WANTING ? wanting.subarray(0, 0) : wanting;
  const canBe = new Int8Array(tables.demands).fill(-1);
  const needed = new Int32Array(4);
  const ways: Ways = { first: [], second: [] };
  const openers = new Int8Array(tables.links);
  return () => {
    const protection = noProtection(tables);
    const open = openLegs(tables, isOpen);
    for (const demand of looked) {
      if (canBe[demand] === 0 || flows.served[demand]! <= NOTHING) continue;
      findWays(tables, demand, open, ways);
      const count = neededBy(ways, marks, needed);
      if (count >= 0) {
        protection.protects++;
        for (let at = 0; at < count; at++) protection.needed[needed[at]!]!++;
        continue;
      }
      if (canBe[demand] === -1) {
        findWays(tables, demand, tables, ways);
        canBe[demand] = neededBy(ways, marks, needed) < 0 ? 0 : 1;
        findWays(tables, demand, open, ways);
      }
      if (canBe[demand] === 1) countOpeners(tables, isOpen, demand, ways, marks, protection, openers);
    }
    return protection;
  };
}

/**
 * The links that every pair of disjoint ways needs.
 * @param into the links, at most four
 * @returns how many they are; -1 when there is no such pair
 */
function neededBy(ways: Ways, marks: RiskMarks, into: Int32Array): number {
  let count = -1;
  for (let one = 0; one < ways.first.length; one++) {
    const first = ways.first[one]!;
    const second = ways.second[one]!;
    marks.putWay(first, second);
    for (let other = one + 1; other < ways.first.length; other++) {
      const third = ways.first[other]!;
      const fourth = ways.second[other]!;
      if (marks.meetsHop(third) || (fourth >= 0 && marks.meetsHop(fourth))) continue;
      if (count < 0) {
        count = 0;
        into[count++] = first >> 1;
        if (second >= 0) into[count++] = second >> 1;
        into[count++] = third >> 1;
        if (fourth >= 0) into[count++] = fourth >> 1;
        continue;
      }
      let kept = 0;
      for (let at = 0; at < count; at++) {
        const link = into[at]!;
        if (link === first >> 1 || link === second >> 1 || link === third >> 1 || link === fourth >> 1) into[kept++] = link;
      }
      count = kept;
      if (count === 0) return 0;
    }
  }
  return count;
}

/** Of each leg the hops that have a tunnel. */
function openLegs(tables: Tables, isOpen: Uint8Array): Legs {
  const legStart = new Int32Array(tables.legStart.length);
  const legHops = new Int32Array(tables.legHops.length);
  let end = 0;
  for (let leg = 0; leg + 1 < legStart.length; leg++) {
    for (let at = tables.legStart[leg]!; at < tables.legStart[leg + 1]!; at++) if (isOpen[tables.legHops[at]! >> 1] === 1) legHops[end++] = tables.legHops[at]!;
    legStart[leg + 1] = end;
  }
  return { legStart, legHops };
}

function countOpeners(tables: Tables, isOpen: Uint8Array, demand: number, open: Ways, marks: RiskMarks, { helps }: Protection, openers: Int8Array): void {
  const found: number[] = [];
  const note = (link: number, kind: number): void => {
    if (openers[link] === 0) found.push(link);
    if (openers[link]! < kind) openers[link] = kind;
  };
  for (let index = 0; index < Math.min(TRIED, open.first.length); index++) {
    marks.putWay(open.first[index]!, open.second[index]!);
    eachWay(tables, demand, (hop) => !marks.meetsHop(hop), (first, second) => {
      if (second < 0) note(first >> 1, ALONE);
      else if (isOpen[first >> 1] === 1) note(second >> 1, ALONE);
      else if (isOpen[second >> 1] === 1) note(first >> 1, ALONE);
      else {
        note(first >> 1, ANOTHER);
        note(second >> 1, ANOTHER);
      }
    });
  }
  for (const link of found) {
    helps[link]! += openers[link] === ALONE ? 1 : WITH_ANOTHER;
    openers[link] = 0;
  }
}

/** The ways of a demand over these legs, in place of those before. */
function findWays(tables: Tables, demand: number, legs: Legs, { first, second }: Ways): void {
  first.length = 0;
  second.length = 0;
  eachWay(
    tables,
    demand,
    anyHop,
    (one, other) => {
      first.push(one);
      second.push(other);
    },
    legs,
  );
}

function anyHop(): boolean {
  return true;
}
