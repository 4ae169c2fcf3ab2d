import { describe, expect, it } from 'vitest';
import { checkNodeConfig } from '../../agent/sync/node-config-schema.ts';
import { floorBreaches } from '../../agent/sync/index.ts';
import { agentBenchConfig } from '../../src/lab/bench/agent-config.ts';

const PROBE = { intervalMs: 50, downAfter: 4 };

describe('the gateways of the agent bench', () => {
  it.each([2, 20, 500, 4096])('with %i tunnels have configs that an agent takes, and the same tunnels at both ends', (tunnels) => {
    const [left, right] = [agentBenchConfig('left', tunnels, PROBE), agentBenchConfig('right', tunnels, PROBE)];
    for (const config of [left, right]) {
      expect(checkNodeConfig(config)).toMatchObject({ ok: true });
      expect(floorBreaches(config, null)).toEqual([]);
      expect(new Set(config.tunnels.map(({ local, remote }) => `${local.address} ${remote.address}`)).size).toBe(tunnels);
      expect(new Set(config.tunnels.map(({ local }) => local.overlay)).size).toBe(tunnels);
    }
    expect(left.tunnels.map(({ id, local, remote }) => [id, local.address, remote.address, local.overlay, remote.overlay])).toEqual(right.tunnels.map(({ id, local, remote }) => [id, remote.address, local.address, remote.overlay, local.overlay]));
    expect(left.tunnels.every(({ initiator }) => initiator) && right.tunnels.every(({ initiator }) => !initiator)).toBe(true);
  });
});
