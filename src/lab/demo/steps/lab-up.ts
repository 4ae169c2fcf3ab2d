import { check, note, type Demo } from '../demo.ts';
import { columns } from '../screen.ts';

/** 2: what runs now, and who certified it. */
export async function showLab(demo: Demo): Promise<void> {
  const { screen, world, intent } = demo;
  screen.command(world.kind === 'lab' ? 'foremesh lab up' : '(simulated: the same engine and agents in one process, on virtual time)');
  const inventory = await world.inventory();
  screen.evidence(columns(['gateway', 'runs in', 'IKE daemon', 'certificate'], inventory.map((entry) => [entry.node, entry.where, entry.daemon, entry.certificate])));
  const status = await demo.engine.status();
  const connected = status.nodes.filter((node) => node.connected).length;
  const expected = intent.sites.flatMap(({ nodes }) => nodes).length;
  note(demo, 'agents', connected);
  check(demo, connected === expected, `${connected} of ${expected} agents enrolled with a one-time token and are connected by mutual TLS; every key was made on its node, no pre-shared key exists`);
}
