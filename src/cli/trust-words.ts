import type { DoubtKind } from '../model/index.ts';

/** As `/v1/status` has them: instants are ISO 8601 there. */
export interface QuarantineText {
  node: string;
  since: string;
  kind: DoubtKind;
  why: string;
  cleanWindows: number;
  cleanNeeded: number;
}
export type DoubtText = { node: string } & ({ kind: 'figures'; samples: number; example: string } | { kind: 'clock'; offsetMs: number });

const CURE: Record<DoubtKind, string> = {
  offered: 'look at the counters of its hosts on that gateway (nft list counters table inet foremesh), and who can log in to it',
  ends: 'look at the tunnels of that gateway (ip -s link), and who can log in to it',
  drift: 'find out what changed on that gateway since then',
};

/** Who is not believed, why, what that means, what to look at, and when it ends. */
export function quarantineText({ node, since, kind, why, cleanWindows, cleanNeeded }: QuarantineText): string {
  return [
    `${node} is in quarantine since ${since}: ${why}`,
    `  its demand counts as far as others confirm it, and is not learned from. ${CURE[kind]}`,
    `  it is believed again by itself after ${cleanNeeded} windows without a contradiction (${cleanWindows} so far)`,
  ].join('\n');
}

/** What one gateway reports that cannot be, and what to do. */
export function doubtText(doubt: DoubtText): string {
  if (doubt.kind === 'figures') return `${doubt.node} reported ${doubt.samples} figures that cannot be (${doubt.example}): they are left out, what its hosts offered then is unknown. Update or restart its agent`;
  const hours = Math.abs(doubt.offsetMs) / 3_600_000;
  const by = hours >= 2 ? `${hours.toFixed(1)} h` : `${Math.max(1, Math.round(hours * 60))} min`;
  return `the clock of ${doubt.node} is ${by} ${doubt.offsetMs > 0 ? 'ahead' : 'behind, or its reports come late'}${Math.abs(doubt.offsetMs) > 3_600_000 && doubt.offsetMs > 0 ? ', so that none of its reports counts' : ''}: set it by NTP`;
}
