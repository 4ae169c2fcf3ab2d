import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, ForemeshError, roundTo, runCommand, systemClock } from '../base/index.ts';
import type { Intent, PathId, SiteId } from '../model/index.ts';
import { controlReady } from './control/index.ts';
import { buildNetwork, defaultProfiles, type HostLayout, type LabLayout, layoutLab, namespacesIn, type PathProfiles } from './net/index.ts';
import { programFile } from './programs.ts';
import { type Direction, relayConfig, setWanPath, wanReport, type WanReport } from './relay/index.ts';
import { cleanUp, createRecord, findProcess, isAlive, labFolder, type LabRecord, markOf, newLabId, type ProcessMark, readRecord, spawnInLab } from './run/index.ts';
import { startStream, type StreamSender } from './traffic/index.ts';
import type { PathProfile, PingReport, SenderSpec } from './world.ts';

export interface NetworkOptions {
  intent: Intent;
  /** 1–6 of a–z, 0–9; default: a fresh one. */
  id?: string;
  /** Of the WAN's jitter and loss; default: the lab's id. */
  seed?: string;
  /** True: it outlives this process and ends with `cleanUp`; default: everything in it dies with this process. */
  detached?: boolean;
  /** Instead of what distance and kind of access suggest; paths not named keep that. */
  profiles?: PathProfiles[];
  /** Aborted: the start ends with the signal's reason, and nothing is left. */
  signal?: AbortSignal;
}

/** Namespaces, WAN and hosts of a lab: all of it but daemons, engine and agents. Works from any process that knows the id. */
export interface LabNetwork {
  readonly id: string;
  readonly folder: string;
  readonly intent: Intent;
  readonly layout: LabLayout;
  readonly clock: Clock;
  report(): Promise<WanReport>;
  setPath(path: PathId, profile: Partial<PathProfile>, direction?: 'both' | Direction): Promise<void>;
  startSender(spec: SenderSpec): Promise<StreamSender>;
  ping(from: SiteId, to: SiteId, count: number, family?: 'ipv4' | 'ipv6'): Promise<PingReport>;
  /** Starts one of our programs in a namespace of the lab; ends with the lab. */
  spawn(role: string, namespace: string, program: string, args: readonly string[], niceness: number): Promise<ProcessMark>;
  close(): Promise<void>;
}

/** Builds it and waits until the WAN carries packets. @throws ForemeshError LAB_FAILED; nothing is left then */
export async function startNetwork(options: NetworkOptions): Promise<LabNetwork> {
  const id = options.id ?? newLabId();
  const layout = layoutLab(id, options.intent);
  const clock = systemClock;
  const record: LabRecord = {
    schema: 'foremesh/lab/v1',
    id,
    createdAt: clock.now(),
    owner: options.detached ? null : markOf(process.pid),
    namespaces: namespacesIn(layout),
    seed: options.seed ?? id,
    intent: options.intent,
  };
  await createRecord(record);
  try {
    await buildNetwork(layout);
    options.signal?.throwIfAborted();
    const network = createNetwork(record, layout, clock);
    await startRelay(network, record, withDefaults(options));
    return network;
  } catch (cause) {
    await cleanUp(id, clock);
    throw cause;
  }
}

/** The network of a lab that some process started. @throws ForemeshError LAB_FAILED when there is none of that id */
export async function attachNetwork(id: string): Promise<LabNetwork> {
  const record = await readRecord(id);
  if (!record) throw new ForemeshError('LAB_FAILED', { what: `there is no lab "${id}"`, fix: '`foremesh lab status` lists them' });
  return createNetwork(record, layoutLab(id, record.intent), systemClock);
}

function createNetwork(record: LabRecord, layout: LabLayout, clock: Clock): LabNetwork {
  const { id, intent } = record;
  const folder = labFolder(id);
  const socket = (role: string): string => join(folder, `${role}.sock`);
  const starting = new Map<string, Promise<string>>();

  const spawn: LabNetwork['spawn'] = (role, namespace, program, args, niceness) =>
    spawnInLab({ labId: id, role, namespace, program, args, niceness, detached: record.owner === null });

  /** The socket of a host's sender or receiver, started on first use, also when several ask at once. */
  const ensureHelper = (kind: 'sender' | 'receiver', host: HostLayout): Promise<string> => {
    const role = `${kind}.${host.site}`;
    const begun = starting.get(role) ?? start().finally(() => starting.delete(role));
    starting.set(role, begun);
    return begun;
    async function start(): Promise<string> {
      const running = await findProcess(id, role);
      if (running && isAlive(running)) return socket(role);
      const first = (layout.hosts.indexOf(host) + 1) << 20;
      await spawn(role, host.namespace, process.execPath, [await programFile(kind), socket(role), ...(kind === 'sender' ? [String(first)] : [])], -10);
      await controlReady(socket(role), clock);
      return socket(role);
    }
  };

  return {
    id,
    folder,
    intent,
    layout,
    clock,
    spawn,
    report: () => wanReport(socket('relay')),
    setPath: (path, profile, direction = 'both') => setWanPath(socket('relay'), path, profile, direction),
    async startSender(spec) {
      const [from, to] = [hostOf(layout, spec.from), hostOf(layout, spec.to)];
      const [senderSocket, receiverSocket] = await Promise.all([ensureHelper('sender', from), ensureHelper('receiver', to)]);
      return startStream(spec, { senderSocket, receiverSocket, destination: addressOf(to, spec.family) }, clock);
    },
    ping: (from, to, count, family) => pingBetween(hostOf(layout, from), hostOf(layout, to), count, family),
    close: () => cleanUp(id, clock),
  };
}

async function startRelay(network: LabNetwork, record: LabRecord, profiles: PathProfiles[]): Promise<void> {
  const controlSocket = join(network.folder, 'relay.sock');
  const configFile = join(network.folder, 'relay.json');
  await writeFile(configFile, JSON.stringify(relayConfig(network.layout, profiles, record.seed, controlSocket)), { mode: 0o600 });
  await network.spawn('relay', network.layout.wanNamespace, process.execPath, [await programFile('relay'), configFile], -20);
  await controlReady(controlSocket, network.clock);
}

function withDefaults(options: NetworkOptions): PathProfiles[] {
  const given = new Map((options.profiles ?? []).map((one) => [one.path, one]));
  return defaultProfiles(options.intent).map((one) => given.get(one.path) ?? one);
}

function hostOf(layout: LabLayout, site: SiteId): HostLayout {
  const host = layout.hosts.find((one) => one.site === site);
  if (!host) throw new ForemeshError('LAB_FAILED', { what: `site ${site} has no host in this lab`, fix: 'use a site of the intent that has a gateway' });
  return host;
}

const PING_INTERVAL_MS = 50;

function addressOf(host: HostLayout, family: 'ipv4' | 'ipv6' = 'ipv4'): string {
  if (family === 'ipv4') return host.address;
  if (!host.ipv6) throw new ForemeshError('LAB_FAILED', { what: `the host of site ${host.site} has no IPv6 address`, fix: 'give its gateways lan.address6' });
  return host.ipv6.address;
}

async function pingBetween(from: HostLayout, to: HostLayout, count: number, family?: 'ipv4' | 'ipv6'): Promise<PingReport> {
  const args = ['netns', 'exec', from.namespace, 'ping', '-n', '-q', '-c', String(count), '-i', String(PING_INTERVAL_MS / 1000), '-W', '1', addressOf(to, family)];
  const output = (await runCommand('ip', args)).stdout.toString('utf8');
  const counts = /(\d+) packets transmitted, (\d+) received/.exec(output);
  const meanMs = /= [\d.]+\/([\d.]+)\//.exec(output)?.[1];
  if (!counts) throw new ForemeshError('LAB_FAILED', { what: `ping from ${from.site} to ${to.site} said nothing`, fix: `try: ip netns exec ${from.namespace} ping ${to.address}` });
  return { sent: Number(counts[1]), received: Number(counts[2]), latencyMs: meanMs === undefined ? null : roundTo(Number(meanMs), 2) };
}
