import { compareText, parseBandwidthMbps, parseDurationMs, parseRatio, sortedBy } from '../base/index.ts';
import {
  classId,
  nodeId,
  pairId,
  pathId,
  siteId,
  uplinkId,
  type Connection,
  type CryptoSuite,
  type Intent,
  type Mesh,
  type Override,
  type Role,
  type SecurityProfile,
  type Site,
  type SiteNode,
  type TrafficClass,
  type TrafficMatch,
  type UplinkId,
} from '../model/index.ts';
import type { KindDocument } from './check-schema.ts';
import type { ConnectionDocument, MeshDocument, NodeDocument, OverrideDocument, PlannedEventDocument, SecurityProfileDocument, SiteDocument, TrafficClassDocument } from './documents.ts';
import { plannedEventOf } from './normalise-event.ts';
import type { IntentKind } from './schema.ts';

/**
 * The intent of documents that passed every check, in the order given (file path, then place in the file): sorted by
 * name but for connections, whose order decides; units turned into numbers.
 */
export function normalise(documents: readonly KindDocument[], commit: string | null): { intent: Intent; overrides: Override[] } {
  const ofKind = <T>(kind: IntentKind): T[] => documents.filter((document) => document.kind === kind).map((document) => document.value as T);
  const plannedEvents = sortedBy(ofKind<PlannedEventDocument>('PlannedEvent').map(plannedEventOf), (event) => event.name);
  const intent: Intent = {
    commit,
    mesh: meshOf(ofKind<MeshDocument>('Mesh')[0]!),
    sites: sortedBy(ofKind<SiteDocument>('Site').map(siteOf), (site) => site.id),
    classes: ofKind<TrafficClassDocument>('TrafficClass')
      .map(trafficClassOf)
      .sort((left, right) => left.priority - right.priority || compareText(left.id, right.id)),
    connections: ofKind<ConnectionDocument>('Connection').map(connectionOf),
    securityProfiles: sortedBy(ofKind<SecurityProfileDocument>('SecurityProfile').map(securityProfileOf), (profile) => profile.name),
    ...(plannedEvents.length > 0 ? { plannedEvents } : {}),
  };
  return deepFreeze({ intent, overrides: sortedBy(ofKind<OverrideDocument>('Override').map(overrideOf), (override) => override.id) });
}

function meshOf(raw: MeshDocument): Mesh {
  return {
    name: raw.name,
    cycleMs: ms(raw.cycle),
    overlayPrefix: raw.overlayPrefix,
    protectedPrefixes: sorted(raw.protectedPrefixes),
    utilisationMax: ratio(raw.utilisationMax),
    idleTimeoutMs: ms(raw.idleTimeout),
    holdMs: ms(raw.hold),
    forecast: { slotMs: ms(raw.forecast.slot), slotsPerDay: raw.forecast.slotsPerDay, horizonSlots: raw.forecast.horizonSlots, provision: raw.forecast.provision },
    probe: { intervalMs: ms(raw.probe.interval), downAfter: raw.probe.downAfter, holdDownMs: ms(raw.probe.holdDown), holdDownMaxMs: Math.max(ms(raw.probe.holdDown), ms(raw.probe.holdDownMax)) },
    telemetry: { sampleIntervalMs: ms(raw.telemetry.sampleInterval), connections: raw.telemetry.connections, ...(raw.telemetry.users ? { users: { roles: rolesOf(raw) } } : {}), ...(raw.telemetry.services ? { services: true as const } : {}) },
    shaping: raw.shaping,
    autoApply: {
      tunnelsMax: raw.autoApply.tunnelsMax,
      sitesMax: raw.autoApply.sitesMax,
      trafficShareMax: ratio(raw.autoApply.trafficShareMax),
      changesPerHourMax: raw.autoApply.changesPerHourMax,
    },
    vetoMs: ms(raw.vetoFor),
  };
}

function rolesOf(raw: MeshDocument): Role[] {
  return sortedBy(raw.telemetry.roles.map(({ name, prefixes }) => ({ name, prefixes: sorted([...new Set(prefixes)]) })), ({ name }) => name);
}

function siteOf(raw: SiteDocument): Site {
  const { city, country, latitude, longitude } = raw.location;
  return {
    id: siteId(raw.name),
    location: { city, country, latitude, longitude },
    provider: raw.provider,
    region: raw.region,
    prefixes: sorted(raw.prefixes),
    ...(raw.resolvers.length > 0 ? { resolvers: sorted([...new Set(raw.resolvers)]) } : {}),
    relay: raw.relay,
    nodes: sortedBy(raw.nodes.map((node) => nodeOf(node, raw.name)), (node) => node.id),
  };
}

function nodeOf(raw: NodeDocument, site: string): SiteNode {
  const id = nodeId(raw.name);
  const uplinks = raw.uplinks.map((uplink) => ({
    id: uplinkId(id, uplink.name),
    name: uplink.name,
    provider: uplink.provider,
    interface: uplink.interface,
    address: uplink.address,
    ...(uplink.nat ? { nat: uplink.nat.publicAddress === undefined ? {} : { publicAddress: uplink.nat.publicAddress } } : {}),
    upMbps: mbps(uplink.up),
    downMbps: mbps(uplink.down),
    usdPerGb: uplink.egressCost,
    riskGroups: sorted(uplink.riskGroups),
    drain: uplink.drain,
  }));
  return {
    id,
    site: siteId(site),
    role: raw.role,
    tunnelsMax: raw.tunnelsMax,
    cryptoMbps: mbps(raw.crypto),
    lan: { interface: raw.lan.interface, address: raw.lan.address, ...(raw.lan.address6 === undefined ? {} : { address6: raw.lan.address6 }), ...(raw.lan.target === undefined ? {} : { target: raw.lan.target }) },
    uplinks: sortedBy(uplinks, (uplink) => uplink.id),
  };
}

function trafficClassOf(raw: TrafficClassDocument): TrafficClass {
  const match = raw.match.map((one): TrafficMatch => ({
    protocol: one.protocol,
    ports: one.ports.map((ports) => {
      const [from, to] = typeof ports === 'number' ? [ports, ports] : ports.split('-').map(Number);
      return { from: from!, to: to! };
    }),
    dscp: [...one.dscp].sort((left, right) => left - right),
    ...(one.prefixes.length > 0 ? { prefixes: sorted(one.prefixes) } : {}),
    ...(one.fwmark === undefined ? {} : { fwmark: one.fwmark }),
    ...(one.names.length > 0 ? { names: sorted([...new Set(one.names)]) } : {}),
  }));
  const sla = { latencyMaxMs: ms(raw.sla.latencyMax), lossMaxRatio: ratio(raw.sla.lossMax), jitterMaxMs: ms(raw.sla.jitterMax) };
  return { id: classId(raw.name), priority: raw.priority, match, sla, protection: raw.protection, shareRatio: ratio(raw.share), dscp: raw.dscp === 'keep' ? null : raw.dscp };
}

function connectionOf(raw: ConnectionDocument): Connection {
  return {
    name: raw.name,
    between: [raw.between[0], raw.between[1]],
    mode: raw.mode,
    minMbps: mbps(raw.min),
    maxMbps: raw.max === undefined ? 0 : mbps(raw.max),
    relays: raw.relays,
    securityProfile: raw.securityProfile,
    backup: raw.backup,
    avoid: { regions: sorted(raw.avoid.regions), providers: sorted(raw.avoid.providers), uplinks: sorted(raw.avoid.uplinks) },
    classes: sorted(raw.classes).map(classId),
  };
}

function securityProfileOf(raw: SecurityProfileDocument): SecurityProfile {
  const suites = (given: readonly CryptoSuite[]): CryptoSuite[] => given.map(({ encryption, integrity, prf, group }) => ({ encryption, integrity, prf, group }));
  return {
    name: raw.name,
    level: raw.level,
    ike: suites(raw.ike),
    esp: suites(raw.esp),
    ikeRekeyMs: ms(raw.ikeRekey),
    espRekeyMs: ms(raw.espRekey),
    pfs: raw.pfs,
    postQuantum: raw.postQuantum,
  };
}

function overrideOf(raw: OverrideDocument): Override {
  const path = (over: readonly [string, string]) => pathId(over[0] as UplinkId, over[1] as UplinkId);
  const { pinPath, avoidPath, drainNode } = raw.what;
  const what = (): Override['what'] => {
    if (pinPath) return { kind: 'pin-path', pair: pairId(siteId(pinPath.between[0]), siteId(pinPath.between[1])), path: path(pinPath.over), ...(pinPath.class === undefined ? {} : { classId: classId(pinPath.class) }) };
    if (avoidPath) return { kind: 'avoid-path', path: path(avoidPath.over) };
    return { kind: 'drain-node', node: nodeId(drainNode!) };
  };
  return { id: raw.name, what: what(), until: Date.parse(raw.until), why: raw.why, by: raw.by };
}

// The schema's patterns are those of the parsers, so these parse whatever passed it.
function ms(text: string): number {
  return parseDurationMs(text)!;
}

function mbps(text: string): number {
  return parseBandwidthMbps(text)!;
}

function ratio(text: string): number {
  return parseRatio(text)!;
}

function sorted(texts: readonly string[]): string[] {
  return [...texts].sort(compareText);
}

function deepFreeze<T>(value: T): T {
  if (value !== null && typeof value === 'object' && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const member of Object.values(value)) deepFreeze(member);
  }
  return value;
}
