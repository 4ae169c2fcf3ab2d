import { addressAt, familyOf, ForemeshError, ofFamily } from '../../base/index.ts';
import { type Intent, type NodeId, nodesOf, type Provider, type Site, type SiteId, type SiteNode, type Uplink, type UplinkId } from '../../model/index.ts';
import { namespacePrefix } from '../run/index.ts';

/** Every name, number and address of one lab; a pure function of id and intent. */
export interface LabLayout {
  id: string;
  /** Owns the VXLAN sockets whose devices are the gateways' uplinks. */
  underlayNamespace: string;
  /** Where the relay runs. */
  wanNamespace: string;
  /** A bridge that joins all gateways, and the engine's home. */
  managementNamespace: string;
  engineAddress: string;
  /** Some uplink or some host has it; else it is off, so that no neighbour discovery shows up on the WAN. */
  hasIpv6: boolean;
  gateways: GatewayLayout[];
  hosts: HostLayout[];
}

export interface GatewayLayout {
  node: NodeId;
  site: SiteId;
  namespace: string;
  managementAddress: string;
  lanInterface: string;
  uplinks: UplinkLayout[];
}

export interface UplinkLayout {
  uplink: UplinkId;
  interface: string;
  address: string;
  /** VXLAN network id; unique in the lab. */
  vni: number;
  /** UDP port of both ends of the VXLAN leg; unique in the lab. */
  port: number;
  mac: string;
  /** Routing table and rule priority of packets from this uplink's address. */
  table: number;
  upMbps: number;
  downMbps: number;
  /** A router between the gateway and the WAN; null: none. */
  nat: NatLayout | null;
}

/** A router of its own for one uplink, which translates addresses: `address` of the uplink is behind it. */
export interface NatLayout {
  namespace: string;
  /** What the WAN sees. */
  publicAddress: string;
  /** IKE's ports lead to the gateway. */
  isForwarded: boolean;
}

export interface HostLayout {
  site: SiteId;
  provider: Provider;
  namespace: string;
  address: string;
  prefixLength: number;
  /** The LAN addresses of the site, which the agents of serving gateways hold. */
  gatewayAddresses: string[];
  /** The same in IPv6, where the site has it. */
  ipv6: { address: string; prefixLength: number; gatewayAddresses: string[] } | null;
}

export const UNDERLAY_ADDRESS = '169.254.0.1';
export const WAN_ADDRESS = '169.254.0.2';
/** The next hop of every uplink; answered by nobody, so its neighbour entry is permanent. */
export const PROVIDER_ROUTER = '169.254.1.1';
export const PROVIDER_ROUTER_6 = 'fe80::fe';
export const PROVIDER_ROUTER_MAC = '02:fe:00:00:00:fe';
export const MANAGEMENT_PREFIX = '192.168.255.0/24';
const GATEWAYS_MAX = 200;
const PORT_FIRST = 40_000;

/** @throws ForemeshError LAB_FAILED when two uplinks share an address, or the mesh is too large for one machine */
export function layoutLab(id: string, intent: Intent): LabLayout {
  const prefix = namespacePrefix(id);
  const nodes = nodesOf(intent);
  if (nodes.length > GATEWAYS_MAX) {
    throw new ForemeshError('LAB_FAILED', { what: `the intent has ${nodes.length} gateways, a lab holds ${GATEWAYS_MAX}`, fix: 'use a smaller mesh or the simulated network' });
  }
  let uplinks = 0;
  const gateways = nodes.map((node, index) => {
    const gateway = layoutGateway(prefix, node, index, uplinks);
    uplinks += gateway.uplinks.length;
    return gateway;
  });
  refuseSharedAddresses(gateways);
  return {
    id,
    underlayNamespace: `${prefix}und`,
    wanNamespace: `${prefix}wan`,
    managementNamespace: `${prefix}mgmt`,
    engineAddress: addressAt(MANAGEMENT_PREFIX, 1),
    hasIpv6: intent.sites.some((site) => ofFamily(site.prefixes, 'ipv6').length > 0) || gateways.some((gateway) => gateway.uplinks.some(({ address }) => familyOf(address) === 'ipv6')),
    gateways,
    hosts: intent.sites.flatMap((site) => layoutHost(prefix, site)),
  };
}

/** All namespaces, in the order they are made. */
export function namespacesIn(layout: LabLayout): string[] {
  const sites = [...layout.gateways, ...layout.hosts].map((part) => part.namespace);
  const routers = layout.gateways.flatMap(({ uplinks }) => uplinks.flatMap(({ nat }) => nat?.namespace ?? []));
  return [layout.underlayNamespace, layout.wanNamespace, layout.managementNamespace, ...sites, ...routers];
}

/** The address of an uplink as the WAN sees it. */
export function wanAddress({ address, nat }: Pick<UplinkLayout, 'address' | 'nat'>): string {
  return nat?.publicAddress ?? address;
}

function layoutGateway(prefix: string, node: SiteNode, index: number, uplinksBefore: number): GatewayLayout {
  return {
    node: node.id,
    site: node.site,
    namespace: `${prefix}gw-${node.id}`,
    managementAddress: addressAt(MANAGEMENT_PREFIX, 10 + index),
    lanInterface: node.lan.interface,
    uplinks: node.uplinks.map((uplink, position) => {
      const number = uplinksBefore + position + 1;
      return {
        uplink: uplink.id,
        interface: uplink.interface,
        address: bareAddress(uplink.address),
        vni: number,
        port: PORT_FIRST + number,
        mac: `02:fe:00:00:${hexByte(number >> 8)}:${hexByte(number)}`,
        table: 101 + position,
        upMbps: uplink.upMbps,
        downMbps: uplink.downMbps,
        nat: layoutNat(prefix, uplink, number),
      };
    }),
  };
}

/** Addresses that nobody has told are out of 192.0.0.0/24 (RFC 6890), which no site uses. */
function layoutNat(prefix: string, { nat }: Uplink, number: number): NatLayout | null {
  if (!nat) return null;
  return { namespace: `${prefix}nat-${number}`, publicAddress: nat.publicAddress ?? addressAt(UNKNOWN_ADDRESSES, number), isForwarded: nat.publicAddress !== undefined };
}

const UNKNOWN_ADDRESSES = '192.0.0.0/24';

/** One host a site with gateways, which divides its flows among their addresses: the tenth address of its LAN, or the next that no gateway has. */
function layoutHost(prefix: string, site: Site): HostLayout[] {
  const node = site.nodes.find((one) => one.role === 'active') ?? site.nodes[0];
  const firstPrefix = site.prefixes.find((one) => one.includes('.'));
  if (!node || !firstPrefix) return [];
  const gatewayAddress = bareAddress(node.lan.address);
  const lanLength = node.lan.address.split('/')[1];
  const lan = lanLength === undefined ? firstPrefix : `${gatewayAddress}/${lanLength}`;
  const active = site.nodes.filter(({ role }) => role === node.role).map((one) => one.lan);
  return [
    {
      site: site.id,
      provider: site.provider,
      namespace: `${prefix}host-${site.id}`,
      ...hostIn(lan, active.map(({ address }) => address)),
      ipv6: node.lan.address6 === undefined ? null : hostIn(node.lan.address6, active.flatMap(({ address6 }) => address6 ?? [])),
    },
  ];
}

function hostIn(lan: string, gateways: readonly string[]): { address: string; prefixLength: number; gatewayAddresses: string[] } {
  const gatewayAddresses = [...new Set(gateways.map(bareAddress))];
  const free = [10, 11, 12].map((offset) => addressAt(lan, offset)).find((address) => !gatewayAddresses.includes(address))!;
  return { address: free, prefixLength: Number(lan.split('/')[1]), gatewayAddresses };
}

function refuseSharedAddresses(gateways: readonly GatewayLayout[]): void {
  const owners = new Map<string, UplinkId>();
  for (const one of gateways.flatMap((gateway) => gateway.uplinks)) {
    const { uplink } = one;
    const address = wanAddress(one);
    const owner = owners.get(address);
    if (owner) throw new ForemeshError('LAB_FAILED', { what: `uplinks ${owner} and ${uplink} have the same address ${address}`, fix: 'give each uplink its own address' });
    owners.set(address, uplink);
  }
}

/** `10.1.0.1` of `10.1.0.1/24`. */
export function bareAddress(address: string): string {
  return address.split('/')[0]!;
}

function hexByte(value: number): string {
  return (value & 0xff).toString(16).padStart(2, '0');
}
