import type { Clock, Log } from '../../src/base/index.ts';
import type { TunnelId } from '../../src/model/index.ts';
import type { LanePort, LaneTunnel, LaneWanted } from '../ports.ts';
import type { DriverName } from '../driver.ts';
import { laneHop, laneLines } from './changes.ts';
import { driverOf, type NextHop, type TunnelDriver } from './driver.ts';
import type { LineProgram, Machine } from './machine.ts';

export interface LaneWriterOptions {
  driver: DriverName;
  machine: Machine;
  clock: Clock;
  log: Log;
}

/** The kernel's routes behind `LanePort`. */
export function createLaneWriter(options: LaneWriterOptions): LanePort {
  return new LaneWriter(options);
}

/** A child that ends sooner than this is not started again until it is needed: something is wrong with it. */
const STEADY_MS = 1000;
/** Lines that were written this shortly before a child ended are given to the next: it may not have read them. */
const UNSURE_MS = 1000;

/**
 * A running `ip -force -batch -` that takes route lines the moment a path fails: writing to it takes 0.1 ms, starting
 * a program 5 to 40. Started anew when it ends; what it refuses is logged, and set right by the next apply.
 */
class LaneWriter implements LanePort {
  readonly #driver: TunnelDriver;
  readonly #machine: Machine;
  readonly #clock: Clock;
  readonly #log: Log;
  #program: LineProgram | null = null;
  #recent: { atMs: number; lines: readonly string[] }[] = [];

  constructor({ driver, machine, clock, log }: LaneWriterOptions) {
    this.#driver = driverOf(driver);
    this.#machine = machine;
    this.#clock = clock;
    this.#log = log;
    this.#start();
  }

  switchLanes(lanes: readonly LaneWanted[], tunnels: ReadonlyMap<TunnelId, LaneTunnel>): void {
    const lines: string[] = [];
    const nextHops = {
      get: (tunnel: TunnelId): NextHop | undefined => {
        const known = tunnels.get(tunnel);
        return known && laneHop(known, this.#driver);
      },
    };
    for (const lane of lanes) {
      const known = laneLines(lane, nextHops);
      if (known) lines.push(...known);
      else this.#log.warn({ mark: lane.mark, tunnel: lane.active }, 'lane not switched: its tunnel has no interface here');
    }
    this.#write(lines);
  }

  /** Has the program ready. */
  #start(): void {
    if (this.#program) return;
    const startedAtMs = this.#clock.monotonicMs();
    const program = this.#machine.start(
      'ip',
      ['-force', '-batch', '-'],
      (line) => this.#log.warn({ line }, 'a lane was not switched'),
      (why) => {
        if (this.#program !== program) return;
        this.#program = null;
        this.#log.warn({ why }, 'the lane switcher ended');
        if (this.#clock.monotonicMs() - startedAtMs >= STEADY_MS) this.#write(this.#unsure());
      },
    );
    this.#program = program;
  }

  /**
   * Another program, for one that remembers interfaces: `ip -batch` keeps the number of every name it has used, so a
   * tunnel whose interface was made anew would be "no device" to it. The old one still does what it was given.
   */
  renew(): void {
    this.close();
    this.#start();
  }

  #write(lines: readonly string[]): void {
    this.#start();
    if (lines.length === 0) return;
    this.#recent = [...this.#recent.filter(({ atMs }) => atMs >= this.#clock.monotonicMs() - UNSURE_MS), { atMs: this.#clock.monotonicMs(), lines }];
    this.#program?.write(`${lines.join('\n')}\n`);
  }

  /** Oldest first, so that the last word on a lane is said last. */
  #unsure(): string[] {
    const sinceMs = this.#clock.monotonicMs() - UNSURE_MS;
    return this.#recent.filter(({ atMs }) => atMs >= sinceMs).flatMap(({ lines }) => lines);
  }

  close(): void {
    const program = this.#program;
    this.#program = null;
    program?.stop();
  }
}
