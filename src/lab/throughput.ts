import { type Clock, ForemeshError, roundTo, runCommand, sleep } from '../base/index.ts';
import type { TunnelId } from '../model/index.ts';
import { type GatewayLayout, wanAddress } from './net/index.ts';
import type { ListedTunnel } from './sas.ts';

/** A tunnel as its end `a` (the lesser uplink id) lists it, with the gateways of both ends. */
export interface TunnelEnds {
  sa: ListedTunnel;
  a: GatewayLayout;
  b: GatewayLayout;
}

/** Finds a tunnel among what the daemons list. @throws ForemeshError LAB_FAILED unless it is installed at its end a */
export function findTunnel(tunnel: TunnelId, listed: ReadonlyMap<GatewayLayout, readonly ListedTunnel[]>): TunnelEnds {
  const uplinks = [...listed.keys()].flatMap((gateway) => gateway.uplinks.map((uplink) => ({ gateway, ...uplink })));
  const at = (address: string): (typeof uplinks)[number] | undefined => uplinks.find((one) => [one.address, wanAddress(one)].includes(address));
  for (const [gateway, sas] of listed) {
    const sa = sas.find((one) => one.tunnel === tunnel && one.childState === 'INSTALLED' && one.localOverlay && one.remoteOverlay);
    const [local, remote] = sa ? [at(sa.localAddress), at(sa.remoteAddress)] : [];
    if (sa && local && remote && local.uplink < remote.uplink) return { sa, a: gateway, b: remote.gateway };
  }
  throw new ForemeshError('LAB_FAILED', { what: `tunnel ${tunnel} is not installed at any gateway`, fix: 'wait until its CHILD SA is INSTALLED' });
}

const PAYLOAD_BYTES = 1250;
const PORT = 5201;

/**
 * iperf3 over UDP from gateway a to gateway b, between the tunnel's own two overlay addresses, so that no route can lead
 * it through another tunnel. Bounded: ends within `durationMs` and six seconds.
 */
export async function measureThroughput(ends: TunnelEnds, durationMs: number, targetMbps: number, clock: Clock): Promise<{ mbps: number; lostRatio: number }> {
  const { sa, a, b } = ends;
  const seconds = Math.max(1, Math.round(durationMs / 1000));
  const inside = (gateway: GatewayLayout, args: readonly string[]): ReturnType<typeof runCommand> =>
    runCommand('ip', ['netns', 'exec', gateway.namespace, 'iperf3', ...args], { timeoutMs: seconds * 1000 + 6000 });
  const server = inside(b, ['-s', '-1', '-B', sa.remoteOverlay!, '-p', String(PORT)]);
  await sleep(clock, 150); // iperf3 says nothing when it listens
  const client = ['-c', sa.remoteOverlay!, '-B', sa.localOverlay!, '-p', String(PORT), '-u', '-b', `${targetMbps}M`, '-l', String(PAYLOAD_BYTES), '-t', String(seconds), '-J', '--connect-timeout', '3000'];
  const [result] = await Promise.all([inside(a, client), server]);
  return readResult(result.stdout.toString('utf8'), sa.tunnel);
}

interface Iperf3Result {
  error?: string;
  end?: { sum?: { bits_per_second?: number; lost_percent?: number }; sum_received?: { bits_per_second?: number; lost_percent?: number } };
}

function readResult(text: string, tunnel: TunnelId): { mbps: number; lostRatio: number } {
  const result = JSON.parse(text === '' ? '{}' : text) as Iperf3Result;
  const sum = result.end?.sum;
  if (result.error !== undefined || sum?.bits_per_second === undefined) {
    throw new ForemeshError('LAB_FAILED', { what: `iperf3 through ${tunnel}: ${result.error ?? 'no result'}`, fix: 'see that the tunnel carries packets: ping its other overlay address' });
  }
  const lostRatio = (sum.lost_percent ?? 0) / 100;
  const receivedBps = result.end?.sum_received?.bits_per_second ?? sum.bits_per_second * (1 - lostRatio);
  return { mbps: roundTo(receivedBps / 1e6, 2), lostRatio: roundTo(lostRatio, 4) };
}
