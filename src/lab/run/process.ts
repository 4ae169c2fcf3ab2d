import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, ForemeshError, sleep } from '../../base/index.ts';
import { labFolder, recordProcess } from './record.ts';

/** A process that can be told from a later one with the same pid: start time in clock ticks since boot. */
export interface ProcessMark {
  pid: number;
  startTicks: number;
}

export interface SpawnOptions {
  labId: string;
  role: string;
  namespace: string;
  program: string;
  args: readonly string[];
  /** −20 … 19; negative for what must not wait: the relay, which is the wire, before daemons, which are kernels here, before agents. */
  niceness: number;
  /** True: it outlives this process; false: the kernel kills it when this process dies, however it dies. */
  detached: boolean;
  env?: NodeJS.ProcessEnv;
}

/**
 * Starts a program in a namespace, as leader of its own process group, with its output in `logs/<role>.log`, and
 * records it. `ip netns exec`, `sh`, `nice` and `setpriv` all exec in place, so the pid is the program's own.
 * @throws ForemeshError LAB_FAILED when it cannot be started
 */
export async function spawnInLab(options: SpawnOptions): Promise<ProcessMark> {
  const logFd = openSync(join(labFolder(options.labId), 'logs', `${options.role}.log`), 'a', 0o600);
  const tied = options.detached ? [] : ['setpriv', '--pdeathsig', 'KILL'];
  const command = [...tied, 'ip', 'netns', 'exec', options.namespace, ...withPriority(options.niceness), options.program, ...options.args];
  // what a killed process leaves in its temporary folder goes with the lab
  const env = { ...(options.env ?? process.env), TMPDIR: join(labFolder(options.labId), 'tmp') };
  let child: ChildProcess;
  try {
    child = spawn(command[0]!, command.slice(1), { stdio: ['ignore', logFd, logFd], detached: true, env });
  } finally {
    closeSync(logFd);
  }
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) => reject(new ForemeshError('LAB_FAILED', { what: `${options.role} could not be started`, fix: 'see that iproute2 and util-linux are installed', cause })));
  });
  child.unref();
  const mark = markOf(child.pid!);
  if (!mark) throw new ForemeshError('LAB_FAILED', { what: `${options.role} ended at once`, fix: `read logs/${options.role}.log in ${labFolder(options.labId)}` });
  await recordProcess(options.labId, { role: options.role, ...mark });
  return mark;
}

/**
 * The beginning of a command line whose program runs at that niceness, also beside processes of other sessions: where the
 * kernel groups processes by session (sched_autogroup), `nice` alone only sorts those of one, and a compiler in another
 * terminal would get as much of the CPU as the relay, which is the wire.
 * @param niceness  −20 … 19; a negative one needs root
 */
export function withPriority(niceness: number): string[] {
  return ['sh', '-c', 'test ! -e /proc/self/autogroup || echo "$0" > /proc/self/autogroup; exec nice -n "$0" "$@"', String(niceness)];
}

/** The mark of a running process; null when there is none (a zombie counts as none). */
export function markOf(pid: number): ProcessMark | null {
  const fields = statFields(pid);
  return fields === null || fields.state === 'Z' || fields.state === 'X' ? null : { pid, startTicks: fields.startTicks };
}

export function isAlive(mark: ProcessMark): boolean {
  return markOf(mark.pid)?.startTicks === mark.startTicks;
}

/** Ends the marked process, if it still is that process, with its whole group, and waits until it is gone. */
export async function killMarked(mark: ProcessMark, clock: Clock, signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
  if (!isAlive(mark)) return;
  signalGroup(mark.pid, signal);
  const deadlineMs = clock.monotonicMs() + (signal === 'SIGTERM' ? 3000 : 5000);
  while (isAlive(mark)) {
    if (clock.monotonicMs() > deadlineMs) {
      if (signal === 'SIGTERM') return killMarked(mark, clock);
      throw new ForemeshError('LAB_FAILED', { what: `process ${mark.pid} does not end`, fix: `look at /proc/${mark.pid}` });
    }
    await sleep(clock, 5);
  }
}

/**
 * Ends what a recorded process left behind, e.g. the helper of a killed agent: processes of its session that are in one
 * of the given network namespaces. Both must match, since a pid, and so a session, may be someone else's by now.
 */
export function killSessions(leaders: ReadonlySet<number>, namespaceInodes: ReadonlySet<number>): void {
  for (const name of readdirSync('/proc')) {
    const pid = /^\d+$/.test(name) ? Number(name) : 0;
    const fields = pid > 1 ? statFields(pid) : null;
    if (!fields || fields.state === 'Z' || !leaders.has(fields.session)) continue;
    if (namespaceInodes.has(networkNamespaceOf(pid))) signalProcess(pid, 'SIGKILL');
  }
}

function networkNamespaceOf(pid: number): number {
  try {
    return statSync(`/proc/${pid}/ns/net`).ino;
  } catch {
    return -1; // ended meanwhile
  }
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  signalProcess(-pid, signal);
  signalProcess(pid, signal);
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ESRCH') throw cause; // gone already is what we want
  }
}

/** Fields 3, 6 and 22 of /proc/<pid>/stat; the name in field 2 may hold spaces and brackets, so count from its end. */
function statFields(pid: number): { state: string; session: number; startTicks: number } | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return null; // no such process
  }
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0] ?? 'X', session: Number(fields[3]), startTicks: Number(fields[19]) };
}
