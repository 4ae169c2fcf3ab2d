import type { Cancel, Clock, Log } from '../../src/base/index.ts';
import { isTunnelName, NFT_TABLE } from './names.ts';
import type { Machine } from './machine.ts';

/** The kernel's own news of links, addresses, routes, rules and settings, and of nftables. */
const WATCHERS: readonly (readonly [program: string, args: readonly string[]])[] = [
  ['ip', ['monitor', 'label', 'link', 'address', 'route', 'rule', 'netconf', 'neigh']],
  ['nft', ['monitor']],
];
/** News within this is one change, ms. */
const GATHER_MS = 200;
const RESTART_FIRST_MS = 1_000;
const RESTART_MAX_MS = 60_000;
/** A watcher that lived this long was fine: the next is started soon again, ms. */
const STEADY_MS = 60_000;

/**
 * Tells when the kernel's forwarding state changed, by us or by somebody else, through one `ip monitor` and one
 * `nft monitor` that stay: together 6 MB and no work while nothing changes, where comparing every few seconds costs two
 * programs each time. What changed is for the next apply to find out. A watcher that ends is news too, since something
 * may have happened that it did not tell, and is started again with growing pauses. Changes are gathered; that all
 * our rules went is told at once, as nothing is forwarded until they are back.
 */
export class KernelWatch {
  readonly #machine: Machine;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #onChange: (isLoss: boolean) => void;
  readonly #stops = new Map<string, Cancel>();
  #cancelGather: Cancel | null = null;
  #isRunning = false;

  constructor(machine: Machine, clock: Clock, log: Log, onChange: (isLoss: boolean) => void) {
    this.#machine = machine;
    this.#clock = clock;
    this.#log = log;
    this.#onChange = onChange;
  }

  /** May be called again. */
  start(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    for (const [program, args] of WATCHERS) this.#watch(program, args, RESTART_FIRST_MS);
  }

  stop(): void {
    this.#isRunning = false;
    for (const stop of this.#stops.values()) stop();
    this.#stops.clear();
    this.#cancelGather?.();
    this.#cancelGather = null;
  }

  #watch(program: string, args: readonly string[], pauseMs: number): void {
    const startedAtMs = this.#clock.monotonicMs();
    const onEnd = (why: string): void => {
      this.#log.warn({ program, why, pauseMs }, 'the watch on the kernel ended and is started again');
      this.#note();
      const nextPauseMs = this.#clock.monotonicMs() - startedAtMs >= STEADY_MS ? RESTART_FIRST_MS : Math.min(RESTART_MAX_MS, pauseMs * 2);
      this.#stops.set(program, this.#clock.setTimer(pauseMs, () => this.#watch(program, args, nextPauseMs)));
    };
    this.#stops.set(program, this.#machine.watch(program, args, (line) => this.#hear(line), onEnd));
  }

  #hear(line: string): void {
    if (isLoss(line) && this.#isRunning) this.#onChange(true);
    else if (isOfInterest(line)) this.#note();
  }

  #note(): void {
    if (!this.#isRunning || this.#cancelGather) return;
    this.#cancelGather = this.#clock.setTimer(GATHER_MS, () => {
      this.#cancelGather = null;
      this.#onChange(false);
    });
  }
}

/**
 * Neighbours come and go on a LAN all the time; those of tunnels are ours and permanent. What sets hold is not looked at
 * by an apply, and who learned what from answers is no news; every line of substance comes with a generation.
 */
export function isOfInterest(line: string): boolean {
  if (/^(?:add|delete) element inet foremesh /.test(line) || line.startsWith('# new generation ')) return false;
  if (!line.startsWith('[NEIGH]')) return line.trim() !== '';
  return isTunnelName(/ dev (\S+)/.exec(line)?.[1] ?? '');
}

/** Somebody took the table that steers and guards: a flush of all rules says so too. An apply never does. */
export function isLoss(line: string): boolean {
  return line.trim() === `delete table inet ${NFT_TABLE}`;
}
