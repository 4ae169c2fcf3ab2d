import { ViciConnection, listAt, numberAt, sectionAt, sectionsOf, textAt, type ViciMessage } from '../../agent/vici/index.ts';
import { type Clock, compareText } from '../base/index.ts';
import { nodeOfIkeIdentity, type TunnelId } from '../model/index.ts';
import type { WorldSa } from './world.ts';

/** An SA with what a throughput run needs: the overlay addresses that its child carries, and the underlay's. */
export interface ListedTunnel extends WorldSa {
  /** The daemon's number of the IKE SA. */
  ikeId: number;
  localAddress: string;
  remoteAddress: string;
  localOverlay: string | null;
  remoteOverlay: string | null;
}

/**
 * The SAs of one daemon, as the daemon itself lists them, one a tunnel, by tunnel id. States and suites are charon's own
 * words. While an SA is being replaced there are two; the one with an installed child is shown.
 * @throws ForemeshError VICI_CLOSED when no daemon answers at the socket
 */
export async function listTunnels(viciSocket: string, clock: Clock): Promise<ListedTunnel[]> {
  const connection = await ViciConnection.open(viciSocket, clock);
  try {
    const best = new Map<string, ListedTunnel>();
    for await (const event of connection.stream('list-sas', 'list-sa')) {
      for (const [name, ike] of sectionsOf(event)) {
        const listed = readTunnel(name, ike);
        const known = best.get(name);
        if (!known || (known.childState !== 'INSTALLED' && listed.childState === 'INSTALLED')) best.set(name, listed);
      }
    }
    return [...best.values()].sort((left, right) => compareText(left.tunnel, right.tunnel));
  } finally {
    connection.close();
  }
}

/** How many IKE SAs a daemon has that are established, without walking over them. @throws ForemeshError VICI_CLOSED when no daemon answers */
export async function countIkeSas(viciSocket: string, clock: Clock): Promise<number> {
  const connection = await ViciConnection.open(viciSocket, clock);
  try {
    const counts = sectionAt(await connection.request('stats'), 'ikesas');
    return counts ? numberAt(counts, 'total') - numberAt(counts, 'half-open') : 0;
  } finally {
    connection.close();
  }
}

/** `charon 5.9.8`, in the daemon's own words. @throws ForemeshError VICI_CLOSED when no daemon answers */
export async function daemonVersion(viciSocket: string, clock: Clock): Promise<string> {
  const connection = await ViciConnection.open(viciSocket, clock);
  try {
    const answer = await connection.request('version');
    return `${textAt(answer, 'daemon') ?? 'unknown daemon'} ${textAt(answer, 'version') ?? ''}`.trim();
  } finally {
    connection.close();
  }
}

function readTunnel(name: string, ike: ViciMessage): ListedTunnel {
  const child = newestChild(sectionsOf(sectionAt(ike, 'child-sas') ?? {}).map(([, section]) => section));
  return {
    tunnel: name as TunnelId,
    peer: nodeOfIkeIdentity(textAt(ike, 'remote-id') ?? ''),
    ikeState: textAt(ike, 'state') ?? '',
    childState: child ? textAt(child, 'state') : null,
    ikeSuite: suiteOf(ike),
    espSuite: child ? suiteOf(child) : '',
    packetsIn: child ? numberAt(child, 'packets-in') : 0,
    packetsOut: child ? numberAt(child, 'packets-out') : 0,
    ikeId: numberAt(ike, 'uniqueid'),
    localAddress: textAt(ike, 'local-host') ?? '',
    remoteAddress: textAt(ike, 'remote-host') ?? '',
    localOverlay: addressOf(child, 'local-ts'),
    remoteOverlay: addressOf(child, 'remote-ts'),
  };
}

/** Installed before anything else, then the newest; a child being deleted is no child. */
function newestChild(children: readonly ViciMessage[]): ViciMessage | null {
  const rank = (child: ViciMessage): number => (textAt(child, 'state') === 'INSTALLED' ? 1e9 : 0) + numberAt(child, 'uniqueid');
  const living = children.filter((child) => !['DELETED', 'DELETING', 'DESTROYING'].includes(textAt(child, 'state') ?? ''));
  return living.sort((left, right) => rank(right) - rank(left))[0] ?? null;
}

/** `AES_GCM_16-256/PRF_HMAC_SHA2_384/CURVE_25519`: as swanctl prints it. */
function suiteOf(section: ViciMessage): string {
  const sized = (key: string): string | null => {
    const [name, bits] = [textAt(section, `${key}-alg`), textAt(section, `${key}-keysize`)];
    return name === null ? null : bits === null ? name : `${name}-${bits}`;
  };
  const parts = [sized('encr'), sized('integ'), textAt(section, 'prf-alg'), textAt(section, 'dh-group')];
  return parts.filter((part) => part !== null).join('/');
}

/** The address of a selector that is one host: `172.30.0.1/32`. */
function addressOf(child: ViciMessage | null, key: string): string | null {
  return (child && listAt(child, key)[0]?.split(/[/[|]/)[0]) ?? null;
}
