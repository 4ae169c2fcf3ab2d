import { spawn, type ChildProcess } from 'node:child_process';
import type { CommandOptions } from './command.ts';

/** How a program ended, and all it said. */
export interface ProgramEnd {
  exitCode: number | null;
  signal: string | null;
  stdout: Uint8Array;
  stderr: Uint8Array;
}

export type Run = (program: string, args: readonly string[], options: CommandOptions) => Promise<ProgramEnd>;

/** A program that runs longer is killed unless its caller says otherwise. */
export const TIMEOUT_MS = 60_000;
/** A helper that ends sooner is not started again: something is wrong with it. */
const STEADY_MS = 1000;

/**
 * The helper, as source text for the reason given in src/policy/worker-source.ts. Signals of a terminal reach it with
 * everybody else, and it goes on: whoever handles them still has commands to run. It ends with its owner, however that ends.
 */
const HELPER_SOURCE = `'use strict';
const { spawn } = require('node:child_process');
const niceness = Number(process.argv[1]);
try {
  if (niceness > require('node:os').getPriority()) require('node:os').setPriority(niceness);
} catch {} // as urgent as its owner, then
const running = new Set();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => undefined);
process.on('disconnect', () => {
  for (const child of running) child.kill('SIGKILL');
  process.exit(0);
});
process.on('message', ({ id, program, args, settings, stdin }) => {
  const answer = (message) => process.connected && process.send({ id, ...message });
  const refuse = (error) => answer({ error: { message: error.message, code: error.code } });
  let child;
  try {
    child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], killSignal: 'SIGKILL', ...settings });
  } catch (error) {
    refuse(error);
    return;
  }
  running.add(child);
  const stdout = [];
  const stderr = [];
  child.stdout.on('data', (chunk) => stdout.push(chunk));
  child.stderr.on('data', (chunk) => stderr.push(chunk));
  child.stdin.on('error', () => undefined);
  child.on('error', (error) => {
    running.delete(child);
    refuse(error);
  });
  child.on('close', (exitCode, signal) => {
    running.delete(child);
    answer({ end: { exitCode, signal, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr) } });
  });
  child.stdin.end(stdin);
});
`;

type Answer = { id: number; end: ProgramEnd } | { id: number; error: { message: string; code?: string } };

let isKept = false;
let niceness = -20;
let helper: CommandHelper | null = null;

/**
 * From now on this process starts programs through a small process of its own. Starting one copies the page tables of
 * whoever starts it, in one go: 1 ms for a small process, 12 ms for one with 360 MB, during which no timer fires and no
 * packet is read. Programs that live long call this once at their start, while they are small.
 * @param leastNiceness  what is started is at least so nice (−20 … 19), however urgent this process is
 */
export function keepCommandHelper(leastNiceness = -20): void {
  isKept = true;
  niceness = leastNiceness;
  helper ??= new CommandHelper();
}

/** Ends the helper, and with it what it runs; programs are started by this process again. */
export function endCommandHelper(): void {
  isKept = false;
  helper?.end();
  helper = null;
}

/** How to run a program by the helper; null when none is kept, or none stays alive. */
export function helperRun(): Run | null {
  if (isKept && helper?.isOver()) helper = helper.wasSteady() ? new CommandHelper() : null;
  return helper?.run ?? null;
}

class CommandHelper {
  readonly #child: ChildProcess;
  readonly #startedAtMs = performance.now();
  readonly #waiting = new Map<number, { resolve: (end: ProgramEnd) => void; reject: (cause: Error) => void }>();
  #endedAtMs: number | null = null;
  #last = 0;

  constructor() {
    this.#child = spawn(process.execPath, ['-e', HELPER_SOURCE, '--', String(niceness)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], serialization: 'advanced', env: withoutNodeOptions() });
    this.#child.on('message', (message) => this.#take(message as Answer));
    for (const event of ['error', 'exit', 'disconnect'] as const) this.#child.on(event, () => this.#over());
    this.#rest();
  }

  readonly run: Run = (program, args, options) =>
    new Promise((resolve, reject) => {
      const id = ++this.#last;
      this.#waiting.set(id, { resolve, reject });
      this.#child.ref();
      this.#child.channel?.ref();
      const settings = { timeout: options.timeoutMs ?? TIMEOUT_MS, env: options.env ?? process.env, ...(options.cwd ? { cwd: options.cwd } : {}) };
      this.#child.send({ id, program, args, settings: { ...settings, env: { ...settings.env } }, stdin: options.stdin }, (cause) => {
        if (cause) this.#over();
      });
    });

  isOver(): boolean {
    return this.#endedAtMs !== null;
  }

  wasSteady(): boolean {
    return this.#endedAtMs !== null && this.#endedAtMs - this.#startedAtMs >= STEADY_MS;
  }

  end(): void {
    if (this.#child.connected) this.#child.disconnect();
  }

  #take(answer: Answer): void {
    const asked = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if (this.#waiting.size === 0) this.#rest();
    if ('end' in answer) asked?.resolve(answer.end);
    else asked?.reject(Object.assign(new Error(answer.error.message), { code: answer.error.code }));
  }

  /** Nothing runs: the helper alone is no reason to stay alive. */
  #rest(): void {
    this.#child.unref();
    this.#child.channel?.unref();
  }

  #over(): void {
    this.#endedAtMs ??= performance.now();
    for (const { reject } of this.#waiting.values()) reject(new Error('the process that starts programs has ended'));
    this.#waiting.clear();
  }
}

/** What a person gave to Node for us, a debugger's port say, is not for the helper. */
function withoutNodeOptions(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _ours, ...rest } = process.env;
  return rest;
}
