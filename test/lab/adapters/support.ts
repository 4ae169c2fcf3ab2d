import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDataplanePort, createLaneWriter, type Machine, startLineProgram, startWatcher } from '../../../agent/dataplane/index.ts';
import type { DriverName } from '../../../agent/driver.ts';
import type { ConnectionSpec, Credentials, DataplanePort, DataplaneWanted, LanePort, LaneWanted, TunnelInterface } from '../../../agent/ports.ts';
import { createIpsecPort, type ViciIpsecPort } from '../../../agent/vici/index.ts';
import { createLog, runCommand, runCommandText, sleep, systemClock } from '../../../src/base/index.ts';
import { type Charon, startCharon } from '../../../src/lab/charon.ts';
import { classId, type NodeConfig, nodeId, type PathId, siteId, type TunnelId } from '../../../src/model/index.ts';

/** All namespaces of this test begin with it. */
const PREFIX = 'fma';
/** The tests hold for each driver; XFRM needs a kernel that has it, see test/qemu. */
export const DRIVER: DriverName = process.env['FOREMESH_TEST_DRIVER'] === 'xfrm' ? 'xfrm' : 'libipsec';
const log = createLog('adapters', process.env['FOREMESH_LOG'] ?? 'silent');

export const T1 = 't-0000a001' as TunnelId;
export const T2 = 't-0000a002' as TunnelId;
export const MARK1 = 1001;
export const MARK2 = 1002;
const VOICE = classId('voice');
const BULK = classId('bulk');
const SUITE = { encryption: 'aes128gcm16', integrity: 'none', prf: 'prfsha256', group: 'x25519' } as const;

/** One of the two gateways, with the host behind it. Site alpha is 10.91.0.0/24 behind `a`, beta 10.92.0.0/24 (and delta 10.94.0.0/24) behind `b`. */
export interface Gateway {
  name: 'a' | 'b';
  namespace: string;
  hostNamespace: string;
  dir: string;
  credentials: Credentials;
  charon: Charon;
  ipsec: ViciIpsecPort;
  dataplane: DataplanePort;
  lanes: LanePort;
}

export interface Pair {
  a: Gateway;
  b: Gateway;
  close(): Promise<void>;
}

/** The network namespace `namespace` as a machine, for a process that lives outside of it. */
export function namespaceMachine(namespace: string): Machine {
  const inside = ['netns', 'exec', namespace];
  return {
    run: (program, args, stdin) => runCommand('ip', [...inside, program, ...args], stdin === undefined ? {} : { stdin }),
    start: (program, args, onLine, onEnd) => startLineProgram('ip', [...inside, program, ...args], onLine, onEnd),
    watch: (program, args, onLine, onEnd) => startWatcher('ip', [...inside, program, ...args], onLine, onEnd),
    readNetDev: () => runCommandText('ip', [...inside, 'cat', '/proc/net/dev']),
    readNetlink: () => runCommandText('ip', [...inside, 'cat', '/proc/net/netlink']),
    async readSysctl(name) {
      const result = await runCommand('ip', [...inside, 'cat', `/proc/sys/${name}`]);
      return result.exitCode === 0 ? result.stdout.toString('utf8').trim() : null;
    },
    async writeSysctl(name, value) {
      await runCommandText('ip', [...inside, 'sysctl', '-qw', `${name}=${value}`]);
    },
  };
}

/** Runs a program in a namespace and gives its output, whatever its exit code. */
export async function inside(namespace: string, ...command: string[]): Promise<string> {
  return (await runCommand('ip', ['netns', 'exec', namespace, ...command])).stdout.toString('utf8');
}

/** Two gateways, joined by two cables (isp1, isp2), each with a daemon, its credentials and a host behind it. */
export async function startPair(): Promise<Pair> {
  await removeNamespaces();
  const dir = await mkdtemp(join(tmpdir(), 'fma-'));
  const started: Gateway[] = [];
  try {
    for (const name of ['gw-a', 'gw-b', 'host-a', 'host-b']) await addNamespace(`${PREFIX}-${name}`);
    await Promise.all([addCable(1), addCable(2), addHost('a', ['10.91.0.10/24'], '10.91.0.1'), addHost('b', ['10.92.0.10/24', '10.94.0.10/24'], '10.92.0.1')]);
    for (const name of ['a', 'b']) await watchUnderlay(`${PREFIX}-gw-${name}`);
    // delta is a second network of host-b; no site owns its gateway's address
    await ip('-n', `${PREFIX}-gw-b`, 'route', 'add', '10.94.0.0/24', 'dev', 'lan', 'scope', 'link');
    const credentials = await issueCredentials(dir);
    for (const name of ['a', 'b'] as const) started.push(await startGateway(name, join(dir, name), credentials[name]));
  } catch (cause) {
    await tearDown(started, dir);
    throw cause;
  }
  return { a: started[0]!, b: started[1]!, close: () => tearDown(started, dir) };
}

/** Starts (again) the daemon of a gateway; it finds the same socket. */
export async function startDaemon(gateway: Pick<Gateway, 'namespace' | 'dir'>): Promise<Charon> {
  return startCharon({ namespace: gateway.namespace, dir: gateway.dir, niceness: -10, driver: DRIVER });
}

/** The connection of tunnel 1 or 2 as one end sees it. */
export function connectionOf(gateway: 'a' | 'b', index: 1 | 2): ConnectionSpec {
  const [local, remote] = gateway === 'a' ? ([1, 2] as const) : ([2, 1] as const);
  const peer = gateway === 'a' ? 'b' : 'a';
  return {
    tunnel: index === 1 ? T1 : T2,
    initiator: gateway === 'a',
    localAddress: `100.64.${index}.${local}`,
    remoteAddress: `100.64.${index}.${remote}`,
    localIdentity: `gw-${gateway}`,
    remoteIdentity: `gw-${peer}`,
    localOverlay: overlayOf(gateway, index),
    remoteOverlay: overlayOf(peer, index),
    ike: [SUITE],
    esp: [{ ...SUITE, prf: 'none' }],
    ikeRekeyMs: 14_400_000,
    espRekeyMs: 3_600_000,
    ppk: null,
  };
}

export interface WantedOptions {
  tunnels?: (1 | 2)[];
  lanes?: LaneWanted[];
  /** Weights of the two lanes for bulk; voice always takes the second. */
  bulkWeights?: [number, number];
  allowDelta?: boolean;
  serving?: boolean;
  /** Queues by class at the first uplink, of this rate; with this code point voice is sent. */
  shaping?: { rateKbps: number; voiceDscp: number };
  /** Classes that other gateways send twice. */
  duplicate?: ('voice' | 'bulk')[];
}

/** The whole wanted state of a gateway: bulk through tunnel 1, voice (udp 5000-5099) through tunnel 2, unless told otherwise. */
export function wantedOf(gateway: 'a' | 'b', options: WantedOptions = {}): DataplaneWanted {
  const { tunnels = [1, 2], bulkWeights = [100, 0], allowDelta = false, serving = true } = options;
  const peer = gateway === 'a' ? 'b' : 'a';
  const far = gateway === 'a' ? ['10.92.0.0/24', '10.94.0.0/24'] : ['10.91.0.0/24'];
  const to = siteId(gateway === 'a' ? 'beta' : 'alpha');
  const lanes = options.lanes ?? [
    { mark: MARK1, prefixes: far, active: tunnels.includes(1) ? T1 : null },
    { mark: MARK2, prefixes: far, active: tunnels.includes(2) ? T2 : null },
  ];
  const bulk = [
    { mark: MARK1, weight: bulkWeights[0] },
    { mark: MARK2, weight: bulkWeights[1] },
  ].filter((lane) => lane.weight > 0);
  return {
    config: shaped(configOf(gateway, allowDelta, serving, options.duplicate ?? []), options.shaping),
    overlayAddresses: [overlayOf(gateway, 1), overlayOf(gateway, 2)],
    interfaces: tunnels.map((index): TunnelInterface => ({ tunnel: index === 1 ? T1 : T2, localOverlay: overlayOf(gateway, index), remoteOverlay: overlayOf(peer, index), uplink: `isp${index}`, underlay: 'ipv4', esp: [SUITE] })),
    lanes,
    steering: [
      { to, classId: BULK, prefixes: far, lanes: bulk },
      { to, classId: VOICE, prefixes: far, lanes: [{ mark: MARK2, weight: 100 }] },
    ],
  };
}

/** Packets that arrived at a gateway over both cables, by what they were, since the start. */
export async function underlayAt(gateway: Gateway): Promise<{ esp: number; ike: number; clear: number }> {
  const listing = JSON.parse(await inside(gateway.namespace, 'nft', '-j', 'list', 'counters', 'table', 'inet', 'watch')) as { nftables: { counter?: { name: string; packets: number } }[] };
  const count = (name: string): number => listing.nftables.find(({ counter }) => counter?.name === `seen_${name}`)?.counter?.packets ?? 0;
  return { esp: count('esp'), ike: count('ike'), clear: count('clear') };
}

/** Pings host-b (or another address) from host-a; what was lost. */
export async function ping(from: Gateway, to: string, count = 3, intervalSeconds = 0.05): Promise<{ sent: number; received: number }> {
  const command = ['ping', '-n', '-q', '-c', String(count), '-i', String(intervalSeconds), '-W', '1', to];
  const { stdout } = await runCommand('ip', ['netns', 'exec', from.hostNamespace, ...command], { timeoutMs: PING_LIMIT_MS });
  const match = /(\d+) packets transmitted, (\d+) received/.exec(stdout.toString('utf8'));
  return { sent: Number(match?.[1] ?? 0), received: Number(match?.[2] ?? 0) };
}

/** An emulated processor sends fewer packets a second than it is asked to. */
const PING_LIMIT_MS = 300_000;

/** Sends `count` datagrams from the host, each from a new source port. */
export async function sendDatagrams(from: Gateway, to: string, port: number, count: number): Promise<void> {
  await inside(from.hostNamespace, 'bash', '-c', `for i in $(seq ${count}); do echo x >/dev/udp/${to}/${port}; done 2>/dev/null; true`);
}

/** Packets that a gateway sent into each tunnel. */
export async function sentPerTunnel(gateway: Gateway): Promise<[number, number]> {
  const { tunnels } = await gateway.dataplane.counters();
  const of = (tunnel: TunnelId): number => tunnels.find((one) => one.tunnel === tunnel)?.txPackets ?? 0;
  return [of(T1), of(T2)];
}

/** As a fail-over does it: past the dataplane, which is told. */
export function switchLanes({ lanes, dataplane }: Gateway, switched: readonly LaneWanted[]): void {
  const tunnels = new Map([1, 2].map((index) => connectionOf('a', index as 1 | 2)).map(({ tunnel, remoteOverlay }) => [tunnel, { tunnel, remoteOverlay }]));
  lanes.switchLanes(switched, tunnels);
  dataplane.noteSwitched(switched);
}

/** Waits until `check` holds; a lab works in real time. */
export async function until(check: () => Promise<boolean>, limitMs = 10_000): Promise<void> {
  const deadline = systemClock.monotonicMs() + limitMs;
  while (!(await check())) {
    if (systemClock.monotonicMs() > deadline) throw new Error('what was waited for did not come');
    await sleep(systemClock, 20);
  }
}

/** Loads both connections at both ends, starts them at `a`, and waits until packets can flow. */
export async function establish(pair: Pair): Promise<void> {
  for (const gateway of [pair.b, pair.a]) for (const index of [1, 2] as const) await gateway.ipsec.loadConnection(connectionOf(gateway.name, index));
  for (const tunnel of [T1, T2]) await pair.a.ipsec.initiate(tunnel);
  for (const gateway of [pair.a, pair.b]) await until(async () => (await gateway.ipsec.listSas()).filter((sa) => sa.childState === 'INSTALLED').length === 2);
}

function shaped(config: NodeConfig, shaping: WantedOptions['shaping']): NodeConfig {
  if (!shaping) return config;
  const { rateKbps, voiceDscp } = shaping;
  return {
    ...config,
    classes: config.classes.map((each) => (each.id === VOICE ? { ...each, dscp: voiceDscp } : each)),
    shaping: [{ uplink: 'isp1', rateKbps, classes: [VOICE, BULK].map((id, priority) => ({ id, rateKbps: Math.floor(rateKbps / 100), priority })) }],
  };
}

function configOf(gateway: 'a' | 'b', allowDelta: boolean, serving: boolean, duplicate: readonly string[]): NodeConfig {
  const twice = (id: string): { duplicate?: true } => (duplicate.includes(id) ? { duplicate: true } : {});
  const [site, number, peer] = gateway === 'a' ? ['alpha', 1, 'b' as const] as const : ['beta', 2, 'a' as const] as const;
  const [alpha, beta, delta] = [['10.91.0.0/24'], ['10.92.0.0/24'], ['10.94.0.0/24']];
  return {
    schema: 'foremesh/node-config/v1',
    node: nodeId(`gw-${gateway}`),
    site: siteId(site),
    serving,
    lan: { interface: 'lan', address: `10.9${number}.0.1`, prefixes: gateway === 'a' ? alpha : beta },
    uplinks: [1, 2].map((uplink) => ({ name: `isp${uplink}`, interface: `isp${uplink}`, address: `100.64.${uplink}.${number}` })),
    protectedPrefixes: ['10.0.0.0/8'],
    probe: { intervalMs: 50, downAfter: 3, holdDownMs: 700, holdDownMaxMs: 700 },
    sampleIntervalMs: 1000,
    classes: [
      { id: VOICE, priority: 0, match: [{ protocol: 'udp', ports: [{ from: 5000, to: 5099 }], dscp: [] }], ...twice('voice') },
      { id: BULK, priority: 1, match: [{ protocol: 'any', ports: [], dscp: [] }], ...twice('bulk') },
    ],
    sites: [
      { id: siteId('alpha'), prefixes: alpha },
      { id: siteId('beta'), prefixes: gateway === 'a' ? [...beta, ...delta] : beta },
      { id: siteId('gamma-2'), prefixes: ['10.93.0.0/24'] },
    ],
    tunnels: ([1, 2] as const).map((index) => {
      const spec = connectionOf(gateway, index);
      return {
        id: spec.tunnel,
        path: `gw-a/isp${index}~gw-b/isp${index}` as PathId,
        peer: nodeId(`gw-${peer}`),
        initiator: spec.initiator,
        local: { interface: `isp${index}`, address: spec.localAddress, overlay: spec.localOverlay },
        remote: { address: spec.remoteAddress!, overlay: spec.remoteOverlay },
        ike: spec.ike,
        esp: spec.esp,
        ikeRekeyMs: spec.ikeRekeyMs,
        espRekeyMs: spec.espRekeyMs,
      };
    }),
    steering: [],
    allow: [{ from: alpha, to: allowDelta ? [...beta, ...delta] : beta }],
  };
}

function overlayOf(gateway: 'a' | 'b', index: 1 | 2): string {
  return `172.31.0.${index * 2 + (gateway === 'a' ? 0 : 1)}`;
}

async function startGateway(name: 'a' | 'b', dir: string, credentials: Credentials): Promise<Gateway> {
  const namespace = `${PREFIX}-gw-${name}`;
  const machine = namespaceMachine(namespace);
  const lanes = createLaneWriter({ driver: DRIVER, machine, clock: systemClock, log });
  const dataplane = createDataplanePort({ driver: DRIVER, log, machine, onInterfacesChanged: () => lanes.renew() });
  await dataplane.apply(wantedOf(name, { tunnels: [] })); // overlay addresses and guards are there before the daemon
  const charon = await startDaemon({ namespace, dir });
  const ipsec = createIpsecPort({ socketPath: charon.socketPath, driver: DRIVER, clock: systemClock, log });
  await ipsec.loadCredentials(credentials);
  return { name, namespace, hostNamespace: `${PREFIX}-host-${name}`, dir, credentials, charon, ipsec, dataplane, lanes };
}

async function tearDown(gateways: readonly Gateway[], dir: string): Promise<void> {
  for (const gateway of gateways) {
    await gateway.ipsec.close();
    gateway.lanes.close();
    await gateway.charon.kill();
  }
  await removeNamespaces();
  await rm(dir, { recursive: true, force: true });
}

async function removeNamespaces(): Promise<void> {
  const names = (await runCommandText('ip', ['netns', 'list'])).split('\n').map((line) => line.split(' ')[0] ?? '');
  for (const name of names.filter((one) => one.startsWith(`${PREFIX}-`))) {
    // a run that was killed may have left its daemons
    for (const pid of (await runCommandText('ip', ['netns', 'pids', name])).split('\n').filter((line) => line !== '')) killIfThere(Number(pid));
    await ip('netns', 'del', name);
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ESRCH') throw cause; // it ended since it was listed
  }
}

async function addNamespace(name: string): Promise<void> {
  await ip('netns', 'add', name);
  await ip('-n', name, 'link', 'set', 'lo', 'up');
  await inside(name, 'sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1');
}

async function addCable(index: 1 | 2): Promise<void> {
  await ip('link', 'add', `isp${index}`, 'netns', `${PREFIX}-gw-a`, 'type', 'veth', 'peer', 'name', `isp${index}`, 'netns', `${PREFIX}-gw-b`);
  for (const [name, number] of [['a', 1], ['b', 2]] as const) {
    const namespace = `${PREFIX}-gw-${name}`;
    await ip('-n', namespace, 'addr', 'add', `100.64.${index}.${number}/24`, 'dev', `isp${index}`);
    await ip('-n', namespace, 'link', 'set', `isp${index}`, 'up');
    // a provider would carry anything: without guards, clear text has a way out
    await ip('-n', namespace, 'route', 'add', 'default', 'via', `100.64.${index}.${3 - number}`, 'dev', `isp${index}`, 'onlink', 'metric', `10${index}`);
  }
}

async function addHost(name: 'a' | 'b', addresses: string[], gateway: string): Promise<void> {
  const [host, namespace] = [`${PREFIX}-host-${name}`, `${PREFIX}-gw-${name}`];
  await ip('link', 'add', 'lan', 'netns', namespace, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', host);
  for (const address of addresses) await ip('-n', host, 'addr', 'add', address, 'dev', 'eth0');
  await ip('-n', namespace, 'link', 'set', 'lan', 'up');
  await ip('-n', host, 'link', 'set', 'eth0', 'up');
  await ip('-n', host, 'route', 'add', 'default', 'via', gateway);
}

/** Counts what arrives over the cables before anything of ours sees it. */
async function watchUnderlay(namespace: string): Promise<void> {
  await runCommandText('ip', ['netns', 'exec', namespace, 'nft', '-f', '-'], {
    stdin: `table inet watch {
	counter seen_esp {
	}
	counter seen_ike {
	}
	counter seen_clear {
	}
	chain arrive {
		type filter hook prerouting priority -400; policy accept;
		iifname { "isp1", "isp2" } goto sort
	}
	chain sort {
		meta l4proto esp counter name "seen_esp" accept
		udp dport 4500 @th,64,32 != 0 counter name "seen_esp" accept
		udp dport { 500, 4500 } counter name "seen_ike" accept
		counter name "seen_clear"
	}
}
`,
  });
}

/** A CA (or the one that is there) and a certificate for a new key of each gateway, made by strongSwan's own tool. */
export async function issueCredentials(dir: string, { sameCa = false } = {}): Promise<Record<'a' | 'b', Credentials>> {
  const file = (name: string): string => join(dir, name);
  const pki = async (...args: string[]): Promise<string> => runCommandText('pki', args);
  const keep = async (name: string, pem: string): Promise<string> => {
    await writeFile(file(name), pem, { mode: 0o600 });
    return pem;
  };
  if (!sameCa) await keep('ca.key', await pki('--gen', '--type', 'ecdsa', '--size', '256', '--outform', 'pem'));
  const caPem = sameCa ? await readFile(file('ca.crt'), 'utf8') : await keep('ca.crt', await pki('--self', '--ca', '--in', file('ca.key'), '--type', 'ecdsa', '--dn', 'CN=adapters CA', '--lifetime', '30', '--outform', 'pem'));
  const issue = async (name: 'a' | 'b'): Promise<Credentials> => {
    const privateKeyPem = await keep(`${name}.key`, await pki('--gen', '--type', 'ecdsa', '--size', '256', '--outform', 'pem'));
    await keep(`${name}.pub`, await pki('--pub', '--in', file(`${name}.key`), '--type', 'ecdsa', '--outform', 'pem'));
    const certificatePem = await pki('--issue', '--in', file(`${name}.pub`), '--type', 'pub', '--cacert', file('ca.crt'), '--cakey', file('ca.key'), '--dn', `CN=gw-${name}`, '--san', `gw-${name}`, '--lifetime', '7', '--outform', 'pem');
    return { caPem, certificatePem, privateKeyPem };
  };
  return { a: await issue('a'), b: await issue('b') };
}

async function ip(...args: string[]): Promise<void> {
  await runCommandText('ip', args);
}
