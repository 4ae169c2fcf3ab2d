import type { Clock, Log } from '../../src/base/index.ts';
import type { LineProgram, Machine } from './machine.ts';

/** A child that ends sooner than this is not started again until it is needed: something is wrong with it. */
const STEADY_MS = 1000;

/**
 * A running `ip -force -batch -` that takes route lines the moment a path fails: writing to it takes 0.1 ms, starting
 * a program 5 to 40. Started anew when it ends; what it refuses is logged, and set right by the next apply.
 */
export class FastLanes {
  readonly #machine: Machine;
  readonly #clock: Clock;
  readonly #log: Log;
  #program: LineProgram | null = null;

  constructor(machine: Machine, clock: Clock, log: Log) {
    this.#machine = machine;
    this.#clock = clock;
    this.#log = log;
  }

  /** Has the program ready. */
  start(): void {
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
        if (this.#clock.monotonicMs() - startedAtMs >= STEADY_MS) this.start();
      },
    );
    this.#program = program;
  }

  write(lines: readonly string[]): void {
    if (lines.length === 0) return;
    this.start();
    this.#program?.write(`${lines.join('\n')}\n`);
  }

  stop(): void {
    const program = this.#program;
    this.#program = null;
    program?.stop();
  }
}
