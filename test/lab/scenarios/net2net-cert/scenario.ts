import { expect } from 'vitest';
import { FAR, NEAR } from '../../../../src/lab/bench/bench-mesh.ts';
import type { Scenario } from '../scenario.ts';

export const scenario: Scenario = {
  act: async () => undefined,
  lostMax: 0,
  async expectations(world) {
    for (const { node } of world.network.layout.gateways) {
      const sas = await world.listSas(node);
      expect(sas.length).toBeGreaterThanOrEqual(2);
      for (const sa of sas) {
        expect([sa.ikeState, sa.childState]).toEqual(['ESTABLISHED', 'INSTALLED']);
        expect(sa.espSuite).toMatch(/^AES_GCM_16-|^CHACHA20_POLY1305/);
      }
    }
    for (const { node, certificate } of await world.inventory()) expect(certificate).toMatch(new RegExp(`^CN=${node}, issued by CN=`));
    const before = await world.underlay();
    expect((await world.ping(NEAR, FAR, 5)).received).toBe(5);
    const after = await world.underlay();
    expect(after.espPackets - before.espPackets).toBeGreaterThanOrEqual(10);
    expect(after).toMatchObject({ clearTextPackets: 0, clearTextSeen: [] });
  },
};
