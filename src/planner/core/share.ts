import { roomOf, send, type Flows } from './flows.ts';
import type { Paths } from './paths.ts';
import { eachUse } from './repair.ts';
import { CLOSED, type LinkPrices } from './sweep.ts';
import type { Tables } from './tables.ts';

/** A resource with less than this share of its capacity left is full. */
const FULL = 1e-6;
/** Each round shares every full resource once; what one gives frees something elsewhere. */
const ROUNDS = 2;
const HALVINGS = 30;
/** Mbit/s; less is nothing. */
const NOTHING = 1e-7;
const MARGIN = 1e-9;

/** Who could give or take where one resource is full, or two: ways with flow over it, and ways for which nothing else is missing. */
interface Sharing {
  full: number[];
  givers: { demand: number; path: number }[];
  takers: { demand: number; path: number }[];
}

/**
 * Shares each full resource among the demands of a class that meet there, so that all have the same share of what they want, as far
 * as that costs nobody's throughput: who has more than its median gives to who has less than that, then whoever has the greater
 * share to whoever has the less. A demand takes only over a way on which no more than two are full, from who uses both. Moves flows that fit to flows that fit.
 * @param rising demands by importance
 */
export function share(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices, rising: Int32Array): void {
  for (let from = 0; from < rising.length; ) {
    const cls = tables.classOf[rising[from]!]!;
    let end = from;
    while (end < rising.length && cls === tables.classOf[rising[end]!]) end++;
    const demands = rising.subarray(from, end);
    for (let round = 0; round < ROUNDS && demands.some((demand) => isShort(tables, flows, demand)); round++) {
      for (const sharing of meetings(tables, paths, flows, linkPrices, demands)) shareOne(tables, paths, flows, sharing);
    }
    from = end;
  }
}

/** By one full resource or two, in the order of their numbers: who of these demands meets there. */
function meetings(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices, demands: Int32Array): Sharing[] {
  const { resources } = tables;
  const isFull = Uint8Array.from({ length: resources + 1 }, (_, resource) => (resource < resources && tables.capacity[resource]! - flows.load[resource]! <= FULL * tables.capacity[resource]! ? 1 : 0));
  const key = (one: number, other: number): number => Math.min(one, other) * (resources + 1) + Math.max(one, other);
  const byKey = new Map<number, Sharing>();
  const full: number[] = [];
  let times = 0;
  const look = (demand: number, path: number): void => {
    full.length = 0;
    times = 1;
    eachUse(tables, paths, demand, path, (resource, count) => {
      if (isFull[resource] === 0) return;
      full.push(resource);
      times = Math.max(times, count);
    });
  };
  for (const demand of demands) {
    if (!isShort(tables, flows, demand)) continue;
    for (let path = paths.start[demand]!; path < paths.start[demand]! + paths.count[demand]!; path++) {
      if (!isOpen(paths, linkPrices, path)) continue;
      look(demand, path);
      if (full.length === 0 || full.length > 2 || times > 1) continue;
      const [one, other = resources] = full;
      const sharing = byKey.get(key(one!, other)) ?? { full: full.slice(), givers: [], takers: [] };
      if (sharing.takers.at(-1)?.demand !== demand) sharing.takers.push({ demand, path });
      byKey.set(key(one!, other), sharing);
    }
  }
  for (const demand of demands) {
    for (let path = paths.start[demand]!; path < paths.start[demand]! + paths.count[demand]!; path++) {
      if (flows.flow[path]! <= NOTHING) continue;
      look(demand, path);
      full.push(resources);
      for (let one = 0; one < full.length; one++) for (let other = one + 1; other < full.length; other++) byKey.get(key(full[one]!, full[other]!))?.givers.push({ demand, path });
    }
  }
  return [...byKey].filter(([, { givers }]) => givers.length > 1).sort(([one], [other]) => one - other).map(([, sharing]) => sharing);
}

/** Finds the level at which as much is given as is taken, and moves all to it. */
function shareOne(tables: Tables, paths: Paths, flows: Flows, { full, givers, takers }: Sharing): void {
  const spare = ({ demand, path }: { demand: number; path: number }, level: number): number => Math.max(0, Math.min(flows.flow[path]!, flows.served[demand]! - wantedAt(tables, demand, level)));
  const beside = takers.map(({ demand, path }) => roomBeside(tables, paths, flows, full, demand, path));
  const lack = (index: number, level: number): number => Math.max(0, Math.min(beside[index]!, wantedAt(tables, takers[index]!.demand, level) - flows.served[takers[index]!.demand]!));
  let level = 0;
  for (let half = 0, step = 1; half < HALVINGS; half++, step /= 2) {
    let left = 0;
    for (const giver of givers) left += spare(giver, level + step);
    for (let index = 0; index < takers.length && left >= 0; index++) left -= lack(index, level + step);
    if (left >= 0) level += step;
  }
  const wanted = takers.map((_, index) => lack(index, level));
  if (wanted.every((mbps) => mbps <= NOTHING)) return;
  let open = wanted.reduce((sum, mbps) => sum + mbps, 0);
  for (const giver of givers) {
    const mbps = Math.min(spare(giver, level), open);
    if (mbps <= 0) continue;
    send(tables, paths, flows, giver.demand, giver.path, -mbps);
    open -= mbps;
  }
  for (const [index, { demand, path }] of takers.entries()) {
    const mbps = Math.min(wanted[index]!, roomOf(tables, paths, flows, demand, path) * (1 - MARGIN));
    if (mbps > NOTHING) send(tables, paths, flows, demand, path, mbps);
  }
}

/** What a demand has at a level: up to 1 shares of what all want, but no more than medians; from there to 2 no less than these. */
function wantedAt(tables: Tables, demand: number, level: number): number {
  const p50 = tables.p50Mbps[demand]!;
  const p95 = tables.p95Mbps[demand]!;
  return level <= 1 ? Math.min(p50, level * p95) : Math.max(p50, (level - 1) * p95);
}

/** What there is room for along a way when these resources are left out. */
function roomBeside(tables: Tables, paths: Paths, flows: Flows, left: readonly number[], demand: number, path: number): number {
  let room = Number.MAX_VALUE;
  eachUse(tables, paths, demand, path, (resource, times) => {
    if (!left.includes(resource)) room = Math.min(room, (tables.capacity[resource]! - flows.load[resource]!) / times);
  });
  return Math.max(0, room);
}

function isShort(tables: Tables, flows: Flows, demand: number): boolean {
  return tables.p95Mbps[demand]! - flows.served[demand]! > NOTHING;
}

function isOpen(paths: Paths, linkPrices: LinkPrices, path: number): boolean {
  return linkPrices[paths.first[path]! >> 1]! < CLOSED && (paths.second[path]! < 0 || linkPrices[paths.second[path]! >> 1]! < CLOSED);
}
