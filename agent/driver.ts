import type { TunnelId } from '../src/model/index.ts';

/**
 * How packets of a tunnel come to be encrypted. Both ends of a tunnel use the same one.
 * - `xfrm`: by the kernel, one XFRM interface a tunnel (Linux 4.19 or newer); for production
 * - `libipsec`: by charon, one VXLAN interface a tunnel over its overlay addresses; on any kernel
 */
export type DriverName = 'libipsec' | 'xfrm';

/** 0 is the kernel's "none"; the last two are strongSwan's "one for each SA" and "one for each direction". */
const RESERVED_IF_IDS: ReadonlySet<number> = new Set([0, 0xffff_fffe, 0xffff_ffff]);

/** True for an id that also is an XFRM interface id; no other tunnel is made, so it is refused before it gets far. */
export function isTunnelId(text: string): text is TunnelId {
  return /^t-[0-9a-f]{8}$/.test(text) && !RESERVED_IF_IDS.has(Number.parseInt(text.slice(2), 16));
}

/** The XFRM interface id that ties a tunnel's SAs to its interface: the 32 bits of its id, so no two tunnels share one. */
export function ifIdOf(tunnel: TunnelId): number {
  return Number.parseInt(tunnel.slice(2), 16);
}
