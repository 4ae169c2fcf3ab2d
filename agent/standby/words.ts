import type { NodeId } from '../../src/model/index.ts';
import type { MemberState } from './election.ts';

/** What a gateway says of one shared address. */
export type SeatWords = Pick<MemberState, 'preferred' | 'holds' | 'isInterim' | 'holdDownMs'>;

/** What a heartbeat says. */
export interface HeartbeatWords extends Pick<MemberState, 'generation' | 'reach' | 'hears'> {
  /** Its sender is gone for so long on purpose, ms. */
  pauseMs: number;
  /** Of the address of the sender's own intent. */
  main: SeatWords;
  /** Of each shared address; null: of one that shares one only. */
  addresses: ReadonlyMap<string, SeatWords> | null;
}

/** Longest wait that a partner may ask for, ms. */
const PAUSE_MAX_MS = 60_000;
/** Longest hold-down time that a partner may ask for, ms. */
const HOLD_DOWN_MAX_MS = 86_400_000;
const ADDRESSES_MAX = 16;

/** The body of a heartbeat as what it says; null when it makes no sense. Who sent it is certified, but may run another version: older agents say neither whom they hear nor a hold-down time. */
export function readWords(body: unknown): HeartbeatWords | null {
  if (typeof body !== 'object' || body === null) return null;
  const { generation, reach, pauseMs, hears = null, addresses = null } = body as Record<string, unknown>;
  const main = readSeat(body);
  if (!main || !isCount(generation) || !isCount(reach) || !isCount(pauseMs) || !isNames(hears)) return null;
  const seats = addresses === null ? null : readSeats(addresses);
  if (addresses !== null && !seats) return null;
  return { generation, reach, hears, pauseMs: Math.min(pauseMs, PAUSE_MAX_MS), main, addresses: seats };
}

function readSeats(value: unknown): Map<string, SeatWords> | null {
  if (typeof value !== 'object' || value === null) return null;
  const seats = Object.entries(value).map(([address, seat]): [string, SeatWords | null] => [address, readSeat(seat)]);
  const read = seats.flatMap(([address, seat]): [string, SeatWords][] => (seat ? [[address, seat]] : []));
  return read.length === seats.length && read.length <= ADDRESSES_MAX ? new Map(read) : null;
}

function readSeat(value: unknown): SeatWords | null {
  if (typeof value !== 'object' || value === null) return null;
  const { preferred, holds, isInterim, holdDownMs = 0 } = value as Record<string, unknown>;
  if (typeof preferred !== 'string' || typeof holds !== 'boolean' || typeof isInterim !== 'boolean' || !isCount(holdDownMs)) return null;
  return { preferred: preferred as NodeId, holds, isInterim, holdDownMs: Math.min(holdDownMs, HOLD_DOWN_MAX_MS) };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isNames(value: unknown): value is NodeId[] | null {
  return value === null || (Array.isArray(value) && value.every((name) => typeof name === 'string'));
}
