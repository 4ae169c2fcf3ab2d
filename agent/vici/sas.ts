import { nodeOfIkeIdentity, type TunnelId } from '../../src/model/index.ts';
import type { DriverName } from '../driver.ts';
import type { SaState } from '../ports.ts';
import { ANY_ADDRESS } from './connections.ts';
import { listAt, numberAt, sectionAt, sectionsOf, textAt, type ViciMessage } from './codec.ts';
import { suiteInUse } from './suites.ts';

/** Children in these states carry packets; while one is being rekeyed the old one still does. */
const CARRYING = new Set(['INSTALLED', 'UPDATING', 'REKEYING']);
/** Children in these are on their way out. */
const LEAVING = new Set(['REKEYED', 'DELETING', 'DELETED', 'DESTROYING']);
/** IKE SAs in these are on their way out. */
const IKE_LEAVING = new Set(['REKEYED', 'DELETING', 'DESTROYING']);

/** One IKE SA of a `list-sa` event. */
export interface ListedSa {
  state: SaState;
  /** The node that it has shown to be; '' before it has. */
  peer: string;
}

/** The IKE SAs of one `list-sa` event; SAs that are being deleted are left out unless a child still carries packets. */
export function readListedSas(event: ViciMessage, driver: DriverName = 'libipsec'): ListedSa[] {
  return sectionsOf(event).flatMap(([name, ike]) => {
    const child = chooseChild(sectionsOf(sectionAt(ike, 'child-sas') ?? {}).map(([, section]) => section));
    const ikeState = textAt(ike, 'state') ?? '';
    const childState = child === null ? null : stateOfChild(child, driver);
    if (IKE_LEAVING.has(ikeState) && childState !== 'INSTALLED') return [];
    const state: SaState = {
      tunnel: name as TunnelId,
      ikeState,
      childState,
      ikeSuite: suiteInUse(ike),
      espSuite: child ? suiteInUse(child) : '',
      bytesIn: child ? numberAt(child, 'bytes-in') : 0,
      bytesOut: child ? numberAt(child, 'bytes-out') : 0,
      packetsIn: child ? numberAt(child, 'packets-in') : 0,
      packetsOut: child ? numberAt(child, 'packets-out') : 0,
      establishedSeconds: numberAt(ike, 'established'),
      ikeId: numberAt(ike, 'uniqueid'),
      besides: 0,
    };
    return [{ state, peer: nodeOfIkeIdentity(textAt(ike, 'remote-id') ?? '') }];
  });
}

/** What the IKE SAs of one tunnel (at least one) say about it together: the newest with packets flowing tells its state, else the newest. */
export function stateOfTunnel(sas: readonly ListedSa[]): SaState {
  const newestFirst = sas.map(({ state }) => state).sort((one, other) => other.ikeId - one.ikeId);
  const carrying = newestFirst.filter(({ childState }) => childState === 'INSTALLED');
  return { ...(carrying[0] ?? newestFirst[0]!), besides: Math.max(0, carrying.length - 1) };
}

/** The newest child that carries packets, else the newest that is coming up; null when all are leaving. */
function chooseChild(children: readonly ViciMessage[]): ViciMessage | null {
  const newestFirst = [...children].sort((left, right) => numberAt(right, 'uniqueid') - numberAt(left, 'uniqueid'));
  const carrying = newestFirst.find((child) => CARRYING.has(textAt(child, 'state') ?? ''));
  return carrying ?? newestFirst.find((child) => !LEAVING.has(textAt(child, 'state') ?? '')) ?? null;
}

/** What a child that carries packets is called when it does not carry all that it should. */
export const NARROWED = 'NARROWED';

/**
 * INSTALLED for every state in which packets flow: a rekey is no outage. An XFRM tunnel must take any address; a peer
 * with another driver narrows it to the overlay, where probes would answer while hosts' packets are lost.
 */
function stateOfChild(child: ViciMessage, driver: DriverName): string {
  const state = textAt(child, 'state') ?? '';
  if (!CARRYING.has(state)) return state;
  const isWhole = driver === 'libipsec' || ['local-ts', 'remote-ts'].every((side) => listAt(child, side).includes(ANY_ADDRESS));
  return isWhole ? 'INSTALLED' : NARROWED;
}
