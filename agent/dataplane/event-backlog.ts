import { type Clock, sleep } from '../../src/base/index.ts';
import type { Machine } from './machine.ts';

/**
 * How much the kernel's other listeners may have left unread before it is changed further, bytes. strongSwan 5.9.8 gives
 * its socket for events the system's usual buffer (208 KiB, some 150 addresses at once), and what finds no place in it is
 * lost for good: the daemon then has no such address, refuses its tunnel and never asks again.
 */
const UNREAD_MAX_BYTES = 8_192;
/** Nobody is waited for longer than this at a time, ms: it may hang. */
const PATIENCE_MS = 1_000;
const LOOK_MS = 2;

/** Resolves when all who listen to changes of the network (Netlink's route family) have read what was told, or do not read. */
export async function listenersCaughtUp(machine: Machine, clock: Clock): Promise<void> {
  const untilMs = clock.monotonicMs() + PATIENCE_MS;
  while (unreadBytes(await machine.readNetlink()) > UNREAD_MAX_BYTES && clock.monotonicMs() < untilMs) await sleep(clock, LOOK_MS);
}

/** Of the listener that is the furthest behind. The text of `/proc/net/netlink`: `sk Eth Pid Groups Rmem …`; who is in no group hears no events. */
export function unreadBytes(text: string): number {
  return text.split('\n').reduce((most, line) => {
    const [, family, , groups, unread] = line.trim().split(/\s+/);
    return family === '0' && /[1-9a-f]/.test(groups ?? '') ? Math.max(most, Number(unread)) : most;
  }, 0);
}
