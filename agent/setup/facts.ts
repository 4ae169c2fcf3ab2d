import { X509Certificate } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { release } from 'node:os';
import { join } from 'node:path';
import type * as Yaml from 'yaml';
import { type Clock, type Log, messageOf, readFileIfExists, requireCommonJs } from '../../src/base/index.ts';
import { canMakeXfrmInterface, type Machine, NFT_TABLE, observeLinks } from '../dataplane/index.ts';
import { type AgentSettings, readSettings } from '../settings.ts';
import { createFileConfigStore, CREDENTIAL_FILES, readEngineClock } from '../sync/index.ts';
import { readDaemonFacts } from '../vici/index.ts';
import type { DoctorFacts } from './diagnose.ts';

const { parse } = requireCommonJs<typeof Yaml>('yaml');

export interface FactsOptions {
  settingsFile: string;
  machine: Machine;
  clock: Clock;
  log: Log;
}

const TRIAL_INTERFACE = 'fm-try';
const SYSCTLS = ['net/ipv4/ip_forward', 'net/ipv4/conf/all/rp_filter', 'net/ipv4/conf/all/send_redirects'];

/** Looks at everything that the doctor judges. Interfaces that are tried are made and removed; nothing else is touched. */
export async function gatherFacts({ settingsFile, machine, clock, log }: FactsOptions): Promise<DoctorFacts> {
  const read = await readSettings(settingsFile).then(
    (settings) => ({ settings, fault: null }),
    (cause: unknown) => ({ settings: null, fault: messageOf(cause) }),
  );
  const isRoot = process.getuid?.() === 0;
  const { settings } = read;
  const [kernel, daemon, udpPorts, nft, uplinks, state, isClockSynchronised] = await Promise.all([
    isRoot ? tryKernel(machine) : null,
    settings ? askDaemon(settings.viciSocket, clock) : { fault: 'where its socket is stands in the settings, which cannot be read' },
    listeningUdpPorts(),
    readNft(machine),
    settings ? readUplinks(settings.stateDir, machine, log) : [],
    settings ? readState(settings) : { stateMode: null, keyMode: null, certificate: null, caPem: null },
    readClockSync(machine),
  ]);
  return {
    nodeVersion: process.versions.node,
    kernelVersion: release(),
    isRoot,
    settingsFault: read.fault,
    driver: settings?.driver ?? 'auto',
    kernel,
    daemon,
    udpPorts,
    nftVersion: nft.version,
    droppingTables: nft.droppingTables,
    legacyTables: await readLegacyTables(),
    networkdTakesForeign: await networkdTakesForeign(),
    uplinks,
    sysctls: Object.fromEntries(await Promise.all(SYSCTLS.map(async (name) => [name, await machine.readSysctl(name)] as const))),
    stateMode: state.stateMode,
    keyMode: state.keyMode,
    certificate: state.certificate,
    engine: settings ? await askEngine(settings, state.caPem) : { fault: 'its address stands in the settings, which cannot be read' },
    isClockSynchronised,
    now: clock.now(),
  };
}

/** Makes one interface of each kind and a queue on it, which also loads modules, and takes them away again. */
async function tryKernel(machine: Machine): Promise<NonNullable<DoctorFacts['kernel']>> {
  const xfrm = await canMakeXfrmInterface(machine);
  await machine.run('ip', ['link', 'del', TRIAL_INTERFACE]); // of one that was ended in between; usually not there
  const vxlan = (await machine.run('ip', ['link', 'add', TRIAL_INTERFACE, 'type', 'vxlan', 'id', '16777215', 'dstport', '0', 'local', '127.0.0.1'])).exitCode === 0;
  if (!vxlan) return { xfrm, vxlan, htb: false };
  const htb = (await machine.run('tc', ['qdisc', 'add', 'dev', TRIAL_INTERFACE, 'root', 'handle', '1:', 'htb'])).exitCode === 0;
  await machine.run('ip', ['link', 'del', TRIAL_INTERFACE]);
  return { xfrm, vxlan, htb };
}

async function askDaemon(viciSocket: string, clock: Clock): Promise<DoctorFacts['daemon']> {
  try {
    const { daemon, version, plugins, mlKem } = await readDaemonFacts(viciSocket, clock);
    return { name: daemon, version, plugins, mlKem };
  } catch (cause) {
    return { fault: messageOf(cause) };
  }
}

/** `/proc/net/udp`: the second column is `address:port`, in hex. */
async function listeningUdpPorts(): Promise<number[]> {
  const tables = await Promise.all(['/proc/net/udp', '/proc/net/udp6'].map((file) => readFileIfExists(file)));
  const lines = tables.flatMap((text) => (text ?? '').split('\n').slice(1));
  return [...new Set(lines.flatMap((line) => (line.trim() === '' ? [] : [Number.parseInt(line.trim().split(/\s+/)[1]?.split(':')[1] ?? '', 16)])))].filter((port) => port > 0);
}

interface NftChain {
  family: string;
  table: string;
  name: string;
  hook?: string;
  policy?: string;
}

async function readNft(machine: Machine): Promise<{ version: string | null; droppingTables: string[] }> {
  try {
    const said = await machine.run('nft', ['--version']);
    const listed = await machine.run('nft', ['-j', 'list', 'chains']);
    const chains = listed.exitCode === 0 ? (JSON.parse(listed.stdout.toString('utf8')) as { nftables: { chain?: NftChain }[] }).nftables.flatMap(({ chain }) => chain ?? []) : [];
    const dropping = chains.filter(({ table, hook, policy }) => table !== NFT_TABLE && hook === 'forward' && policy === 'drop');
    return { version: /v(\d[\d.]*)/.exec(said.stdout.toString('utf8'))?.[1] ?? null, droppingTables: dropping.map(({ family, table, name }) => `${family} ${table} ${name}`) };
  } catch {
    return { version: null, droppingTables: [] }; // not installed: the finding says so
  }
}

/** From the last config on disk, unverified: it only says which interfaces to look at. */
async function readUplinks(stateDir: string, machine: Machine, log: Log): Promise<DoctorFacts['uplinks']> {
  try {
    const [newest] = await createFileConfigStore(stateDir, log).load();
    if (!newest) return [];
    const { uplinks } = parse(Buffer.from(newest.signed.blob, 'base64').toString('utf8')) as { uplinks: { name: string; interface: string }[] };
    const links = await observeLinks(machine);
    return uplinks.map(({ name, interface: device }) => ({ name, interface: device, mtu: links.find((link) => link.name === device)?.mtu ?? null }));
  } catch {
    return []; // not ours to read, or damaged: STATE_MODES and the agent's log tell
  }
}

async function readState({ stateDir }: AgentSettings): Promise<Pick<DoctorFacts, 'stateMode' | 'keyMode' | 'certificate'> & { caPem: string | null }> {
  const modeOf = async (path: string): Promise<number | null> => {
    try {
      return (await stat(path)).mode & 0o777;
    } catch {
      return null; // not there, or in a folder that we may not enter
    }
  };
  const read = async (name: string): Promise<string | null> => readFileIfExists(join(stateDir, name)).catch(() => null); // as above
  const [certificatePem, caPem] = await Promise.all([read(CREDENTIAL_FILES.certificate), read(CREDENTIAL_FILES.ca)]);
  return { stateMode: await modeOf(stateDir), keyMode: await modeOf(join(stateDir, CREDENTIAL_FILES.key)), certificate: certificatePem === null ? null : validityOf(certificatePem), caPem };
}

function validityOf(certificatePem: string): DoctorFacts['certificate'] {
  try {
    const { validFrom, validTo } = new X509Certificate(certificatePem);
    return { beginsAt: Date.parse(validFrom), endsAt: Date.parse(validTo) };
  } catch {
    return null; // damaged: as good as none
  }
}

async function askEngine({ engine }: AgentSettings, caPem: string | null): Promise<DoctorFacts['engine']> {
  try {
    return { at: await readEngineClock(engine, caPem) };
  } catch (cause) {
    return { fault: messageOf(cause) };
  }
}

/** It manages links here, and nobody told it to leave rules of others alone. */
async function networkdTakesForeign(): Promise<boolean> {
  const runs = (await readFileIfExists('/run/systemd/netif/state').catch(() => null)) !== null;
  if (!runs) return false;
  const settings = (await readFileIfExists('/etc/systemd/networkd.conf')) ?? '';
  return !/^\s*ManageForeignRoutingPolicyRules\s*=\s*(?:no|false|0)\s*$/m.test(settings);
}

async function readClockSync(machine: Machine): Promise<boolean | null> {
  try {
    const answer = await machine.run('timedatectl', ['show', '--property', 'NTPSynchronized', '--value']);
    const text = answer.stdout.toString('utf8').trim();
    return answer.exitCode === 0 && (text === 'yes' || text === 'no') ? text === 'yes' : null;
  } catch {
    return null; // no systemd
  }
}

/** Only root may read their names; whoever else asks is told of none. */
async function readLegacyTables(): Promise<string[]> {
  const text = await readFileIfExists('/proc/net/ip_tables_names').catch(() => null);
  return text?.split('\n').filter((line) => line !== '') ?? [];
}
