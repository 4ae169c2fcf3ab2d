import { ForemeshError, messageOf, sleep, systemClock } from '../base/index.ts';
import type { NodeId, PathId } from '../model/index.ts';
import { attachLabWorld, createLabWorld, type LabWorld, type LabWorldOptions } from './lab-world.ts';
import type { LabNodeRuntime } from './gateway-process.ts';
import { attachNetwork } from './network.ts';
import { type Direction, type WanReport } from './relay/index.ts';
import { cleanUp, cleanUpAbandoned, isAlive, type LabSummary, listLabs, listProcesses } from './run/index.ts';
import type { ListedTunnel } from './sas.ts';
import type { StreamReport } from './traffic/index.ts';
import type { PathProfile, SenderSpec, World } from './world.ts';

/** What `foremesh lab status` shows. */
export interface LabStatus {
  schema: 'foremesh/lab-status/v1';
  id: string;
  forgeDir: string;
  operatorKeyFile: string;
  /** Where the engine answers, and the folder with its token, for other commands. */
  engineStateDir: string;
  logsFolder: string;
  processes: { role: string; pid: number; alive: boolean }[];
  gateways: { node: NodeId; namespace: string; tunnels: ListedTunnel[]; runtime: LabNodeRuntime | null }[];
  hosts: { site: string; namespace: string; address: string }[];
  wan: WanReport;
}

export type LabFault =
  | { kind: 'path'; path: PathId; profile: Partial<PathProfile>; direction?: 'both' | Direction }
  | { kind: 'kill' | 'restart'; what: Parameters<World['kill']>[0] };

/** Brings up a lab that stays when this process ends. */
export function labUp(options: Omit<LabWorldOptions, 'detached'>): Promise<LabWorld> {
  return createLabWorld({ ...options, detached: true });
}

/** @param id  may be left out when there is exactly one lab */
export async function labStatus(id?: string): Promise<LabStatus> {
  const world = await attachLabWorld(await onlyLab(id));
  const { network } = world;
  const gateways = await Promise.all(
    network.layout.gateways.map(async ({ node, namespace }) => ({
      node,
      namespace,
      tunnels: await world.listTunnels(node),
      runtime: await world.nodeState(node).catch(() => null), // an agent that does not run shows as null
    })),
  );
  return {
    schema: 'foremesh/lab-status/v1',
    id: world.id,
    forgeDir: world.forgeDir,
    operatorKeyFile: world.operatorKeyFile,
    engineStateDir: `${network.folder}/engine`,
    logsFolder: `${network.folder}/logs`,
    processes: (await listProcesses(world.id)).map(({ role, ...mark }) => ({ role, pid: mark.pid, alive: isAlive(mark) })),
    gateways,
    hosts: network.layout.hosts.map(({ site, namespace, address }) => ({ site, namespace, address })),
    wan: await network.report(),
  };
}

/** Changes a path of the WAN, or ends or restarts a process. */
export async function labFault(id: string | undefined, fault: LabFault): Promise<void> {
  const lab = await onlyLab(id);
  if (fault.kind === 'path') {
    await (await attachNetwork(lab)).setPath(fault.path, fault.profile, fault.direction);
    return;
  }
  const world = await attachLabWorld(lab);
  await (fault.kind === 'kill' ? world.kill(fault.what) : world.restart(fault.what));
}

/** Sends for `durationMs` and gives the receiver's report; `onReport` gets one each second meanwhile. */
export async function labTraffic(id: string | undefined, spec: SenderSpec, durationMs: number, onReport: (report: StreamReport) => void, signal?: AbortSignal): Promise<StreamReport> {
  const network = await attachNetwork(await onlyLab(id));
  const sender = await network.startSender(spec);
  try {
    const isStopped = (): boolean => signal?.aborted ?? false;
    const endMs = network.clock.monotonicMs() + durationMs;
    for (let leftMs = durationMs; leftMs > 0 && !isStopped(); leftMs = endMs - network.clock.monotonicMs()) {
      await sleep(network.clock, Math.min(1000, leftMs));
      onReport(await sender.report());
    }
  } finally {
    await sender.stop();
  }
  return sender.report();
}

/** Takes down one lab, or with `all` every one there is; gives the ids. @throws ForemeshError LAB_FAILED when `id` names none */
export async function labDown(id: string | undefined, all = false): Promise<string[]> {
  const ids = all ? (await listLabs()).map((lab) => lab.id) : [await onlyLab(id)];
  const failures: string[] = [];
  for (const one of ids) await cleanUp(one, systemClock).catch((cause: unknown) => failures.push(`${one}: ${messageOf(cause)}`));
  if (failures.length > 0) throw new ForemeshError('LAB_FAILED', { what: failures.join('; '), fix: 'run it again' });
  return ids;
}

export type { LabSummary };
export { cleanUpAbandoned, listLabs };

/** The lab meant: the given one, or the only one. */
async function onlyLab(id: string | undefined): Promise<string> {
  const labs = (await listLabs()).map((lab) => lab.id);
  if (id !== undefined) {
    if (labs.includes(id)) return id;
    throw new ForemeshError('LAB_FAILED', { what: `there is no lab "${id.slice(0, 40)}"`, fix: labs.length > 0 ? `there is: ${labs.join(', ')}` : 'start one: foremesh lab up' });
  }
  if (labs.length === 1) return labs[0]!;
  throw new ForemeshError('LAB_FAILED', { what: labs.length === 0 ? 'no lab is up' : `several labs are up: ${labs.join(', ')}`, fix: labs.length === 0 ? 'foremesh lab up' : 'name one' });
}
