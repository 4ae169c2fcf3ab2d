import { type Clock, ForemeshError, type Log, messageOf, sleep } from '../src/base/index.ts';
import { canMakeXfrmInterface, type Machine, observeLinks } from './dataplane/index.ts';
import { type DriverName, isTunnelId } from './driver.ts';
import { readDaemonFacts } from './vici/index.ts';

/** What is known of machine and daemon when the agent starts. */
export interface DriverEvidence {
  /** Plugins that the IKE daemon has loaded; null when it did not answer. */
  plugins: readonly string[] | null;
  /** How the tunnel interfaces that exist were made; null when there are none. */
  interfaces: DriverName | null;
  /** The kernel makes XFRM interfaces. */
  kernelHasXfrm: boolean;
}

export interface DriverChoice {
  driver: DriverName;
  because: string;
}

/** How long a daemon that starts together with the agent may take to answer, ms. */
const DAEMON_PATIENCE_MS = 10_000;
const DAEMON_POLL_MS = 200;
/** With it, charon does ESP itself, whatever the kernel can. */
const USERSPACE_PLUGIN = 'kernel-libipsec';

/**
 * The driver for `auto`: what the daemon does decides, since interfaces must fit its SAs; then what was there before,
 * so that a restart adopts it; then what the kernel can.
 */
export function chooseDriver({ plugins, interfaces, kernelHasXfrm }: DriverEvidence): DriverChoice {
  if (plugins?.includes(USERSPACE_PLUGIN)) return { driver: 'libipsec', because: `the IKE daemon has ${USERSPACE_PLUGIN} loaded` };
  if (plugins === null && interfaces !== null) return { driver: interfaces, because: 'tunnel interfaces of this kind exist' };
  if (kernelHasXfrm) return { driver: 'xfrm', because: 'the kernel makes XFRM interfaces' };
  return { driver: 'libipsec', because: 'the kernel makes no XFRM interfaces' };
}

/** Why a driver that was asked for by name cannot work here; null when nothing speaks against it. */
export function objectionTo(driver: DriverName, { plugins, kernelHasXfrm }: DriverEvidence): string | null {
  if (driver === 'xfrm' && plugins?.includes(USERSPACE_PLUGIN)) return `the IKE daemon has ${USERSPACE_PLUGIN} loaded and does ESP itself`;
  if (driver === 'xfrm' && !kernelHasXfrm) return 'the kernel makes no XFRM interfaces';
  if (driver === 'libipsec' && plugins !== null && !plugins.includes(USERSPACE_PLUGIN)) return `the IKE daemon lacks ${USERSPACE_PLUGIN}`;
  return null;
}

/** What speaks for which driver, on this machine. Waits a while for the daemon, which may be just starting. */
export async function gatherEvidence(options: { viciSocket: string; machine: Machine; clock: Clock; log: Log; patienceMs?: number }): Promise<DriverEvidence> {
  const { machine, clock } = options;
  const links = (await observeLinks(machine)).filter(({ name, vxlan, xfrm }) => isTunnelId(name) && (vxlan !== null || xfrm !== null));
  const [first] = links;
  const deadlineMs = clock.monotonicMs() + (options.patienceMs ?? DAEMON_PATIENCE_MS);
  let plugins: string[] | null = null;
  for (;;) {
    try {
      ({ plugins } = await readDaemonFacts(options.viciSocket, clock));
      break;
    } catch (cause) {
      if (!(cause instanceof ForemeshError)) throw cause;
      if (clock.monotonicMs() >= deadlineMs) {
        options.log.warn({ error: messageOf(cause) }, 'the IKE daemon does not answer: the driver is chosen without it');
        break;
      }
    }
    await sleep(clock, DAEMON_POLL_MS);
  }
  return { plugins, interfaces: first === undefined ? null : first.xfrm ? 'xfrm' : 'libipsec', kernelHasXfrm: await canMakeXfrmInterface(machine) };
}

/** The driver that the settings ask for, `auto` resolved. An objection to one that is named is logged: a person chose it. */
export async function resolveDriver(wanted: DriverName | 'auto', options: Parameters<typeof gatherEvidence>[0]): Promise<DriverName> {
  if (wanted === 'libipsec') return wanted; // works on any kernel; asking would only delay a start
  const evidence = await gatherEvidence(options);
  if (wanted === 'auto') {
    const choice = chooseDriver(evidence);
    options.log.info(choice, 'driver chosen');
    return choice.driver;
  }
  const objection = objectionTo(wanted, evidence);
  if (objection !== null) options.log.error({ driver: wanted, objection }, 'the driver of the settings does not fit this machine');
  return wanted;
}
