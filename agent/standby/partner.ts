import type { NodeId } from '../../src/model/index.ts';
import { noteHeard, type Heard } from './election.ts';
import type { Session } from './session.ts';
import type { HeartbeatWords, SeatWords } from './words.ts';

/** Another gateway of the site. */
export interface Partner {
  node: NodeId;
  address: string;
  /** What was agreed, and what may replace it once something sealed by it arrives. */
  sessions: Session[];
  heard: HeardPartner | null;
}

/** Its words about each address, by address, which all arrived in one heartbeat. */
export interface HeardPartner {
  untilMs: number;
  byAddress: ReadonlyMap<string, Heard>;
}

/** What is known of a partner after a heartbeat. An older agent does not say of which address it speaks: of the one that is shared. */
export function hear({ node, heard }: Partner, { main, addresses, ...member }: HeartbeatWords, at: { self: NodeId; nowMs: number; address: string; silenceMs: number }): HeardPartner {
  const { self, nowMs } = at;
  const untilMs = nowMs + Math.max(at.silenceMs, member.pauseMs);
  const note = (address: string, said: SeatWords): Heard => noteHeard(heard?.byAddress.get(address) ?? null, { node, ...member, ...said }, { self, nowMs, untilMs });
  return { untilMs, byAddress: new Map([...(addresses ?? new Map([[at.address, main]]))].map(([address, said]) => [address, note(address, said)])) };
}

/** The same as if everything had happened `lateMs` later: for who has stood still himself. */
export function laterBy({ untilMs, byAddress }: HeardPartner, lateMs: number): HeardPartner {
  const later = ({ state, untilMs: until, deafSinceMs }: Heard): Heard => ({ state, untilMs: until + lateMs, deafSinceMs: deafSinceMs === null ? null : deafSinceMs + lateMs });
  return { untilMs: untilMs + lateMs, byAddress: new Map([...byAddress].map(([address, heard]) => [address, later(heard)])) };
}
