import { join } from 'node:path';
import { ViciConnection } from '../../../agent/vici/index.ts';
import { ForemeshError, readFileIfExists } from '../../base/index.ts';
import { pathId, nodeId, uplinkId, type NodeId, type PathId } from '../../model/index.ts';
import { gatewayFiles } from '../gateway-process.ts';
import type { LabWorld } from '../lab-world.ts';
import { findRevertAnswer, openPersonClone, revertTip } from '../person.ts';

/** Something done on purpose that must cost no packet. */
export interface PlannedScenario {
  kind: 'planned';
  /** It needs a path without a tunnel each time, so tunnels have to go again. */
  isFleeting?: true;
  run(world: LabWorld, run: number): Promise<void>;
}

const NEAR_NODE = nodeId('near-gw1');
const FAR_NODE = nodeId('far-gw1');
const UPLINKS = ['fibre', 'cable'];
const PAIR_PATHS: readonly PathId[] = UPLINKS.flatMap((near) => UPLINKS.map((far) => pathId(uplinkId(NEAR_NODE, near), uplinkId(FAR_NODE, far))));
const APPLIED_LIMIT_MS = 30_000;

export const PLANNED = {
  /** All SAs at once: IKE and CHILD, by the end that was asked. */
  'planned-rekey': { kind: 'planned', run: (world) => rekeyAll(world, NEAR_NODE) },
  /** One end gets a new certificate, and every tunnel a new IKE SA that is authenticated with it. */
  'planned-certificate': { kind: 'planned', run: (world, run) => renewCertificate(world, run % 2 === 0 ? NEAR_NODE : FAR_NODE) },
  /** The pair is pinned to a path that has no tunnel. */
  'planned-tunnel': { kind: 'planned', isFleeting: true, run: (world) => pinForAWhile(world, () => untilWithoutTunnel(world)) },
  /** The pair is pinned to another path each time; tunnels come and go for it. */
  'planned-move': { kind: 'planned', run: (world, run) => pinForAWhile(world, () => Promise.resolve(PAIR_PATHS[run % PAIR_PATHS.length])) },
  /** A person takes a commit back that moved the pair. */
  'planned-revert': { kind: 'planned', isFleeting: true, run: (world) => moveAndRevert(world) },
  /** The agent of one end is killed and started again. */
  'agent-restart': { kind: 'planned', run: (world, run) => world.restart({ kind: 'agent', node: run % 2 === 0 ? NEAR_NODE : FAR_NODE }) },
  /** The engine is killed and started again. */
  'engine-restart': { kind: 'planned', run: (world) => world.restart({ kind: 'engine' }) },
} satisfies Record<string, PlannedScenario>;

async function rekeyAll(world: LabWorld, node: NodeId): Promise<void> {
  const connection = await ViciConnection.open(gatewayFiles(world.network, node).viciSocket, world.clock);
  try {
    for (const { tunnel } of await world.listSas(node)) {
      await connection.request('rekey', { child: tunnel });
      await connection.request('rekey', { ike: tunnel });
    }
  } finally {
    connection.close();
  }
  await world.pass(1000);
}

async function renewCertificate(world: LabWorld, node: NodeId): Promise<void> {
  const file = join(gatewayFiles(world.network, node).agentStateDir, 'tunnels-renewed');
  const before = await readFileIfExists(file);
  const answer = await world.api.request('POST', `/v1/nodes/${node}/renewal`);
  if (answer.status >= 300) throw new ForemeshError('LAB_FAILED', { what: `${node} could not be told to renew: ${answer.status}`, fix: 'see the engine’s log' });
  const renewed = await world.until(async () => (await readFileIfExists(file)) !== before && (await world.nodeState(node)).settled, APPLIED_LIMIT_MS);
  if (!renewed) throw new ForemeshError('LAB_FAILED', { what: `the tunnels of ${node} were not moved to its new certificate within ${APPLIED_LIMIT_MS / 1000} s`, fix: 'see its agent’s log' });
}

/** Pins the pair to a path, waits until that is applied, and lets it go again. */
async function pinForAWhile(world: LabWorld, choose: () => Promise<PathId | undefined>): Promise<void> {
  const { overrideId } = await pinTo(world, await choose());
  await world.pass(1500);
  const cleared = await world.api.request('DELETE', `/v1/overrides/${encodeURIComponent(overrideId)}`);
  const next = ((cleared.body ?? {}) as { generation?: number | null }).generation;
  if (next) await waitForGeneration(world, next);
}

async function pinTo(world: LabWorld, path: PathId | undefined): Promise<{ overrideId: string }> {
  if (path === undefined) throw new ForemeshError('LAB_FAILED', { what: 'every path of the pair has a tunnel', fix: 'report this as a bug' });
  const until = new Date(world.clock.now() + 600_000).toISOString();
  const answer = await world.api.request('POST', '/v1/overrides', { what: { kind: 'pin-path', pair: 'far>near', path }, until, why: 'bench', by: 'bench' });
  const { generation, override } = (answer.body ?? {}) as { generation?: number | null; override?: { id: string } | null };
  if (answer.status >= 300 || !generation || !override) throw new ForemeshError('LAB_FAILED', { what: `the pin was not applied: ${answer.status} ${JSON.stringify(answer.body)}`, fix: 'see the engine’s log' });
  await waitForGeneration(world, generation);
  if (!(await world.nodeState(NEAR_NODE)).tunnels.some((tunnel) => tunnel.path === path)) throw new ForemeshError('LAB_FAILED', { what: `${path} has no tunnel although the pair is pinned to it`, fix: 'see mesh/live' });
  return { overrideId: override.id };
}

/** A path of the pair without a tunnel; waits until an idle one is torn down where all have one. */
async function untilWithoutTunnel(world: LabWorld): Promise<PathId | undefined> {
  const found = await world.until(async () => {
    const { tunnels } = await world.nodeState(NEAR_NODE);
    return PAIR_PATHS.find((path) => !tunnels.some((tunnel) => tunnel.path === path));
  }, APPLIED_LIMIT_MS);
  return found ?? undefined;
}

/** As an operator does: `git revert`, push, and the nodes run what the engine signs. */
async function moveAndRevert(world: LabWorld): Promise<void> {
  const path = await untilWithoutTunnel(world);
  const { overrideId } = await pinTo(world, path);
  await world.pass(1500);
  const git = await openPersonClone(world.forgeDir, join(world.network.folder, 'person'));
  const { reverted } = await revertTip(git);
  const answer = await world.until(() => findRevertAnswer(git, reverted), APPLIED_LIMIT_MS);
  if (!answer) throw new ForemeshError('LAB_FAILED', { what: `the engine did not answer the revert of ${reverted.slice(0, 12)}`, fix: 'see the engine’s log' });
  await waitForGeneration(world, answer.generation);
  const differing = await git('diff', '--name-only', `${reverted}^`, answer.commit, '--', 'plan/nodes');
  if (differing !== '') throw new ForemeshError('LAB_FAILED', { what: `the revert did not bring back what was before: ${differing}`, fix: 'see mesh/live' });
  await forgetRevert(world, overrideId);
}

/** What was taken back stays away until its veto is lifted; the next trial would find a pair whose pins are all vetoed. */
async function forgetRevert(world: LabWorld, overrideId: string): Promise<void> {
  await world.api.request('DELETE', `/v1/overrides/${encodeURIComponent(overrideId)}`);
  const { vetoes } = ((await world.api.request('GET', '/v1/vetoes')).body ?? { vetoes: [] }) as { vetoes: { fingerprint: string }[] };
  for (const { fingerprint } of vetoes) await world.api.request('DELETE', `/v1/vetoes/${encodeURIComponent(fingerprint)}`);
}

/** @throws ForemeshError LAB_FAILED when a gateway does not run it and have come to rest in time */
export async function waitForGeneration(world: LabWorld, generation: number): Promise<void> {
  const applied = await world.until(async () => {
    for (const { node } of world.network.layout.gateways) {
      const runtime = await world.nodeState(node);
      if (runtime.generation < generation || !runtime.settled) return false;
    }
    return true;
  }, APPLIED_LIMIT_MS);
  if (!applied) throw new ForemeshError('LAB_FAILED', { what: `generation ${generation} was not applied within ${APPLIED_LIMIT_MS / 1000} s`, fix: `see ${join(world.network.folder, 'logs')}` });
}
