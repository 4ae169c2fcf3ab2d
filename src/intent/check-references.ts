import { hostPrefixOf, sortedBy, type AddressRange, type Finding } from '../base/index.ts';
import { matchesName } from '../model/index.ts';
import { checkClasses } from './check-classes.ts';
import { checkEvents, doubtfulEvents, isOnCalendar } from './check-events.ts';
import { finding, locationOf, shown } from './check-schema.ts';
import { suggestion } from './nearest.ts';
import { textAt, textsAt, type Outline, type OutlineSite, type OutlineUplink, type Spot } from './outline.ts';
import { overlappingPairs, rangeContains, rangeOfPrefix } from './ranges.ts';
import { INTENT_KINDS } from './schema.ts';

const SITES_MAX = 1000;

/** Everything that can only be seen between documents, or between fields of one: names, references, addresses. All at once. */
export function checkReferences(outline: Outline): { errors: Finding[]; warnings: Finding[] } {
  const errors = [
    ...checkMesh(outline),
    ...checkDuplicates(outline),
    ...outline.sites.flatMap(checkNodes),
    ...checkPrefixes(outline),
    ...checkLanAddresses(outline),
    ...checkIpv6Protected(outline),
    ...checkConnections(outline),
    ...checkOverrides(outline),
    ...checkResolvers(outline),
    ...checkRoles(outline),
    ...checkClasses(outline),
    ...checkEvents(outline),
  ];
  return { errors, warnings: checkDoubts(outline) };
}

function checkMesh(outline: Outline): Finding[] {
  const meshes = outline.documents.filter((document) => document.kind === 'Mesh');
  const sites = outline.documents.filter((document) => document.kind === 'Site');
  const findings = meshes.slice(1).map(({ source }) => finding(source, '/kind', 'INTENT_DUPLICATE', 'a repository has one Mesh, this is another', 'keep one of them'));
  if (meshes.length === 0) {
    findings.push({ code: 'INTENT_REFERENCE', severity: 'error', what: 'no document of kind Mesh', where: null, fix: 'add mesh.yaml with apiVersion: foremesh/v1, kind: Mesh and a name' });
  }
  if (sites.length > SITES_MAX) {
    findings.push(finding(sites[SITES_MAX]!.source, '', 'INTENT_LIMIT', `${sites.length} sites, more than the ${SITES_MAX} of one mesh`, 'split the mesh'));
  }
  return findings;
}

function checkDuplicates(outline: Outline): Finding[] {
  const nodes = outline.sites.flatMap((site) => site.nodes);
  // private addresses behind NAT may be the same in two places; what the world sees may not
  const addresses = nodes.flatMap((node) => node.uplinks.flatMap(publicAddressOf));
  return [
    ...INTENT_KINDS.filter((kind) => kind !== 'Mesh').flatMap((kind) => doubles(outline.named.get(kind) ?? [], `another ${kind}`, 'give each its own name')),
    ...doubles(nodes.flatMap((node) => node.name ?? []), 'another node', 'node names are unique in the whole mesh; choose another'),
    ...nodes.flatMap((node) => doubles(node.uplinks.map((uplink) => uplink.id), 'another uplink of this node', 'give each uplink of a node its own name')),
    ...doubles(addresses, 'another uplink', 'give each uplink its own address'),
    ...nodes.flatMap((node) => doubles(node.uplinks.flatMap((uplink) => (uplink.nat ? (uplink.address ?? []) : [])), 'another uplink of this node', 'give each uplink its own address')),
  ];
}

/** What peers know an uplink by, if anything. */
function publicAddressOf({ address, nat }: OutlineUplink): Spot[] {
  const spot = nat ? nat.publicAddress : address;
  return spot ? [spot] : [];
}

/** A finding for the second and every later spot with the same text. */
function doubles(spots: readonly Spot[], whose: string, fix: string): Finding[] {
  const first = new Map<string, Spot>();
  const findings: Finding[] = [];
  for (const spot of spots) {
    const earlier = first.get(spot.text);
    if (earlier) findings.push(at(spot, 'INTENT_DUPLICATE', `${shown(spot.text)} is taken by ${whose} (${placeOf(earlier)})`, fix));
    else first.set(spot.text, spot);
  }
  return findings;
}

function checkNodes(site: OutlineSite): Finding[] {
  const active = site.nodes.filter((node) => node.role === 'active');
  const named = site.nodes.length > 0 && active.length === 0;
  if (named) return [finding(site.name.document.source, '/nodes', 'INTENT_INVALID', `site "${site.name.text}" has no active node`, 'give one of its nodes role: active')];
  const tooMany = active
    .slice(ACTIVE_MAX)
    .flatMap((node) => node.name ?? [])
    .map((spot) => at(spot, 'INTENT_INVALID', `"${spot.text}" is a third active node of site "${site.name.text}"; two can share its traffic`, 'give it role: standby'));
  return [...tooMany, ...(active.length > 1 ? checkSharing(site, active) : [])];
}

/** Gateways that share a site's traffic. */
const ACTIVE_MAX = 2;

/** Each active node has a LAN address of its own, on the LAN of the others, so that hosts can be divided among them and each can take over another's. */
function checkSharing(site: OutlineSite, active: OutlineSite['nodes']): Finding[] {
  const bare = (spot: Spot | null): string => spot?.text.split('/')[0] ?? '';
  const taken = active[0]!;
  const same = active.slice(1).flatMap((node) =>
    [[node.lanAddress, taken.lanAddress], [node.lanAddress6, taken.lanAddress6]].flatMap(([lanAddress = null, first = null]) => lanAddress && bare(lanAddress) === bare(first)
      ? [at(lanAddress, 'INTENT_INVALID', `two active nodes of site "${site.name.text}" have the LAN address ${bare(lanAddress)}`, 'give each its own, and half of the hosts each as their gateway; or give one role: standby')]
      : []),
  );
  const addresses = new Set(active.map(({ lanAddress }) => lanAddress?.text));
  const strange = site.nodes.flatMap(({ role, lanAddress }) =>
    role !== 'active' && lanAddress && !addresses.has(lanAddress.text)
      ? [at(lanAddress, 'INTENT_INVALID', `the LAN address ${lanAddress.text} of a standby node is none of those of the active ones of site "${site.name.text}"`, `use ${[...addresses].join(' or ')}`)]
      : [],
  );
  return [...same, ...strange];
}

function checkPrefixes(outline: Outline): Finding[] {
  const prefixes = outline.sites.flatMap((site) => site.prefixes.flatMap((spot) => ranged(spot, site.name.text)));
  const order = new Map(prefixes.map((prefix, index) => [prefix, index]));
  const overlaps = overlappingPairs(prefixes).map(([one, other]) => {
    const [earlier, later] = order.get(one)! < order.get(other)! ? [one, other] : [other, one];
    const whose = earlier.site === later.site ? 'the same site' : `site "${earlier.site}"`;
    return at(later.spot, 'INTENT_INVALID', `${later.spot.text} overlaps ${earlier.spot.text} of ${whose} (${placeOf(earlier.spot)})`, 'give every site networks of its own');
  });
  const overlay = meshText(outline, '/overlayPrefix').flatMap((spot) => ranged(spot, ''));
  const taken = prefixes
    .filter(({ range }) => overlay.some((other) => rangeContains(other.range, range) || rangeContains(range, other.range)))
    .map(({ spot }) => at(spot, 'INTENT_INVALID', `${spot.text} overlaps the overlay prefix ${overlay[0]!.spot.text} of the mesh`, 'choose another overlayPrefix'));
  return [...overlaps, ...taken];
}

function checkLanAddresses(outline: Outline): Finding[] {
  return outline.sites.flatMap((site) => {
    const prefixes = site.prefixes.flatMap((spot) => ranged(spot, site.name.text));
    return site.nodes.flatMap((node) => {
      return [node.lanAddress, node.lanAddress6].flatMap((spot) => (spot ? checkLanAddress(spot, prefixes) : []));
    });
  });
}

/** A site whose hosts have the other family only, or whose prefixes are all wrong, has nothing to compare with. */
function checkLanAddress(spot: Spot, prefixes: readonly { spot: Spot; range: AddressRange }[]): Finding[] {
  const address = spot.text.split('/')[0] ?? '';
  const range = rangeOfPrefix(hostPrefixOf(address));
  const alike = prefixes.filter((prefix) => prefix.range.family === range?.family);
  if (!range || alike.length === 0 || alike.some((prefix) => rangeContains(prefix.range, range))) return [];
  const list = alike.map((prefix) => prefix.spot.text).join(', ');
  return [at(spot, 'INTENT_INVALID', `the LAN address ${address} is in none of the site's prefixes (${list})`, 'use an address of one of them')];
}

function checkConnections(outline: Outline): Finding[] {
  const uplinks = uplinkNames(outline);
  return outline.documents
    .filter((document) => document.kind === 'Connection')
    .flatMap((document) => {
      const between = textsAt(document, '/between');
      const findings = between.filter(({ text }) => !text.endsWith('*')).flatMap((spot) => unknown(spot, 'site', namesOf(outline, 'Site')));
      if (between.length === 2 && between[0]!.text === between[1]!.text && !between[0]!.text.endsWith('*')) {
        findings.push(at(between[1]!, 'INTENT_INVALID', `the connection joins site "${between[0]!.text}" with itself`, 'name two different sites'));
      }
      const profile = textAt(document, '/securityProfile');
      return [
        ...findings,
        ...(profile ? unknown(profile, 'security profile', namesOf(outline, 'SecurityProfile')) : []),
        ...textsAt(document, '/classes').flatMap((spot) => unknown(spot, 'traffic class', namesOf(outline, 'TrafficClass'))),
        ...textsAt(document, '/avoid/uplinks').flatMap((spot) => unknown(spot, 'uplink', uplinks)),
      ];
    });
}

function checkOverrides(outline: Outline): Finding[] {
  const nodes = outline.sites.flatMap((site) => site.nodes).flatMap((node) => node.name?.text ?? []);
  return outline.documents
    .filter((document) => document.kind === 'Override')
    .flatMap((document) => {
      const node = textAt(document, '/what/drainNode');
      const until = textAt(document, '/until');
      const pinned = textAt(document, '/what/pinPath/class');
      return [
        ...textsAt(document, '/what/pinPath/between').flatMap((spot) => unknown(spot, 'site', namesOf(outline, 'Site'))),
        ...[...textsAt(document, '/what/pinPath/over'), ...textsAt(document, '/what/avoidPath/over')].flatMap((spot) => unknown(spot, 'uplink', uplinkNames(outline))),
        ...(pinned ? unknown(pinned, 'traffic class', namesOf(outline, 'TrafficClass')) : []),
        ...(node ? unknown(node, 'node', nodes) : []),
        ...(until && !isOnCalendar(until.text) ? [at(until, 'INTENT_SCHEMA', `until is ${shown(until.text)}, which is no day of the calendar`, "write for example '2026-11-22T18:00:00Z'")] : []),
      ];
    });
}

function checkRoles(outline: Outline): Finding[] {
  return outline.documents.filter(({ kind }) => kind === 'Mesh').flatMap((document) => {
    const names: Spot[] = [];
    for (let index = 0, spot = textAt(document, '/telemetry/roles/0/name'); spot; spot = textAt(document, `/telemetry/roles/${++index}/name`)) names.push(spot);
    return names.filter((spot, index) => names.findIndex(({ text }) => text === spot.text) < index).map((spot) => at(spot, 'INTENT_DUPLICATE', `there are two roles ${shown(spot.text)}`, 'give each a name of its own, or one of them the prefixes of both'));
  });
}

/** Gateways see only answers that pass them: out of a tunnel, or from a resolver of their own. */
function checkResolvers(outline: Outline): Finding[] {
  return outline.sites.flatMap((site) => {
    const lanAddresses = site.nodes.flatMap((node) => node.lanAddress?.text.split('/')[0] ?? []);
    const others = outline.sites.filter((other) => other !== site).flatMap((other) => other.prefixes.flatMap((spot) => ranged(spot, other.name.text)));
    return textsAt(site.name.document, '/resolvers').flatMap((spot) => {
      const range = rangeOfPrefix(hostPrefixOf(spot.text));
      if (!range || lanAddresses.includes(spot.text) || others.some((prefix) => rangeContains(prefix.range, range))) return [];
      return [at(spot, 'INTENT_INVALID', `the gateways of site "${site.name.text}" do not see what resolver ${spot.text} answers`, `name one of another site, or the gateway itself${lanAddresses[0] === undefined ? '' : ` (${lanAddresses[0]})`}`)];
    });
  });
}

function unlearned(outline: Outline): Finding[] {
  if (outline.documents.some((document) => document.kind === 'Site' && textsAt(document, '/resolvers').length > 0)) return [];
  return outline.documents
    .filter((document) => document.kind === 'TrafficClass')
    .flatMap((document) => [document.value['match']].flat().flatMap((_match, index) => textsAt(document, `/match/${index}/names`)).slice(0, 1))
    .map((spot) => at(spot, 'INTENT_INVALID', 'the class is told by host name, and no site says which resolvers its hosts ask', 'write resolvers into the documents of sites'));
}

/** Things that are allowed and most likely not meant. */
function checkDoubts(outline: Outline): Finding[] {
  const sites = namesOf(outline, 'Site');
  const idle = outline.documents
    .filter((document) => document.kind === 'Connection' || document.kind === 'PlannedEvent')
    .flatMap((document) => textsAt(document, '/between'))
    .filter(({ text }) => text.endsWith('*') && !sites.some((site) => matchesName(text, site)))
    .map((spot) => at(spot, 'INTENT_REFERENCE', `${shown(spot.text)} matches no site`, suggestion(spot.text, sites, 'remove it')));
  const byPriority = new Map<unknown, string>();
  const ties = outline.documents
    .filter((document) => document.kind === 'TrafficClass')
    .flatMap((document) => {
      const priority = document.value['priority'];
      const other = byPriority.get(priority);
      byPriority.set(priority, textAt(document, '/name')?.text ?? '?');
      return other === undefined ? [] : [finding(document.source, '/priority', 'INTENT_INVALID', `traffic class "${other}" has the same priority`, 'give each class its own priority, so that their order is yours')];
    });
  return [...idle, ...ties, ...unlearned(outline), ...unprotected(outline), ...withoutGateway6(outline), ...doubtfulEvents(outline)].map((doubt) => ({ ...doubt, severity: 'warning' as const }));
}

/** No agent routes what is not protected, and the protected prefixes that are there by default are IPv4. */
function checkIpv6Protected(outline: Outline): Finding[] {
  return bareSpots(outline)
    .filter(({ range }) => range.family === 6)
    .map(({ spot }) => at(spot, 'INTENT_INVALID', `${spot.text} is not among the mesh's protectedPrefixes, so no gateway would carry it`, 'add it, or fd00::/8 where it is a unique local one, to protectedPrefixes of the Mesh'));
}

/** Prefixes of sites that the mesh does not protect. */
function bareSpots(outline: Outline): { spot: Spot; range: AddressRange }[] {
  const outer = meshTexts(outline, '/protectedPrefixes').flatMap((spot) => ranged(spot, ''));
  if (outer.length === 0) return [];
  return outline.sites.flatMap((site) => site.prefixes.flatMap((spot) => ranged(spot, site.name.text))).filter(({ range }) => !outer.some((prefix) => rangeContains(prefix.range, range)));
}

/** Sites whose hosts use IPv6 and have no address of the gateway to send it to. */
function withoutGateway6(outline: Outline): Finding[] {
  return outline.sites
    .filter((site) => site.prefixes.some(({ text }) => rangeOfPrefix(text)?.family === 6))
    .flatMap((site) => site.nodes)
    .flatMap((node) => (node.name && !node.lanAddress6 ? [at(node.name, 'INTENT_INVALID', `node "${node.name.text}" has no IPv6 address on the LAN, so hosts have nothing to send IPv6 to`, 'add address6 under lan')] : []));
}

function unprotected(outline: Outline): Finding[] {
  const outer = meshTexts(outline, '/protectedPrefixes').flatMap((spot) => ranged(spot, ''));
  if (outer.length === 0) return [];
  const isCovered = (range: AddressRange): boolean => outer.some((prefix) => rangeContains(prefix.range, range));
  const bare = bareSpots(outline)
    .filter(({ range }) => range.family === 4)
    .map(({ spot }) => at(spot, 'INTENT_INVALID', `${spot.text} is not among the mesh's protectedPrefixes, so it may leave in clear text when no tunnel is up`, 'add it to protectedPrefixes of the Mesh'));
  const hidden = outline.sites
    .flatMap((site) => site.nodes.flatMap((node) => node.uplinks.flatMap(publicAddressOf)))
    .filter(({ text }) => {
      const range = rangeOfPrefix(hostPrefixOf(text));
      return range !== null && isCovered(range);
    })
    .map((spot) => at(spot, 'INTENT_INVALID', `the uplink address ${spot.text} is inside protectedPrefixes, so peers cannot send to it outside a tunnel`, 'narrow protectedPrefixes of the Mesh'));
  return [...bare, ...hidden];
}

function meshText(outline: Outline, pointer: string): Spot[] {
  return outline.documents.filter((document) => document.kind === 'Mesh').flatMap((document) => textAt(document, pointer) ?? []);
}

function meshTexts(outline: Outline, pointer: string): Spot[] {
  return outline.documents.filter((document) => document.kind === 'Mesh').flatMap((document) => textsAt(document, pointer));
}

function ranged(spot: Spot, site: string): { spot: Spot; site: string; range: AddressRange }[] {
  const range = rangeOfPrefix(spot.text);
  return range ? [{ spot, site, range }] : [];
}

function unknown(spot: Spot, what: string, names: readonly string[]): Finding[] {
  if (names.includes(spot.text)) return [];
  return [at(spot, 'INTENT_REFERENCE', `there is no ${what} ${shown(spot.text)}`, suggestion(spot.text, names, `add the ${what}`))];
}

function namesOf(outline: Outline, kind: 'Site' | 'SecurityProfile' | 'TrafficClass'): string[] {
  return sortedBy(outline.named.get(kind) ?? [], ({ text }) => text).map(({ text }) => text);
}

function uplinkNames(outline: Outline): string[] {
  return outline.sites.flatMap((site) => site.nodes.flatMap((node) => node.uplinks.map((uplink) => uplink.id.text)));
}

function at(spot: Spot, code: string, what: string, fix: string): Finding {
  return finding(spot.document.source, spot.pointer, code, what, fix);
}

function placeOf(spot: Spot): string {
  const where = locationOf(spot.document.source, spot.pointer);
  return `${where.file}:${where.line}`;
}
