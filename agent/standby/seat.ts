import type { NodeId } from '../../src/model/index.ts';
import { decide, firstStanding, type Scene, type Standing } from './election.ts';
import type { LanLink, SharedAddress, StandbySettings } from './standby.ts';

/** While another gateway listens, an address is ours for this long only, unless renewed: an agent that dies is fenced by its own kernel, ms. */
export const LEASE_MS = 5_000;
const LEASE_RENEW_MS = 1_000;

/** One shared address, and how this gateway stands to it. */
export interface Seat extends SharedAddress {
  preferred: NodeId;
  standing: Standing;
  leasedAtMs: number;
  /** It and another one both owned it at the last look. */
  wasContested: boolean;
}

/** The addresses that are shared now, as this gateway stood to them; one that is new may be ours still, after a restart. */
export function seatsOf({ address, address6, shared }: StandbySettings, before: readonly Seat[], lan: LanLink): Seat[] {
  const wanted = [{ address, address6, preferred: shared.preferred }, ...(shared.others ?? [])];
  for (const gone of before) if (gone.standing.holds && !wanted.some((one) => one.address === gone.address)) lan.giveUp(gone);
  return wanted.map((one) => {
    const known = before.find((seat) => seat.address === one.address) ?? { standing: firstStanding(lan.hasAddress(one.address)), leasedAtMs: 0, wasContested: false };
    return { ...known, address6: undefined, ...one };
  });
}

/** Decides whose one address is, and makes it so in the kernel; true when that changed. */
export function settleSeat(seat: Seat, scene: Scene, lan: LanLink, isPartnerAlive: boolean): boolean {
  const { nowMs } = scene;
  const held = seat.standing.holds;
  seat.standing = decide(seat.standing, scene);
  const { holds } = seat.standing;
  const isRivalled = scene.heard.some(({ untilMs, state }) => nowMs < untilMs && state.holds);
  keepKernel(seat, held, isPartnerAlive, nowMs, lan);
  // who had a rival until now may have lost hosts to it: say again where the address is
  if (holds && held && seat.wasContested && !isRivalled) lan.take(seat, isPartnerAlive ? LEASE_MS : null, true);
  seat.wasContested = holds && isRivalled;
  return holds !== held;
}

function keepKernel(seat: Seat, held: boolean, isPartnerAlive: boolean, nowMs: number, lan: LanLink): void {
  const { address, standing } = seat;
  if (!standing.holds) {
    if (held || lan.hasAddress(address)) lan.giveUp(seat);
    return;
  }
  const isNew = !held || !lan.hasAddress(address);
  if (!isNew && nowMs - seat.leasedAtMs < LEASE_RENEW_MS) return;
  seat.leasedAtMs = nowMs;
  lan.take(seat, isPartnerAlive ? LEASE_MS : null, isNew);
}
