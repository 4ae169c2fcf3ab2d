import { userInfo } from 'node:os';
import type { Command } from 'commander';
import { ask } from '../engine-client.ts';
import type { EngineOptions } from '../options.ts';
import { printResult, renderTable } from '../output.ts';
import { withEngine } from '../with-engine.ts';

export function addNodeCommand(program: Command): void {
  const node = program.command('node').description('credentials of one node');
  withEngine(node.command('renew').argument('<node>').description('a new certificate now; its tunnels move to it without a lost packet'), async (client, options, [name]) => {
    const answer = await ask<{ schema: string; node: string }>(client, 'POST', `/v1/nodes/${encodeURIComponent(name ?? '')}/renewal`);
    printResult(options.output, { ...answer }, () => `${answer.node} was told to renew its certificate`);
  });
  const revoke = node
    .command('revoke')
    .argument('<node>')
    .description('take its keys out of the mesh for ever; to come back it needs a new key and a new join token')
    .requiredOption('--why <text>', 'for those who read the record')
    .option('--by <name>', 'who asks', userInfo().username);
  withEngine<EngineOptions & { why: string; by: string }>(revoke, async (client, options, [name]) => {
    const answer = await ask<{ schema: string; node: string; keys: { keySha256: string }[] }>(client, 'POST', `/v1/nodes/${encodeURIComponent(name ?? '')}/revocation`, { why: options.why, by: options.by });
    printResult(options.output, { ...answer }, () => (answer.keys.length === 0 ? `${answer.node} was revoked before` : `${answer.node} is revoked: ${answer.keys.map(({ keySha256 }) => keySha256.slice(0, 16)).join(', ')}`));
  });
  withEngine(node.command('revoked').description('all keys that were revoked'), async (client, options) => {
    const { revocations } = await ask<{ revocations: { node: string; keySha256: string; revokedAt: string; why: string; by: string }[] }>(client, 'GET', '/v1/revocations');
    printResult(options.output, { schema: 'foremesh/revocations/v1', revocations }, () =>
      revocations.length === 0 ? 'no key was revoked' : renderTable(['node', 'key', 'at', 'by', 'why'], revocations.map((entry) => [entry.node, entry.keySha256.slice(0, 16), entry.revokedAt, entry.by, entry.why])),
    );
  });
}
