import { nodeId } from '../../src/model/index.ts';
import { openDuckDbStore } from '../../src/telemetry/index.ts';
import { START, traffic } from './samples.ts';

/**
 * A process to be killed: appends batch after batch of several nodes at once, 1000 bytes each, and prints each node and
 * number once it is stored. Arguments: the database file.
 */
const store = await openDuckDbStore(process.argv[2]!);
await Promise.all(
  ['gw-a', 'gw-b', 'gw-c'].map(async (name) => {
    const node = nodeId(name);
    for (let sequence = (await store.lastSequence(node)) + 1; ; sequence++) {
      const samples = [1, 2, 3, 4].map((part) => traffic(START + part * 1000, 250, { windowMs: 1000, node }));
      await store.append(node, sequence, samples);
      process.stdout.write(`${name} ${sequence}\n`);
    }
  }),
);
