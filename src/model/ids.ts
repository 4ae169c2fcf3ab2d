import { createHash } from 'node:crypto';

declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** A place with prefixes and gateways: `berlin`. */
export type SiteId = Branded<'SiteId'>;
/** A machine that runs an agent: `berlin-gw1`. Unique in the mesh. */
export type NodeId = Branded<'NodeId'>;
/** One WAN attachment of a node: `berlin-gw1/fibre`. */
export type UplinkId = Branded<'UplinkId'>;
/** One underlay way between two nodes: `berlin-gw1/fibre~paris-gw1/dsl`, the lesser uplink id first. */
export type PathId = Branded<'PathId'>;
/** `t-` and 8 hex digits: one path under one security profile. Fits a Linux interface name. */
export type TunnelId = Branded<'TunnelId'>;
/** A traffic class: `voice`. */
export type ClassId = Branded<'ClassId'>;
/** An ordered pair of sites: `berlin>paris`. */
export type PairId = Branded<'PairId'>;

/** What a name in YAML may look like; ids are built from names, so `/ ~ > #` never occur in one. */
export const NAME_PATTERN = '^[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?$';
const NAME = new RegExp(NAME_PATTERN);

export function isName(text: string): boolean {
  return NAME.test(text);
}

export function siteId(name: string): SiteId {
  return checked(name) as SiteId;
}

export function nodeId(name: string): NodeId {
  return checked(name) as NodeId;
}

export function classId(name: string): ClassId {
  return checked(name) as ClassId;
}

export function uplinkId(node: NodeId, uplink: string): UplinkId {
  return `${node}/${checked(uplink)}` as UplinkId;
}

export function pathId(one: UplinkId, other: UplinkId): PathId {
  return (one < other ? `${one}~${other}` : `${other}~${one}`) as PathId;
}

export function pairId(from: SiteId, to: SiteId): PairId {
  return `${from}>${to}` as PairId;
}

/** The two uplinks of a path, lesser first. */
export function uplinksOfPath(path: PathId): [UplinkId, UplinkId] {
  const [a, b] = path.split('~');
  return [a as UplinkId, b as UplinkId];
}

export function nodeOfUplink(uplink: UplinkId): NodeId {
  return uplink.slice(0, uplink.indexOf('/')) as NodeId;
}

export function sitesOfPair(pair: PairId): [SiteId, SiteId] {
  const [from, to] = pair.split('>');
  return [from as SiteId, to as SiteId];
}

/** The same path under another crypto suite is another tunnel, so that both can be up while traffic moves. */
export function tunnelId(path: PathId, securityDigest: string): TunnelId {
  return `t-${createHash('sha256').update(`${path}#${securityDigest}`).digest('hex').slice(0, 8)}` as TunnelId;
}

function checked(name: string): string {
  if (!isName(name)) throw new TypeError(`not a name: ${JSON.stringify(name.slice(0, 60))}`);
  return name;
}
