import { expect } from 'vitest';
import { ViciConnection } from '../../../../agent/vici/index.ts';
import { gatewayFiles } from '../../../../src/lab/gateway-process.ts';
import type { Scenario } from '../scenario.ts';

export const scenario: Scenario = {
  async act(world) {
    for (const { node } of world.network.layout.gateways) {
      const connection = await ViciConnection.open(gatewayFiles(world.network, node).viciSocket, world.clock);
      try {
        for (const { tunnel } of await world.listSas(node)) {
          await connection.request('rekey', { child: tunnel });
          await connection.request('rekey', { ike: tunnel });
        }
      } finally {
        connection.close();
      }
      await world.pass(500);
    }
  },
  lostMax: 0,
  async expectations(world, streams) {
    expect((await streams.count()).duplicated).toBe(0);
    for (const { node } of world.network.layout.gateways) {
      const { tunnels } = await world.nodeState(node);
      const installed = (await world.listSas(node)).filter(({ childState }) => childState === 'INSTALLED');
      expect(new Set(installed.map(({ tunnel }) => tunnel)).size).toBe(tunnels.length);
    }
  },
};
