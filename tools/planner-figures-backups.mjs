// How many demands could have a disjoint backup at all, by trying all admissible ways, without any code of the planner: the
// denominator of what the checker counts.

/**
 * @returns possible     demands that send something and have two admissible ways without a common uplink or risk group
 *          pairsSetUp   pairs of sites and classes that have two such ways over the plan's tunnels (as the MIP counts them)
 *          reservePct   of what protected demands send, what the plan says its shared reserve holds
 */
export function backupFigures(instance, plan) {
  const { classes, demands, gateways, links, sites, uplinks } = instance;
  const security = sites.map((_, site) => Math.max(0, ...gateways.filter((gateway) => gateway.site === site && gateway.role === 'active').map((gateway) => gateway.security)));
  const legs = new Map();
  for (const [link, [a, b]] of links.entries()) {
    for (const [from, to] of [[a, b], [b, a]]) {
      const key = `${uplinks[from].site}>${uplinks[to].site}`;
      if (!legs.has(key)) legs.set(key, []);
      legs.get(key).push({ from, to, link, rttMs: links[link][2], passes: 1 - links[link][3] / 100 });
    }
  }
  const risks = uplinks.map(({ srlg }, uplink) => [`uplink ${uplink}`, ...srlg]);
  const relays = sites.flatMap(({ relay }, site) => (relay ? [site] : []));
  const isOpen = new Set(plan.tunnels);

  const waysOf = (demand, onlyOpen) => {
    const { maxRttMs, maxLossPct, minSecurity } = classes[demand.cls];
    const isAllowed = (site) => security[site] >= minSecurity && (demand.regionLock === undefined || sites[site].region === demand.regionLock);
    if (!isAllowed(demand.src) || !isAllowed(demand.dst)) return [];
    const hops = (from, to) => (legs.get(`${from}>${to}`) ?? []).filter((hop) => (!onlyOpen || isOpen.has(hop.link)) && ![hop.from, hop.to].some((uplink) => demand.avoid?.includes(uplinks[uplink].provider)));
    const isGood = (way) => way.reduce((sum, { rttMs }) => sum + rttMs, 0) + (way.length - 1) * instance.relayMs <= maxRttMs && 100 * (1 - way.reduce((all, { passes }) => all * passes, 1)) <= maxLossPct;
    const direct = hops(demand.src, demand.dst).map((hop) => [hop]);
    const relayed = relays.filter((site) => site !== demand.src && site !== demand.dst && isAllowed(site)).flatMap((site) => hops(demand.src, site).flatMap((first) => hops(site, demand.dst).map((second) => [first, second])));
    return [...direct, ...relayed].filter(isGood);
  };
  const hasPair = (ways) => {
    const sets = ways.map((way) => new Set(way.flatMap(({ from, to }) => [...risks[from], ...risks[to]])));
    return sets.some((one, index) => sets.some((other, later) => later > index && [...one].every((risk) => !other.has(risk))));
  };

  const sends = new Map();
  for (const { demand, mbps } of plan.flows) sends.set(demand, (sends.get(demand) ?? 0) + mbps);
  const known = new Map();
  const pairs = new Set();
  let possible = 0;
  let pairsSetUp = 0;
  for (const [index, demand] of demands.entries()) {
    if (!classes[demand.cls].backup) continue;
    const pair = `${demand.cls} ${Math.min(demand.src, demand.dst)} ${Math.max(demand.src, demand.dst)}`;
    const key = `${pair} ${demand.regionLock ?? ''} ${demand.avoid ?? ''}`;
    if (!known.has(key)) known.set(key, hasPair(waysOf(demand, false)));
    if (sends.has(index) && known.get(key)) possible++;
    if (pairs.has(pair)) continue;
    pairs.add(pair);
    if (known.get(key) && hasPair(waysOf(demand, true))) pairsSetUp++;
  }
  const wanted = plan.backups.reduce((sum, { demand }) => sum + (sends.get(demand) ?? 0), 0);
  const held = plan.backups.reduce((sum, { mbps }) => sum + mbps, 0);
  return { possible, pairsSetUp, reservePct: wanted > 0 ? (100 * held) / wanted : undefined };
}
