import { spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { type Cancel, type CommandResult, runCommand } from '../../src/base/index.ts';

/** A program that stays and takes lines. */
export interface LineProgram {
  write(lines: string): void;
  stop(): void;
}

/** The machine whose kernel is spoken to: the edge of this folder. */
export interface Machine {
  run(program: string, args: readonly string[], stdin?: string): Promise<CommandResult>;
  /** Starts a program that reads lines; `onLine` gets what it says on stderr, `onEnd` that it is gone. */
  start(program: string, args: readonly string[], onLine: (line: string) => void, onEnd: (why: string) => void): LineProgram;
  /** Starts a program that tells of changes; `onLine` gets each line of its stdout, `onEnd` that it is gone. Stops with this process. */
  watch(program: string, args: readonly string[], onLine: (line: string) => void, onEnd: (why: string) => void): Cancel;
  /** The text of `/proc/net/dev`: interface counters without a process of their own. */
  readNetDev(): Promise<string>;
  /** The text of `/proc/net/netlink`: who listens to the kernel, and how much each has not read yet. */
  readNetlink(): Promise<string>;
  /** By `/proc/sys` name; null when there is no such setting. */
  readSysctl(name: string): Promise<string | null>;
  writeSysctl(name: string, value: string): Promise<void>;
}

const COMMAND_LIMIT_MS = 20_000;

/** The network namespace that this process lives in. */
export const localMachine: Machine = {
  run: (program, args, stdin) => runCommand(program, args, { timeoutMs: COMMAND_LIMIT_MS, ...(stdin === undefined ? {} : { stdin }) }),
  start: startLineProgram,
  watch: startWatcher,
  readNetDev: () => readFile('/proc/net/dev', 'utf8'),
  readNetlink: () => readFile('/proc/net/netlink', 'utf8'),
  async readSysctl(name) {
    try {
      return (await readFile(`/proc/sys/${name}`, 'utf8')).trim();
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw cause;
    }
  },
  async writeSysctl(name, value) {
    await writeFile(`/proc/sys/${name}`, value);
  },
};

/** For `Machine.start`: one child process, its stdin kept open. */
export function startLineProgram(program: string, args: readonly string[], onLine: (line: string) => void, onEnd: (why: string) => void): LineProgram {
  const child = spawn(program, args, { stdio: ['pipe', 'ignore', 'pipe'] });
  let ended = false;
  const end = (why: string): void => {
    if (ended) return;
    ended = true;
    onEnd(why);
  };
  child.stdin.on('error', (cause) => end(cause.message)); // EPIPE: it has gone; `exit` follows
  child.stderr.setEncoding('utf8');
  child.stderr.on('data', (text: string) => {
    for (const line of text.split('\n')) if (line !== '') onLine(line);
  });
  child.once('error', (cause) => end(cause.message));
  child.once('exit', (code, signal) => end(signal ? `ended by ${signal}` : `ended with ${code ?? 0}`));
  return {
    write: (lines) => void child.stdin.write(lines),
    stop: () => {
      ended = true;
      child.stdin.end();
    },
  };
}

/** For `Machine.watch`: one child process without stdin. A watcher outlives nobody: its pipe breaks with us. */
export function startWatcher(program: string, args: readonly string[], onLine: (line: string) => void, onEnd: (why: string) => void): Cancel {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  let rest = '';
  let ended = false;
  const end = (why: string): void => {
    if (ended) return;
    ended = true;
    onEnd(why);
  };
  child.stdout.setEncoding('utf8');
  child.stdout.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (!ended) onLine(line);
  });
  child.once('error', (cause) => end(cause.message));
  child.once('exit', (code, signal) => end(signal ? `ended by ${signal}` : `ended with ${code ?? 0}`));
  return () => {
    ended = true;
    child.kill('SIGTERM');
  };
}
