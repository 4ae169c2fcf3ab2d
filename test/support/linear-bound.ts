import highsModule from 'highs';
import type { Instance } from '../../src/planner/index.ts';

// the package's types are those of its CommonJS build, where the loader is `default`; what Node loads is the ESM build
const loadHighs = highsModule as unknown as typeof highsModule.default;
const solver = loadHighs();

/**
 * The best that any plan could be worth without tunnel limits, by an LP solver over all direct and one-relay ways; written from the
 * format alone, with none of the planner's code.
 * @param medianWorth how many times as much a Mbit/s is worth up to a demand's median
 */
export async function linearBound(instance: Instance, medianWorth: number): Promise<number> {
  const { rows, use } = makeRows(instance);
  const ranks = [...new Set(instance.classes.map(({ priority }) => priority))].sort((one, other) => other - one);
  const objective: string[] = [];
  for (const [index, { cls, p50, p95 }] of instance.demands.entries()) {
    if (!rows.has(`flow${index}`)) continue;
    const worth = 10 ** ranks.indexOf(instance.classes[cls]!.priority);
    // flow = median part + rest
    use(`flow${index}`, 0, `- m${index} - r${index}`);
    objective.push(`+ ${worth * medianWorth} m${index} + ${worth} r${index}`);
    use(`median${index}`, Math.min(p50, p95), `+ m${index}`);
    use(`all${index}`, p95, `+ m${index} + r${index}`);
  }
  return objective.length === 0 ? 0 : solve('Maximize', objective, [...rows].map(([name, { limit, terms }]) => `${name}: ${terms.join(' ')} ${name.startsWith('flow') ? '=' : '<='} ${limit}`));
}

/**
 * The least that it can cost to serve each demand as much, without tunnel limits, in USD per GB × Mbit/s.
 * @param served Mbit/s by demand
 */
export async function leastMoney(instance: Instance, served: readonly number[]): Promise<number> {
  const { rows, money } = makeRows(instance);
  const constraints = [...rows].map(([name, { limit, terms }]) => `${name}: ${terms.join(' ')} ${name.startsWith('flow') ? `>= ${served[Number(name.slice(4))]! * (1 - 1e-5)}` : `<= ${limit}`}`);
  return money.length === 0 ? 0 : solve('Minimize', money, constraints);
}

interface Rows {
  /** By name: flow and a demand's number (all that it sends), up, down and cap (of uplinks and links), crypto. */
  rows: Map<string, { limit: number; terms: string[] }>;
  use: (row: string, limit: number, term: string) => void;
  /** What each way costs. */
  money: string[];
}

function makeRows(instance: Instance): Rows {
  const { classes, demands, gateways, links, sites, uplinks } = instance;
  const active = (site: number): Instance['gateways'] => gateways.filter((gateway) => gateway.site === site && gateway.role === 'active');
  const security = sites.map((_, site) => Math.max(0, ...active(site).map((gateway) => gateway.security)));
  const money: string[] = [];
  const rows: Rows['rows'] = new Map();
  const use: Rows['use'] = (row, limit, term) => {
    const entry = rows.get(row) ?? { limit, terms: [] };
    entry.terms.push(term);
    rows.set(row, entry);
  };
  const hopsBetween = (from: number, to: number): { up: number; down: number; link: number }[] =>
    links.flatMap(([a, b], link) => {
      if (uplinks[a]!.site === from && uplinks[b]!.site === to) return [{ up: a, down: b, link }];
      return uplinks[b]!.site === from && uplinks[a]!.site === to ? [{ up: b, down: a, link }] : [];
    });
  let variables = 0;
  for (const [index, demand] of demands.entries()) {
    const cls = classes[demand.cls]!;
    const relays = sites.flatMap(({ relay }, site) => (relay && site !== demand.src && site !== demand.dst ? [site] : []));
    const ways = [...hopsBetween(demand.src, demand.dst).map((hop) => [hop]), ...relays.flatMap((relay) => hopsBetween(demand.src, relay).flatMap((first) => hopsBetween(relay, demand.dst).map((second) => [first, second])))];
    for (const way of ways) {
      const through = [demand.src, ...way.map(({ down }) => uplinks[down]!.site)];
      const rttMs = way.reduce((sum, { link }) => sum + links[link]![2], 0) + (way.length - 1) * instance.relayMs;
      const lossPct = 100 * (1 - way.reduce((passes, { link }) => passes * (1 - links[link]![3] / 100), 1));
      if (rttMs > cls.maxRttMs || lossPct > cls.maxLossPct || through.some((site) => security[site]! < cls.minSecurity)) continue;
      if (demand.regionLock !== undefined && through.some((site) => sites[site]!.region !== demand.regionLock)) continue;
      if (way.some(({ up, down }) => [up, down].some((uplink) => demand.avoid?.includes(uplinks[uplink]!.provider)))) continue;
      const name = `x${variables++}`;
      use(`flow${index}`, 0, `+ ${name}`);
      money.push(`+ ${way.reduce((sum, { up }) => sum + uplinks[up]!.usdPerGb, 0)} ${name}`);
      for (const { up, down, link } of way) {
        use(`up${up}`, uplinks[up]!.upMbps, `+ ${name}`);
        use(`down${down}`, uplinks[down]!.downMbps, `+ ${name}`);
        if (links[link]![4] > 0) use(`cap${link}`, links[link]![4], `+ ${name}`);
      }
      for (const [place, site] of through.entries()) use(`crypto${site}`, active(site).reduce((sum, { cryptoMbps }) => sum + cryptoMbps, 0), `+ ${place > 0 && place < through.length - 1 ? 2 : 1} ${name}`);
    }
  }
  return { rows, use, money };
}

async function solve(sense: 'Maximize' | 'Minimize', objective: readonly string[], constraints: readonly string[]): Promise<number> {
  const { ObjectiveValue, Status } = (await solver).solve(`${sense}\n obj: ${objective.join('\n ')}\nSubject To\n ${constraints.join('\n ')}\nEnd\n`);
  if (Status !== 'Optimal') throw new Error(`the solver says ${Status}`);
  return ObjectiveValue;
}
