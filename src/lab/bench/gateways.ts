import { ForemeshError } from '../../base/index.ts';
import type { NodeId } from '../../model/index.ts';
import type { LabWorld } from '../lab-world.ts';
import { NEAR } from './bench-mesh.ts';
import { type PlannedScenario, waitForGeneration } from './planned.ts';

/** A gateway's machine is gone at once: links, daemon and agent. */
export interface DeathScenario {
  kind: 'death';
  lastsMs: number;
}

/** What happens to the gateways of a site that has two. */
export const GATEWAYS = {
  'node-death': { kind: 'death', lastsMs: 2000 },
  /** The gateway that has the LAN address is drained for maintenance; the next trial drains the other. */
  'planned-drain': { kind: 'planned', run: (world) => drainOwner(world) },
} satisfies Record<string, DeathScenario | PlannedScenario>;

const BACK_LIMIT_MS = 40_000;

export interface OwnerDeath {
  /** Boots it and waits until it has the LAN address again, as the plan prefers. */
  revive(): Promise<void>;
}

export async function killOwner(world: LabWorld): Promise<OwnerDeath> {
  const owner = await ownerOf(world);
  await world.kill({ kind: 'node', node: owner });
  return {
    async revive() {
      await world.restart({ kind: 'node', node: owner });
      await waitForOwner(world, owner);
    },
  };
}

async function drainOwner(world: LabWorld): Promise<void> {
  const owner = await ownerOf(world);
  const until = new Date(world.clock.now() + 600_000).toISOString();
  const answer = await world.api.request('POST', '/v1/overrides', { what: { kind: 'drain-node', node: owner }, until, why: 'bench', by: 'bench' });
  const { generation, override } = (answer.body ?? {}) as { generation?: number | null; override?: { id: string } | null };
  if (answer.status >= 300 || !generation || !override) throw new ForemeshError('LAB_FAILED', { what: `the drain was not applied: ${answer.status} ${JSON.stringify(answer.body)}`, fix: 'see the engine’s log' });
  await waitForGeneration(world, generation);
  await waitForOwner(world, nearGateways(world).find((node) => node !== owner)!);
  await world.pass(1000);
  const cleared = await world.api.request('DELETE', `/v1/overrides/${encodeURIComponent(override.id)}`);
  const next = ((cleared.body ?? {}) as { generation?: number | null }).generation;
  if (next) await waitForGeneration(world, next);
}

/** The near gateway that says the LAN address is its own. @throws ForemeshError LAB_FAILED unless exactly one does */
async function ownerOf(world: LabWorld): Promise<NodeId> {
  const states = await Promise.all(nearGateways(world).map(async (node) => ({ node, state: await world.nodeState(node) })));
  const [owner, ...others] = states.filter(({ state }) => state.holdsLan);
  if (!owner || others.length > 0) throw new ForemeshError('LAB_FAILED', { what: `${others.length + Number(owner !== undefined)} gateways own the LAN address`, fix: 'see the agents’ logs' });
  return owner.node;
}

async function waitForOwner(world: LabWorld, node: NodeId): Promise<void> {
  const isOwner = async (): Promise<boolean> => {
    const states = await Promise.all(nearGateways(world).map((one) => world.nodeState(one).catch(() => null))); // one that boots has no socket yet
    return states.every((state, index) => state?.settled === true && state.holdsLan === (nearGateways(world)[index] === node));
  };
  if (!(await world.until(isOwner, BACK_LIMIT_MS))) throw new ForemeshError('LAB_FAILED', { what: `${node} alone should own the LAN address, after ${BACK_LIMIT_MS / 1000} s it does not`, fix: 'see the agents’ logs' });
}

function nearGateways(world: LabWorld): NodeId[] {
  return world.network.layout.gateways.filter(({ site }) => site === NEAR).map(({ node }) => node);
}
