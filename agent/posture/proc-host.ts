import { readdir, readFile, readlink } from 'node:fs/promises';
import type { HostPort, HostReading, ProcessReading } from './host-reading.ts';
import { parseCpu, parseLoad, parseMemory, parseProcess } from './proc-text.ts';

/** Names of strongSwan's IKE daemon. */
const DAEMON_NAMES = new Set(['charon', 'charon-systemd']);
/** Looking through all processes costs some ms; without a daemon it is done in one of so many readings. */
const SEARCH_EVERY = 6;

type NamedProcess = ProcessReading & { name: string };

/** Reads Linux' /proc: six small files a reading, no program. */
export function createProcHost(): HostPort {
  let daemonPid: number | null = null;
  let untilSearch = 0;

  async function daemon(): Promise<NamedProcess | null> {
    const known = daemonPid === null ? null : await readProcess(String(daemonPid));
    if (known && DAEMON_NAMES.has(known.name)) return known;
    daemonPid = null;
    if (untilSearch-- > 0) return null;
    untilSearch = SEARCH_EVERY - 1;
    const found = await findDaemon();
    daemonPid = found?.pid ?? null;
    return found;
  }

  return {
    async read(withConnections): Promise<HostReading> {
      const [stat, memory, load, own, charon, connections] = await Promise.all([
        readText('/proc/stat'),
        readText('/proc/meminfo'),
        readText('/proc/loadavg'),
        readProcess('self'),
        daemon(),
        withConnections ? readText('/proc/sys/net/netfilter/nf_conntrack_count') : null,
      ]);
      return {
        ...parseCpu(stat ?? ''),
        ...parseMemory(memory ?? ''),
        load: parseLoad(load ?? ''),
        agent: withoutName(own ?? { pid: process.pid, name: '', cpuMs: 0, rssBytes: 0 }),
        daemon: charon ? withoutName(charon) : null,
        connections: connections === null ? null : Number(connections) || 0,
      };
    },
  };
}

/** The daemon in this process's network namespace: in a lab, and with containers, a machine has several. */
async function findDaemon(): Promise<NamedProcess | null> {
  const own = await namespaceOf('self');
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const found = await readProcess(pid);
    if (found && DAEMON_NAMES.has(found.name) && (await namespaceOf(pid)) === own) return found;
  }
  return null;
}

async function readProcess(pid: string): Promise<NamedProcess | null> {
  const text = await readText(`/proc/${pid}/stat`);
  return text === null ? null : parseProcess(text);
}

async function namespaceOf(pid: string): Promise<string | null> {
  try {
    return await readlink(`/proc/${pid}/ns/net`);
  } catch {
    return null; // ended meanwhile, or not ours to see
  }
}

async function readText(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8');
  } catch {
    return null; // a kernel without it, or a process that has ended
  }
}

function withoutName({ pid, cpuMs, rssBytes }: NamedProcess): ProcessReading {
  return { pid, cpuMs, rssBytes };
}
