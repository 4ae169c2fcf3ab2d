import type { Command } from 'commander';
import { ask } from '../engine-client.ts';
import { printResult } from '../output.ts';
import { withEngine } from '../with-engine.ts';

export function addNodeCommand(program: Command): void {
  const node = program.command('node').description('credentials of one node');
  withEngine(node.command('renew').argument('<node>').description('a new certificate now; its tunnels move to it without a lost packet'), async (client, options, [name]) => {
    const answer = await ask<{ schema: string; node: string }>(client, 'POST', `/v1/nodes/${encodeURIComponent(name ?? '')}/renewal`);
    printResult(options.output, { ...answer }, () => `${answer.node} was told to renew its certificate`);
  });
}
