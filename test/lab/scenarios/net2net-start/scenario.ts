import { expect } from 'vitest';
import { FAR, NEAR } from '../../../../src/lab/bench/bench-mesh.ts';
import type { Scenario } from '../scenario.ts';

export const scenario: Scenario = {
  async act(world) {
    const nodes = world.network.layout.gateways.map(({ node }) => node);
    await Promise.all(nodes.map((node) => world.kill({ kind: 'daemon', node })));
    await world.pass(300);
    for (const node of nodes) expect((await world.nodeState(node)).leakPackets).toBe(0);
    await Promise.all(nodes.map((node) => world.restart({ kind: 'daemon', node })));
    const isBack = async (): Promise<boolean> => {
      const counts = await Promise.all(nodes.map(async (node) => (await world.listSas(node)).filter(({ childState }) => childState === 'INSTALLED').length));
      return counts.every((count) => count >= 2);
    };
    expect(await world.until(isBack, 10_000)).toBe(true);
  },
  lostMax: null,
  async expectations(world) {
    expect(await world.until(async () => (await world.ping(NEAR, FAR, 3)).received === 3, 5_000)).toBe(true);
    for (const { node } of world.network.layout.gateways) expect((await world.nodeState(node)).leakPackets).toBe(0);
  },
};
