import { createLog, VirtualClock } from '../../src/base/index.ts';
import type { AgentMessage, NodeConfig, NodeId, SignedConfig } from '../../src/model/index.ts';
import { type Agent, createAgent, createMemoryConfigStore, createMemoryOutbox } from '../../agent/index.ts';
import { createTestNet, type TestNet } from './agent-ports.ts';
import { berlin, configOf, paris, signedForTest, t1, verifyForTest } from './node-configs.ts';

export const testCredentials = { caPem: 'ca', certificatePem: 'certificate', privateKeyPem: 'key' };
const log = createLog('test', 'silent');

export interface TestNode {
  agent: Agent;
  sent: AgentMessage[];
  restart(abrupt: boolean): Promise<void>;
  want(config: NodeConfig, generation: number, salt?: string): Promise<SignedConfig>;
}

export async function startNode(net: TestNet, clock: VirtualClock, node: NodeId): Promise<TestNode> {
  const storage = { configs: createMemoryConfigStore(), outbox: createMemoryOutbox() };
  const sent: AgentMessage[] = [];
  const make = (): Agent => createAgent({ node, stateDir: '/nowhere', ports: net.ports(node), clock, log, credentials: testCredentials, verify: verifyForTest, send: (message) => sent.push(message), storage });
  const self: TestNode = {
    agent: make(),
    sent,
    async restart(abrupt) {
      await self.agent.stop({ abrupt });
      self.agent = make();
      await self.agent.start();
    },
    async want(config, generation, salt = '') {
      const signed = signedForTest(config, generation, salt);
      await self.agent.receive({ type: 'desired', config: signed });
      return signed;
    },
  };
  await self.agent.start();
  self.agent.connected();
  return self;
}

/** Berlin and Paris with a tunnel each way up, and traffic of one packet a millisecond in both directions. */
export async function startPair(lanes = [[t1]], tunnels = [t1]) {
  const clock = new VirtualClock();
  const net = createTestNet(clock);
  const [a, b] = [await startNode(net, clock, berlin), await startNode(net, clock, paris)];
  await a.want(configOf(berlin, tunnels, lanes), 1);
  await b.want(configOf(paris, tunnels, lanes), 1);
  await clock.advance(2_000);
  const lost: { from: NodeId; atMs: number }[] = [];
  const runFor = async (durationMs: number): Promise<void> => {
    for (let elapsed = 0; elapsed < durationMs; elapsed++) {
      await clock.advance(1);
      for (const from of [berlin, paris]) if (!net.sendPacket(from, 0)) lost.push({ from, atMs: clock.monotonicMs() });
    }
  };
  return { clock, net, a, b, lost, runFor };
}
