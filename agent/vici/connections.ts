import { type DriverName, ifIdOf } from '../driver.ts';
import type { ConnectionSpec, Credentials } from '../ports.ts';
import type { ViciMessage } from './codec.ts';
import { espProposals, ikeProposals, withMlKem } from './suites.ts';

/** How often a silent peer is asked whether it still lives. Only tidies up: probes decide on fail-over. */
const DPD_DELAY_SECONDS = 5;
/**
 * Behind NAT the question is also what tells the peer our new address after the NAT has forgotten the old one (RFC 7296
 * §2.23): nothing comes in any more then, and so it is asked. As soon as charon can.
 */
const NAT_DPD_DELAY_SECONDS = 1;
/** Keys that nobody renewed live on for this many rekey times more, for the other end to do it. */
const OVERDUE_FACTOR = 2;
/**
 * Packets of an SA that later ones may overtake before they count as replayed (RFC 4303 §3.4.3); what the kernel takes at most.
 * With XFRM class queues come after encryption, where the urgent overtake: 100 ms of queue are 1000 packets at 10 000 a second.
 */
const REPLAY_WINDOW_PACKETS = 4096;

/**
 * The `load-conn` message of a tunnel: one IKE SA with one CHILD SA, both named by the tunnel.
 * - a peer behind NAT may come from any address; which tunnel it means is told by its identity and our address
 * - selectors: with libipsec the two overlay addresses and nothing else; with XFRM everything, and the interface id says
 *   which tunnel a packet is for. Either way what goes through is decided by routes
 * - `unique never`: several tunnels between the same two nodes live side by side
 * - `encap`: libipsec needs UDP; the kernel does it where a NAT is found, and else sends ESP itself, which goes on when
 *   the daemon dies, whose socket UDP would need; `mobike no`: a tunnel belongs to its path
 * - no reauthentication: new credentials come with a second IKE SA (see reconcile/renewal.ts), without a gap
 * - rekeys come at the time that was asked for and not at random before it: schedules keep tunnels apart
 * - the daemon starts nothing by itself (`start_action none`) and retries for ever what we started (`keyingtries 0`)
 * @param edition  0…29: makes an otherwise equal connection another one, by so many seconds of its last grace:
 *   the daemon puts a new child into an IKE SA that it has for an equal connection, and refuses it there as a duplicate
 */
export function connectionMessage(spec: ConnectionSpec, credentials: Credentials, edition = 0, driver: DriverName = 'libipsec'): ViciMessage {
  return {
    [spec.tunnel]: {
      version: '2',
      local_addrs: [spec.localAddress],
      remote_addrs: [spec.remoteAddress ?? '%any'],
      proposals: withMlKem(ikeProposals(spec.ike), spec.mlKem),
      unique: 'never',
      mobike: 'no',
      encap: driver === 'libipsec' ? 'yes' : 'no',
      keyingtries: '0',
      send_cert: 'always',
      dpd_delay: `${spec.isBehindNat ? NAT_DPD_DELAY_SECONDS : DPD_DELAY_SECONDS}s`,
      rekey_time: seconds(spec.ikeRekeyMs),
      rand_time: '0s',
      over_time: seconds(spec.ikeRekeyMs * OVERDUE_FACTOR + 1000 * edition),
      reauth_time: '0s',
      ...(spec.ppk ? { ppk_id: spec.ppk.id, ppk_required: 'yes' } : {}),
      local: { auth: 'pubkey', id: spec.localIdentity, certs: [credentials.certificatePem] },
      remote: { auth: 'pubkey', id: spec.remoteIdentity, cacerts: [credentials.caPem] },
      children: {
        [spec.tunnel]: {
          mode: 'tunnel',
          ...selectors(spec, driver),
          esp_proposals: withMlKem(espProposals(spec.esp), spec.mlKem),
          rekey_time: seconds(spec.espRekeyMs),
          rand_time: '0s',
          life_time: seconds(spec.espRekeyMs * (1 + OVERDUE_FACTOR)),
          dpd_action: 'clear',
          close_action: 'none',
          start_action: 'none',
        },
      },
    },
  };
}

/** The selectors that an XFRM tunnel must have at both ends; a peer with another driver narrows them. */
export const ANY_ADDRESS = '0.0.0.0/0';
/** Besides, where hosts use IPv6: a peer that has not heard of that yet narrows it away, and IPv6 waits for the next SA. */
const ANY_ADDRESS_6 = '::/0';

function selectors({ tunnel, localOverlay, remoteOverlay, ipv6 }: ConnectionSpec, driver: DriverName): ViciMessage {
  if (driver === 'libipsec') return { local_ts: [`${localOverlay}/32`], remote_ts: [`${remoteOverlay}/32`] };
  const ifId = String(ifIdOf(tunnel));
  const any = ipv6 ? [ANY_ADDRESS, ANY_ADDRESS_6] : [ANY_ADDRESS];
  return { local_ts: any, remote_ts: any, if_id_in: ifId, if_id_out: ifId, replay_window: String(REPLAY_WINDOW_PACKETS) };
}

function seconds(durationMs: number): string {
  return `${Math.max(1, Math.round(durationMs / 1000))}s`;
}
