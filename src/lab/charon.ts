import { spawn, type ChildProcess } from 'node:child_process';
import { access, copyFile, mkdir, open, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { ForemeshError, sleep, systemClock } from '../base/index.ts';
import { withPriority } from './run/index.ts';

/** Where Debian and Ubuntu install the IKE daemon. */
const CHARON_PROGRAM = '/usr/lib/ipsec/charon';
/** What the daemon would silently do without, and the Debian package that has it. */
const PLUGINS: readonly { file: string; debianPackage: string; driver?: 'libipsec' | 'xfrm' }[] = [
  { file: '/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so', debianPackage: 'libcharon-extra-plugins', driver: 'libipsec' },
  { file: '/usr/lib/ipsec/plugins/libstrongswan-openssl.so', debianPackage: 'libstrongswan-standard-plugins' },
];
/** A Unix socket's name may have 107 bytes. */
const SOCKET_BYTES_MAX = 107;
const READY_LIMIT_MS = 15_000;
const STOP_LIMIT_MS = 3000;

export interface CharonOptions {
  /** The gateway's network namespace; it must exist. */
  namespace: string;
  /** Private folder of this gateway; made when missing. Holds the daemon's copy, settings, socket and log. */
  dir: string;
  /** As for `nice`: -20 … 19. A negative one needs root. */
  niceness: number;
  /** Who does ESP: `libipsec` (default) the daemon, on any kernel; `xfrm` the kernel, where it can. */
  driver?: 'libipsec' | 'xfrm';
  /** Threads of the daemon; 16 serve some hundred tunnels. */
  threads?: number;
  /** True: it outlives this process. Otherwise the kernel kills it when this process dies, however it dies. */
  detached?: boolean;
}

export interface Charon {
  readonly pid: number;
  /** VICI. */
  readonly socketPath: string;
  readonly logFile: string;
  /** Resolves with the reason once the process has ended, whoever ended it. */
  readonly ended: Promise<string>;
  /** SIGTERM (SIGKILL after 3 s); resolves when it is gone. May be called twice. */
  stop(): Promise<void>;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
}

/**
 * Starts one strongSwan daemon inside a namespace and waits until it answers on its VICI socket. It runs a copy of
 * the program in `dir`, because distributions confine the installed path (AppArmor) to its usual files, and in a mount
 * namespace of its own, because its pid file is always in /run. It loads no connection and no key by itself.
 * Started again on the same folder it gets the same socket path.
 * @throws ForemeshError TOOL_MISSING without strongSwan; LAB_FAILED with the end of its log when it does not come up
 */
export async function startCharon(options: CharonOptions): Promise<Charon> {
  const { dir, namespace, niceness, driver = 'libipsec' } = options;
  const socketPath = join(dir, 'charon.vici');
  const logFile = join(dir, 'charon.log');
  if (Buffer.byteLength(socketPath) > SOCKET_BYTES_MAX) {
    throw new ForemeshError('LAB_FAILED', { what: `the socket path ${socketPath} is too long for a Unix socket`, fix: `use a folder with fewer than ${SOCKET_BYTES_MAX - 15} characters` });
  }
  await mkdir(join(dir, 'run'), { recursive: true, mode: 0o700 });
  await rm(socketPath, { force: true });
  // of one that was killed: charon would take it for running as long as nobody has waited for its zombie
  await rm(join(dir, 'run', 'charon.pid'), { force: true });
  const program = join(dir, 'charon');
  await checkPlugins(driver);
  await copyDaemon(program);
  const settingsFile = join(dir, 'strongswan.conf');
  await writeFile(settingsFile, strongswanConf({ socketPath, logFile, driver, threads: options.threads ?? 16 }), { mode: 0o600 });

  const output = await open(join(dir, 'charon.out'), 'a', 0o600);
  let child: ChildProcess;
  try {
    child = spawn(
      'setpriv',
      [...(options.detached ? [] : ['--pdeathsig', 'KILL']), 'ip', 'netns', 'exec', namespace, 'unshare', '-m', 'sh', '-c', 'mount --bind "$1" /run && shift && exec "$@"', 'sh', join(dir, 'run'), ...withPriority(niceness), program],
      // a group of its own, so that Ctrl-C reaches whoever runs the lab and not the daemon first
      { stdio: ['ignore', output.fd, output.fd], detached: true, env: { PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin', STRONGSWAN_CONF: settingsFile } },
    );
  } finally {
    await output.close();
  }
  if (options.detached) child.unref();
  // every program in the chain replaces itself (exec), so the child's pid is the daemon's
  const ended = new Promise<string>((resolve) => {
    child.once('error', (cause) => resolve(cause.message));
    child.once('exit', (code, signal) => resolve(signal ? `ended by ${signal}` : `ended with ${code ?? 0}`));
  });
  const state = { ended: null as string | null };
  void ended.then((reason) => {
    state.ended = reason;
  });
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (state.ended !== null) return;
    child.kill(signal);
    await Promise.race([ended, sleep(systemClock, STOP_LIMIT_MS)]);
    if (state.ended === null) child.kill('SIGKILL');
    await ended;
  };

  const deadline = systemClock.monotonicMs() + READY_LIMIT_MS;
  while (!(await answers(socketPath))) {
    if (state.ended !== null || systemClock.monotonicMs() > deadline) {
      const reason = state.ended ?? `does not answer after ${READY_LIMIT_MS / 1000} s`;
      await end('SIGKILL');
      throw new ForemeshError('LAB_FAILED', { what: `charon in ${namespace}: ${reason}`, fix: `read ${logFile} and ${join(dir, 'charon.out')}` });
    }
    await sleep(systemClock, 10);
  }
  return { pid: child.pid ?? 0, socketPath, logFile, ended, stop: () => end('SIGTERM'), kill: () => end('SIGKILL') };
}

/**
 * The daemon's settings: ESP in userspace (`kernel-libipsec`), so that any kernel will do, or in the kernel, where the
 * agent's routes and not the daemon's lead into its interfaces; only VICI to command it; short
 * retransmissions, since probes, not IKE, decide on fail-over. Cookies and half-open limits are off: in the lab all
 * gateways start at once. Leave them on in production.
 */
export function strongswanConf(options: { socketPath: string; logFile: string; driver: 'libipsec' | 'xfrm'; threads: number }): string {
  const isUserspace = options.driver === 'libipsec';
  return `charon {
  load = random nonce aes sha1 sha2 hmac kdf pem pkcs1 pkcs8 pubkey x509 constraints revocation openssl gcm ${isUserspace ? 'kernel-libipsec ' : ''}kernel-netlink socket-default vici updown counters
  install_routes = ${isUserspace ? 'yes' : 'no'}
  threads = ${options.threads}
  ikesa_table_size = 512
  ikesa_table_segments = 16
  init_limit_half_open = 0
  cookie_threshold = 0
  cookie_threshold_ip = 0
  block_threshold = 0
  make_before_break = yes
  retransmit_timeout = 0.3
  retransmit_tries = 2
  retransmit_base = 1.0
  filelog {
    charon {
      path = ${options.logFile}
      time_format = %Y-%m-%dT%H:%M:%S
      append = yes
      flush_line = yes
      default = 1
    }
  }
  plugins {
    vici {
      socket = unix://${options.socketPath}
    }
    kernel-libipsec {
      allow_peer_ts = no
    }
    # hundreds of addresses at once are hundreds of events; one that is lost is an address that the daemon does not know
    kernel-netlink {
      receive_buffer_size = 4194304
      force_receive_buffer_size = yes
      # a tunnel stays on its path (no MOBIKE), so no SA is to look for a better one whenever the agent sets a route
      roam_events = no
    }
  }
}
`;
}

async function checkPlugins(driver: 'libipsec' | 'xfrm'): Promise<void> {
  for (const { file, debianPackage } of PLUGINS.filter((plugin) => (plugin.driver ?? driver) === driver)) {
    try {
      await access(file);
    } catch (cause) {
      throw new ForemeshError('TOOL_MISSING', { what: `strongSwan lacks the plugin ${file}`, fix: `apt-get install ${debianPackage}`, cause });
    }
  }
}

async function copyDaemon(program: string): Promise<void> {
  try {
    await copyFile(CHARON_PROGRAM, program);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'ETXTBSY') return; // a daemon of this folder is just ending; its copy is the same file
    throw new ForemeshError(code === 'ENOENT' ? 'TOOL_MISSING' : 'LAB_FAILED', {
      what: `cannot copy ${CHARON_PROGRAM} to ${program}`,
      fix: 'install strongswan-charon, and use a writable folder',
      cause,
    });
  }
}

/** True once the daemon accepts connections: it makes the socket's file a moment before. */
function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false)); // not there yet: the caller asks again
  });
}
