import { expect } from 'vitest';
import { FAR, NEAR } from '../../../../src/lab/bench/bench-mesh.ts';
import type { LabWorld } from '../../../../src/lab/lab-world.ts';
import type { Scenario } from '../scenario.ts';

export const scenario: Scenario = {
  async act(world) {
    const generations = await generationsOf(world);
    await setAll(world, true);
    await world.pass(4_000);
    expect((await world.ping(NEAR, FAR, 1)).received).toBe(0);
    await setAll(world, false);
    expect(await world.until(async () => (await world.ping(NEAR, FAR, 2)).received === 2, 10_000)).toBe(true);
    expect((await generationsOf(world)).every((generation, index) => generation >= generations[index]!)).toBe(true);
  },
  lostMax: null,
  async expectations(world) {
    for (const { node } of world.network.layout.gateways) {
      for (const { ikeState, childState } of await world.listSas(node)) expect([ikeState, childState]).toEqual(['ESTABLISHED', 'INSTALLED']);
    }
  },
  tearDown: (world) => setAll(world, false),
};

async function setAll(world: LabWorld, down: boolean): Promise<void> {
  for (const { path } of (await world.network.report()).paths) await world.setPath(path, { down });
}

function generationsOf(world: LabWorld): Promise<number[]> {
  return Promise.all(world.network.layout.gateways.map(async ({ node }) => (await world.nodeState(node)).generation));
}
