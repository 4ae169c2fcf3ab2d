import { ForemeshError, runCommand } from '../base/index.ts';
import type { NodeId } from '../model/index.ts';
import { ensureAgent, ensureDaemon, gatewayFiles, gatewayOf } from './gateway-process.ts';
import { type GatewayLayout, uplinkRouteLines } from './net/index.ts';
import type { LabNetwork } from './network.ts';
import { programFile } from './programs.ts';
import { findProcess, killMarked } from './run/index.ts';

/**
 * As when a gateway's machine dies: its links go first, so that nothing more leaves or comes, then agent and daemon by
 * SIGKILL. What its kernel had of ours goes too: a machine that boots has none of it.
 */
export async function killGateway(network: LabNetwork, node: NodeId): Promise<void> {
  const gateway = gatewayOf(network, node);
  await run(gateway.namespace, linksOf(gateway).map((name) => `link set ${name} down`));
  for (const role of [`agent.${node}`, `charon.${node}`]) {
    const running = await findProcess(network.id, role);
    if (running) await killMarked(running, network.clock);
  }
}

/** It boots: empty of routes, rules and addresses of ours, with the disk that it had. */
export async function reviveGateway(network: LabNetwork, node: NodeId, detached: boolean): Promise<void> {
  const gateway = gatewayOf(network, node);
  await forget(network, gateway);
  await run(gateway.namespace, [...linksOf(gateway).map((name) => `link set ${name} up`), ...gateway.uplinks.flatMap(uplinkRouteLines)]);
  await ensureDaemon(network, node, detached);
  await ensureAgent(network, node);
}

/** The cable is the host's end of the pair: the gateway sees its carrier go. */
export async function setLanLink(network: LabNetwork, node: NodeId, isConnected: boolean): Promise<void> {
  const index = network.layout.gateways.findIndex((gateway) => gateway.node === node);
  const host = network.layout.hosts.find(({ site }) => site === network.layout.gateways[index]?.site);
  if (!host) throw new ForemeshError('LAB_FAILED', { what: `there is no LAN at ${node}`, fix: 'use a gateway of the intent' });
  await run(host.namespace, [`link set gw${index} ${isConnected ? 'up' : 'down'}`]);
}

function linksOf(gateway: GatewayLayout): string[] {
  return [gateway.lanInterface, ...gateway.uplinks.map((uplink) => uplink.interface)];
}

/**
 * By the agent's own `--clear`, which knows what is ours; addresses of the LAN are nobody else's in a lab. A kernel that
 * has just begun forwards nothing until somebody tells it to, which the agent does last.
 */
async function forget(network: LabNetwork, gateway: GatewayLayout): Promise<void> {
  const { agentConfig } = gatewayFiles(network, gateway.node);
  await runCommand('ip', ['netns', 'exec', gateway.namespace, process.execPath, await programFile('agent'), '--config', agentConfig, '--clear']);
  await run(gateway.namespace, [`addr flush dev ${gateway.lanInterface}`]);
  await runCommand('ip', ['netns', 'exec', gateway.namespace, 'sh', '-c', 'echo 0 > /proc/sys/net/ipv4/ip_forward; echo 0 > /proc/sys/net/ipv6/conf/all/forwarding']);
}

/** Repeating a line that holds already is no fault here. */
async function run(namespace: string, lines: readonly string[]): Promise<void> {
  await runCommand('ip', ['-n', namespace, '-force', '-batch', '-'], { stdin: `${lines.join('\n')}\n` });
}
