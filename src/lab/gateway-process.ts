import { X509Certificate } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { AGENT_NODE_FLAGS } from '../../agent/ports.ts';
import { ForemeshError, readFileIfExists } from '../base/index.ts';
import type { NodeId } from '../model/index.ts';
import { startCharon } from './charon.ts';
import type { GatewayLayout } from './net/index.ts';
import type { LabNetwork } from './network.ts';
import { programFile } from './programs.ts';
import { findProcess, isAlive, markOf, recordProcess } from './run/index.ts';
import { daemonVersion } from './sas.ts';
import type { NodeRuntime } from './world.ts';

/** Files of one gateway in the lab's folder. */
export interface GatewayFiles {
  folder: string;
  charonDir: string;
  viciSocket: string;
  agentStateDir: string;
  agentSocket: string;
  agentConfig: string;
}

export function gatewayFiles(network: LabNetwork, node: NodeId): GatewayFiles {
  const folder = join(network.folder, 'nodes', node);
  const agentStateDir = join(folder, 'agent');
  return {
    folder,
    charonDir: join(folder, 'charon'),
    viciSocket: join(folder, 'charon', 'charon.vici'),
    agentStateDir,
    agentSocket: join(agentStateDir, 'agent.sock'),
    agentConfig: join(folder, 'agent.json'),
  };
}

export function gatewayOf(network: LabNetwork, node: NodeId): GatewayLayout {
  const gateway = network.layout.gateways.find((one) => one.node === node);
  if (!gateway) throw new ForemeshError('LAB_FAILED', { what: `there is no gateway ${node} in this lab`, fix: 'use a node of the intent' });
  return gateway;
}

/** Starts the IKE daemon of a gateway, unless it runs. */
export async function ensureDaemon(network: LabNetwork, node: NodeId, detached: boolean): Promise<void> {
  const role = `charon.${node}`;
  const running = await findProcess(network.id, role);
  if (running && isAlive(running)) return;
  const charon = await startCharon({ namespace: gatewayOf(network, node).namespace, dir: gatewayFiles(network, node).charonDir, niceness: -15, detached });
  const mark = markOf(charon.pid);
  if (mark) await recordProcess(network.id, { role, ...mark });
}

/** Where a gateway runs, what its daemon calls itself, and whose certificate it has; for people. */
export async function describeGateway(network: LabNetwork, gateway: GatewayLayout): Promise<{ node: NodeId; where: string; daemon: string; certificate: string }> {
  const files = gatewayFiles(network, gateway.node);
  const running = await findProcess(network.id, `charon.${gateway.node}`);
  const daemon = running && isAlive(running) ? `${await daemonVersion(files.viciSocket, network.clock)}, pid ${running.pid}` : 'not running';
  const pem = await readFileIfExists(join(files.agentStateDir, 'node.crt'));
  return { node: gateway.node, where: gateway.namespace, daemon, certificate: pem === null ? 'none yet' : describeCertificate(pem) };
}

/** `CN=berlin-gw1, issued by CN=Foremesh CA until 2026-12-22`. */
function describeCertificate(pem: string): string {
  const { subject, issuer, validTo } = new X509Certificate(pem);
  const oneLine = (name: string): string => name.trim().replaceAll('\n', ', ');
  return `${oneLine(subject)}, issued by ${oneLine(issuer)} until ${new Date(validTo).toISOString().slice(0, 10)}`;
}

/** What an agent of this lab is told: a JSON file. */
export interface AgentConfigFile {
  node: NodeId;
  stateDir: string;
  engine: string;
  viciSocket: string;
  joinToken?: string;
}

/** Starts the agent of a gateway, unless it runs; its config must have been written before. */
export async function ensureAgent(network: LabNetwork, node: NodeId): Promise<void> {
  const role = `agent.${node}`;
  const running = await findProcess(network.id, role);
  if (running && isAlive(running)) return;
  const { agentConfig } = gatewayFiles(network, node);
  await network.spawn(role, gatewayOf(network, node).namespace, process.execPath, [...AGENT_NODE_FLAGS, await programFile('agent'), '--config', agentConfig], -10);
}

export async function writeAgentConfig(file: string, config: AgentConfigFile): Promise<void> {
  await writeFile(file, JSON.stringify(config, null, 2), { mode: 0o600 });
}

/** What a real agent says of itself besides. */
export interface LabNodeRuntime extends NodeRuntime {
  tunnels: (NodeRuntime['tunnels'][number] & { mtuBytes: number | null })[];
  alarms: string[];
  connected: boolean;
  drift: string[];
  /** Nothing is left to do until something changes. */
  settled: boolean;
}

/** What the agent answers on its socket: one JSON value, then it closes. @throws ForemeshError LAB_FAILED when it does not run */
export function readNodeRuntime(socketFile: string): Promise<LabNodeRuntime> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketFile);
    let text = '';
    const fail = (why: string, cause?: unknown): void =>
      reject(new ForemeshError('LAB_FAILED', { what: `the agent at ${socketFile} ${why}`, fix: 'see its log in the logs folder of the lab', cause }));
    socket.setEncoding('utf8');
    socket.setTimeout(3000, () => {
      socket.destroy();
      fail('does not answer');
    });
    socket.on('error', (cause) => fail('is not there', cause));
    socket.on('data', (chunk: string) => {
      text += chunk;
    });
    socket.on('end', () => {
      try {
        resolve(JSON.parse(text) as LabNodeRuntime);
      } catch (cause) {
        fail('sent something else than JSON', cause);
      }
    });
  });
}
