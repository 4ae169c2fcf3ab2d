import { chooseDriver, objectionTo } from '../driver-choice.ts';
import type { DriverName } from '../driver.ts';

/** What was found out about a gateway. Null: it could not be found out. */
export interface DoctorFacts {
  nodeVersion: string;
  kernelVersion: string;
  isRoot: boolean;
  /** What is wrong with the settings file; null when it can be read. */
  settingsFault: string | null;
  driver: DriverName | 'auto';
  /** What the kernel did when it was tried; null without the right to try. */
  kernel: { xfrm: boolean; vxlan: boolean; htb: boolean } | null;
  daemon: { name: string; version: string; plugins: string[]; mlKem: boolean } | { fault: string };
  /** UDP ports that somebody listens on, any address. */
  udpPorts: number[];
  nftVersion: string | null;
  /** Tables of others with a chain that drops what it does not know, at the forward hook. */
  droppingTables: string[];
  legacyTables: string[];
  /** systemd-networkd runs and takes away rules and routes that it did not make. */
  networkdTakesForeign: boolean;
  /** By name, of what this gateway's config names as uplinks; empty before the first config. */
  uplinks: { name: string; interface: string; mtu: number | null }[];
  sysctls: Record<string, string | null>;
  /** Modes, 0o777 at most; null for what is not there. */
  stateMode: number | null;
  keyMode: number | null;
  certificate: { beginsAt: number; endsAt: number } | null;
  /** What the engine's clock says at `now`; a text when it does not answer; null before enrolment, when only the port was tried. */
  engine: { at: number | null } | { fault: string };
  /** null when nobody on this machine knows. */
  isClockSynchronised: boolean | null;
  now: number;
}

export type DoctorLevel = 'ok' | 'warning' | 'error' | 'unknown';

/** One thing looked at: what was found, and how to mend it. Every code is in docs/agent.md. */
export interface DoctorFinding {
  code: DoctorCode;
  level: DoctorLevel;
  what: string;
  fix: string;
}

/** All codes, in the order in which they are looked at. */
export const DOCTOR_CODES = [
  'SETTINGS', 'RUNTIME', 'KERNEL_DRIVER', 'KERNEL_SHAPING', 'IKE_DAEMON', 'IKE_VERSION', 'IKE_PLUGINS', 'IKE_PORTS', 'NFTABLES', 'OTHER_FIREWALL', 'OTHER_NETWORKD',
  'UPLINK_MTU', 'SYSCTLS', 'STATE_MODES', 'CERTIFICATE', 'ENGINE', 'CLOCK_SKEW', 'CLOCK_SYNC',
] as const;
export type DoctorCode = (typeof DOCTOR_CODES)[number];

const NODE_MINIMUM = [20, 19];
/** What the agent's connections use is there from this on. */
const IKE_MINIMUM = [5, 9, 0];
/** nft's JSON listing and `rt ipsec` are complete from here on. */
const NFT_MINIMUM = [0, 9, 8];
/** Each of these in one of its forms; openssl alone brings ciphers, hashes, groups and X.509's signatures. */
const IKE_PLUGINS: readonly (readonly string[])[] = [['vici'], ['kernel-netlink'], ['socket-default', 'socket-dynamic'], ['nonce'], ['x509'], ['pem'], ['pkcs1', 'openssl'], ['pubkey'], ['openssl', 'botan', 'wolfssl', 'gcrypt'], ['random', 'openssl', 'rdrand']];
const IKE_UDP_PORTS = [500, 4500];
/** Below, a tunnel has less than the least that IPv6 may count on. */
const UPLINK_MTU_MIN = 1400;
const UPLINK_MTU_USUAL = 1500;
const SKEW_WARNING_MS = 5_000;
/** A certificate begins a few minutes before it is issued; a clock that is later than that refuses it. */
const SKEW_ERROR_MS = 60_000;

/** Facts to findings, one a code, in order. Pure: no fact is looked up here. */
export function diagnose(facts: DoctorFacts): DoctorFinding[] {
  const find = (code: DoctorCode, level: DoctorLevel, what: string, fix = ''): DoctorFinding => ({ code, level, what, fix });
  return [
    facts.settingsFault === null ? find('SETTINGS', 'ok', 'the settings can be read') : find('SETTINGS', 'error', facts.settingsFault, 'mend the named fields; foremesh-agent install writes a file that is right'),
    isAtLeast(facts.nodeVersion, NODE_MINIMUM) ? find('RUNTIME', 'ok', `Node ${facts.nodeVersion}`) : find('RUNTIME', 'error', `Node ${facts.nodeVersion} is too old`, `install Node ${NODE_MINIMUM.join('.')} or newer`),
    driverFinding(facts, find),
    shapingFinding(facts, find),
    ...daemonFindings(facts, find),
    portsFinding(facts, find),
    nftFinding(facts, find),
    firewallFinding(facts, find),
    facts.networkdTakesForeign
      ? find('OTHER_NETWORKD', 'warning', 'systemd-networkd removes rules and routes that it did not make, whenever it restarts', 'set ManageForeignRoutes=no and ManageForeignRoutingPolicyRules=no in /etc/systemd/networkd.conf; until then the agent puts them back')
      : find('OTHER_NETWORKD', 'ok', 'nobody removes routes of others'),
    mtuFinding(facts, find),
    sysctlFinding(facts, find),
    modesFinding(facts, find),
    certificateFinding(facts, find),
    ...engineFindings(facts, find),
    clockFinding(facts, find),
  ];
}

type Find = (code: DoctorCode, level: DoctorLevel, what: string, fix?: string) => DoctorFinding;

function driverFinding({ kernel, driver, daemon, kernelVersion }: DoctorFacts, find: Find): DoctorFinding {
  if (kernel === null) return find('KERNEL_DRIVER', 'unknown', 'interfaces were not tried', 'run it as root');
  const evidence = { plugins: 'plugins' in daemon ? daemon.plugins : null, interfaces: null, kernelHasXfrm: kernel.xfrm };
  const chosen = driver === 'auto' ? chooseDriver(evidence).driver : driver;
  const objection = objectionTo(chosen, evidence);
  if (objection !== null) return find('KERNEL_DRIVER', 'error', `driver ${driver}: ${objection}`, chosen === 'xfrm' ? 'set driver: auto, or unload kernel-libipsec, or use a kernel with CONFIG_XFRM_INTERFACE' : `load kernel-libipsec (package libcharon-extra-plugins), or ${driver === 'auto' ? 'use a kernel with CONFIG_XFRM_INTERFACE' : 'set driver: auto'}`);
  if (chosen === 'libipsec' && !kernel.vxlan) return find('KERNEL_DRIVER', 'error', `kernel ${kernelVersion} makes neither XFRM nor VXLAN interfaces`, 'use a kernel with CONFIG_XFRM_INTERFACE or CONFIG_VXLAN');
  if (chosen === 'libipsec' && driver === 'auto') return find('KERNEL_DRIVER', 'warning', 'ESP runs in userspace: some hundred Mbit/s, and packets stop when charon does', kernel.xfrm ? 'unload kernel-libipsec: this kernel can do ESP itself' : 'use a kernel with CONFIG_XFRM_INTERFACE');
  return find('KERNEL_DRIVER', 'ok', `driver ${chosen} works with kernel ${kernelVersion}`);
}

function shapingFinding({ kernel, kernelVersion }: DoctorFacts, find: Find): DoctorFinding {
  if (kernel === null) return find('KERNEL_SHAPING', 'unknown', 'queues were not tried', 'run it as root');
  return kernel.htb ? find('KERNEL_SHAPING', 'ok', 'the kernel shapes traffic (HTB)') : find('KERNEL_SHAPING', 'warning', `kernel ${kernelVersion} has no HTB: classes are not held to their shares`, 'install the package with the kernel’s extra modules, or use a kernel with CONFIG_NET_SCH_HTB');
}

function daemonFindings({ daemon }: DoctorFacts, find: Find): DoctorFinding[] {
  if ('fault' in daemon) {
    const unknown = (code: DoctorCode): DoctorFinding => find(code, 'unknown', 'the IKE daemon was not asked', 'start it');
    return [find('IKE_DAEMON', 'error', daemon.fault, 'start it (systemctl start strongswan), see that it loads vici and that viciSocket names its socket'), unknown('IKE_VERSION'), unknown('IKE_PLUGINS')];
  }
  const missing = IKE_PLUGINS.filter((forms) => !forms.some((form) => daemon.plugins.includes(form))).map((forms) => forms.join(' or '));
  return [
    find('IKE_DAEMON', 'ok', `${daemon.name} answers`),
    isAtLeast(daemon.version, IKE_MINIMUM) ? find('IKE_VERSION', 'ok', `strongSwan ${daemon.version}, ${daemon.mlKem ? 'with' : 'without'} ML-KEM`) : find('IKE_VERSION', 'error', `strongSwan ${daemon.version} is too old`, `install ${IKE_MINIMUM.join('.')} or newer`),
    missing.length === 0 ? find('IKE_PLUGINS', 'ok', 'it has the plugins that tunnels need') : find('IKE_PLUGINS', 'error', `it lacks the plugins ${missing.join(', ')}`, 'install libstrongswan-standard-plugins, and see charon.load'),
  ];
}

function portsFinding({ udpPorts }: DoctorFacts, find: Find): DoctorFinding {
  const closed = IKE_UDP_PORTS.filter((port) => !udpPorts.includes(port));
  return closed.length === 0 ? find('IKE_PORTS', 'ok', 'somebody listens on UDP 500 and 4500') : find('IKE_PORTS', 'error', `nobody listens on UDP ${closed.join(' and ')}`, 'start the IKE daemon with its usual ports (charon.port, charon.port_nat_t); let both through in front of this gateway');
}

function nftFinding({ nftVersion }: DoctorFacts, find: Find): DoctorFinding {
  if (nftVersion === null) return find('NFTABLES', 'error', 'nft does not run', 'install nftables');
  return isAtLeast(nftVersion, NFT_MINIMUM) ? find('NFTABLES', 'ok', `nftables ${nftVersion}`) : find('NFTABLES', 'error', `nftables ${nftVersion} is too old`, `install ${NFT_MINIMUM.join('.')} or newer`);
}

function firewallFinding({ droppingTables, legacyTables }: DoctorFacts, find: Find): DoctorFinding {
  const others = [...droppingTables, ...legacyTables.map((name) => `iptables-legacy ${name}`)];
  if (others.length === 0) return find('OTHER_FIREWALL', 'ok', 'no other rules stand in the way of forwarding');
  return find('OTHER_FIREWALL', 'warning', `other software filters forwarded packets: ${others.join(', ')}`, 'let it accept what comes from and goes to interfaces t-*; what any table drops is dropped');
}

function mtuFinding({ uplinks }: DoctorFacts, find: Find): DoctorFinding {
  if (uplinks.length === 0) return find('UPLINK_MTU', 'unknown', 'the uplinks are not known before the first config', 'run it again when the node has joined');
  const gone = uplinks.filter(({ mtu }) => mtu === null).map((uplink) => `${uplink.name} (${uplink.interface})`);
  if (gone.length > 0) return find('UPLINK_MTU', 'error', `there is no interface for ${gone.join(', ')}`, 'connect it, or correct its interface in the site’s YAML');
  const told = (least: number): string => uplinks.filter(({ mtu }) => mtu! < least).map(({ name, mtu }) => `${name} ${mtu}`).join(', ');
  const low = told(UPLINK_MTU_MIN);
  if (low !== '') return find('UPLINK_MTU', 'warning', `MTU of ${low} bytes leaves tunnels too little for IPv6 and costs throughput`, 'ask the provider, or raise the MTU of the interface');
  const less = told(UPLINK_MTU_USUAL);
  return find('UPLINK_MTU', 'ok', less === '' ? 'uplinks carry 1500 bytes or more' : `MTU of ${less}: tunnels are made smaller`);
}

function sysctlFinding({ sysctls }: DoctorFacts, find: Find): DoctorFinding {
  const redirects = sysctls['net/ipv4/conf/all/send_redirects'] === '1';
  if (redirects) return find('SYSCTLS', 'warning', 'this gateway sends ICMP redirects: with two gateways on a LAN, hosts may learn to pass it by', 'sysctl -w net.ipv4.conf.all.send_redirects=0, and for the LAN’s interface');
  return find('SYSCTLS', 'ok', 'forwarding and reverse-path filters are set by the agent, and nothing else is in its way');
}

function modesFinding({ stateMode, keyMode }: DoctorFacts, find: Find): DoctorFinding {
  if (stateMode === null) return find('STATE_MODES', 'unknown', 'there is no state folder yet', 'start the agent');
  const open = [stateMode & 0o077 ? `the state folder is ${stateMode.toString(8)}` : '', keyMode !== null && keyMode & 0o077 ? `node.key is ${keyMode.toString(8)}` : ''].filter((text) => text !== '');
  if (open.length > 0) return find('STATE_MODES', 'error', `others may read what is the agent’s: ${open.join(', ')}`, 'chmod 700 the folder and 600 the key; if others were on this machine, enrol the node again');
  return find('STATE_MODES', 'ok', 'state and key are the agent’s alone');
}

function certificateFinding({ certificate, now }: DoctorFacts, find: Find): DoctorFinding {
  if (certificate === null) return find('CERTIFICATE', 'warning', 'this node has not joined yet', 'give it a join token (foremesh join-token NODE) and start the agent');
  const { beginsAt, endsAt } = certificate;
  const left = (endsAt - now) / (endsAt - beginsAt);
  if (left <= 0) return find('CERTIFICATE', 'error', `the certificate ended at ${new Date(endsAt).toISOString()}`, 'give the node a new join token and start the agent again');
  if (now < beginsAt) return find('CERTIFICATE', 'error', `the certificate begins at ${new Date(beginsAt).toISOString()}: this clock is behind`, 'set the clock');
  if (left < 0.4) return find('CERTIFICATE', 'warning', `the certificate ends at ${new Date(endsAt).toISOString()} and was not renewed at half of its life`, 'see that the engine answers, and the agent’s log');
  return find('CERTIFICATE', 'ok', `the certificate is good until ${new Date(endsAt).toISOString()}`);
}

function engineFindings({ engine, now }: DoctorFacts, find: Find): DoctorFinding[] {
  if ('fault' in engine) return [find('ENGINE', 'error', engine.fault, 'start it, see host and port in the settings, and that firewalls let TCP through'), find('CLOCK_SKEW', 'unknown', 'the engine was not asked for the time', 'mend ENGINE')];
  if (engine.at === null) return [find('ENGINE', 'ok', 'the engine’s port is open'), find('CLOCK_SKEW', 'unknown', 'the engine’s time is believed once this node has joined', 'join')];
  const skewMs = now - engine.at;
  const told = `this clock is ${Math.abs(Math.round(skewMs / 1000))} s ${skewMs > 0 ? 'ahead of' : 'behind'} the engine’s`;
  const level: DoctorLevel = Math.abs(skewMs) > SKEW_ERROR_MS ? 'error' : Math.abs(skewMs) > SKEW_WARNING_MS ? 'warning' : 'ok';
  return [find('ENGINE', 'ok', 'the engine answers, with a certificate of this mesh'), find('CLOCK_SKEW', level, told, level === 'ok' ? '' : 'set the clock here or there; certificates live for hours')];
}

function clockFinding({ isClockSynchronised }: DoctorFacts, find: Find): DoctorFinding {
  if (isClockSynchronised === null) return find('CLOCK_SYNC', 'unknown', 'nobody here says whether the clock is set by a time server', 'install systemd-timesyncd or chrony');
  return isClockSynchronised ? find('CLOCK_SYNC', 'ok', 'a time server sets the clock') : find('CLOCK_SYNC', 'warning', 'no time server sets the clock', 'start systemd-timesyncd or chrony and let UDP 123 out');
}

/** `5.9.8` ≥ [5, 9, 0]; anything behind the numbers does not count. */
function isAtLeast(version: string, least: readonly number[]): boolean {
  const numbers = /\d+(?:\.\d+)*/.exec(version)?.[0].split('.').map(Number) ?? [];
  for (const [index, wanted] of least.entries()) {
    const has = numbers[index] ?? 0;
    if (has !== wanted) return has > wanted;
  }
  return true;
}
