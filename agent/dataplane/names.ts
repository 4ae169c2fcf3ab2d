import type { ClassId, SiteId, TunnelId } from '../../src/model/index.ts';
import { isTunnelId } from '../driver.ts';

/** The nftables table that holds all our rules, family inet. */
export const NFT_TABLE = 'foremesh';
/** charon's userspace ESP device: what is routed into it is encrypted. */
export const ESP_INTERFACE = 'ipsec0';
/** Our `ip rule`s: `fwmark M lookup M`, at this priority, before the main table. */
export const RULE_PRIORITY = 1000;
/** Guard routes lose against any real route and win against the default route, being longer. */
export const GUARD_METRIC = 9999;
/**
 * An IPv6 address has no label to say that it is ours; the metric of the route that comes with it says so. It wins
 * against the one that the LAN has without it, `LAN_METRIC`.
 */
export const OWN_ADDRESS_METRIC = 250;
/** What such an address is listed with in place of a label. */
export const OWN_LABEL_6 = 'fm';
/** The way to hosts of a LAN whose address is shared: loses against the route that comes with the address, wins against the guards. */
export const LAN_METRIC = 500;
/** All addresses that `copyAlias` gives. */
export const COPY_ALIASES = '240.0.0.0/4';
/** VXLAN's registered port; on overlay addresses only. */
export const VXLAN_PORT = 4789;
/** Tables that are the system's (unspec, default, main, local) or charon's (220). */
export const RESERVED_MARKS: ReadonlySet<number> = new Set([0, 220, 253, 254, 255]);

const INTERFACE_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$/;

/** A tunnel's interface has the tunnel's id as its name. */
export function isTunnelName(text: string): text is TunnelId {
  return isTunnelId(text);
}

/** True for a name that Linux takes for an interface and nft needs no escape for. */
export function isInterfaceName(text: string): boolean {
  return INTERFACE_NAME.test(text);
}

/**
 * The VXLAN network id of a tunnel, 0 … 2^24 - 1: the low bits of the lesser of its two overlay addresses, so both
 * ends agree and no two tunnels of a mesh share one (their overlay addresses differ).
 */
export function vniOf(localOverlay: string, remoteOverlay: string): number {
  const [local, remote] = [bytesOf(localOverlay), bytesOf(remoteOverlay)];
  const lesser = Buffer.compare(local, remote) < 0 ? local : remote;
  return lesser.readUIntBE(1, 3);
}

/** The MAC of the end with this overlay address: locally administered, the address in its low bytes. */
export function macOf(overlay: string): string {
  return ['02', 'fe', ...[...bytesOf(overlay)].map((byte) => byte.toString(16).padStart(2, '0'))].join(':');
}

/**
 * What IPv6 packets for the end with this overlay address are sent to: a link-local address on the tunnel's interface
 * alone, which nobody holds; its permanent neighbour entry has the MAC.
 */
export function linkLocalOf(overlay: string): string {
  const bytes = bytesOf(overlay);
  return `fe80::${bytes.readUInt16BE(0).toString(16)}:${bytes.readUInt16BE(2).toString(16)}`;
}

/** Settings that make the kernel tell a LAN of its addresses when the MAC is set, IPv4 first. */
export function notifySysctls(interfaceName: string): [string, string] {
  return [`net/ipv4/conf/${interfaceName}/arp_notify`, `net/ipv6/conf/${interfaceName}/ndisc_notify`];
}

/** `0x65`: how `ip` and `nft` both write a mark. */
export function markText(mark: number): string {
  return `0x${mark.toString(16)}`;
}

/** The counter of what hosts of this site offered to `to` in one class. Names hold no `_`, so this reads back. */
export function offeredCounter(to: SiteId, classId: ClassId): string {
  return `o_${to}__${classId}`;
}

export function readOfferedCounter(name: string): { to: SiteId; classId: ClassId } | null {
  const match = /^o_([a-z0-9-]+)__([a-z0-9-]+)$/.exec(name);
  return match ? { to: match[1] as SiteId, classId: match[2] as ClassId } : null;
}

/** Answers of the first resolver come to this UDP port, those of the next to the next. */
const ANSWER_PORT = 8624;

export function answerPort(index: number): number {
  return ANSWER_PORT + index;
}

/** Sets of a match by host name: addresses that answers gave, and of these what packets went to lately. */
export function nameSets(classId: ClassId, match: number): { learned: string; used: string } {
  return { learned: `n_${classId}__${match}`, used: `u_${classId}__${match}` };
}

/** Counters of what the gateway itself receives from and sends into a tunnel's interface, probes above all. */
export function ownCounters(tunnel: TunnelId): { received: string; sent: string } {
  return { received: `own_in_${tunnel}`, sent: `own_out_${tunnel}` };
}

/** Marks an address as ours, so that it can be told from one that a person added; '' where the name would get too long. */
export function addressLabel(interfaceName: string): string {
  const label = `${interfaceName}:fm`;
  return label.length <= 15 ? label : '';
}

function bytesOf(address: string): Buffer {
  return Buffer.from(address.split('.').map(Number));
}

/**
 * The address by which nftables hands a lane's second copies to routing: out of 240.0.0.0/4, which no network uses
 * (RFC 1112), its low 28 bits the lane's mark, of which no two have the same.
 */
export function copyAlias(mark: number): string {
  const low = mark & 0x0fff_ffff;
  return [240 + (low >>> 24), (low >>> 16) & 255, (low >>> 8) & 255, low & 255].join('.');
}
