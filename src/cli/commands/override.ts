import { userInfo } from 'node:os';
import type { Command } from 'commander';
import { ForemeshError } from '../../base/index.ts';
import { ask } from '../engine-client.ts';
import type { EngineOptions } from '../options.ts';
import { printResult, renderTable } from '../output.ts';
import { withEngine } from '../with-engine.ts';

interface SetOptions extends EngineOptions {
  for: string;
  why: string;
  by: string;
  class?: string;
}

interface RequestAnswer {
  schema: string;
  commit: string | null;
  generation: number | null;
  proposal: number | null;
  override: { id: string; until: string } | null;
}

type What = { kind: 'pin-path'; pair: string; path: string; classId?: string } | { kind: 'avoid-path'; path: string } | { kind: 'drain-node'; node: string };

export function addOverrideCommand(program: Command): void {
  const override = program.command('override').description('an administrator’s hand, for at most a day; each becomes a commit');
  const set = override
    .command('set')
    .description('pin PAIR PATH [--class NAME]: the pair, or one class of it, runs over this path; avoid PATH: nothing does; drain NODE: the site’s other node serves')
    .argument('<kind>', 'pin, avoid or drain')
    .argument('<target>', 'berlin>paris for pin, a path for avoid, a node for drain')
    .argument('[path]', 'for pin: uplink~uplink')
    .option('--class <name>', 'for pin: only this traffic class of the pair');
  withEngine<SetOptions>(withReason(set), async (client, options, [kind, target, path]) => {
    await setOverride(client, options, whatOf(kind ?? '', target ?? '', path ?? '', options.class));
  });
  withEngine(override.command('list').description('overrides in force'), async (client, options) => {
    const { overrides } = await ask<{ overrides: { id: string; what: What; until: string; why: string; by: string }[] }>(client, 'GET', '/v1/overrides');
    printResult(options.output, { schema: 'foremesh/overrides/v1', overrides }, () =>
      overrides.length === 0 ? 'no overrides' : renderTable(['id', 'what', 'until', 'why', 'by'], overrides.map((entry) => [entry.id, Object.values(entry.what).join(' '), entry.until, entry.why, entry.by])),
    );
  });
  withEngine(override.command('clear').argument('<id>').description('end an override now'), async (client, options, [id]) => {
    const answer = await ask<RequestAnswer>(client, 'DELETE', `/v1/overrides/${encodeURIComponent(id ?? '')}`);
    printResult(options.output, { ...answer }, () => renderRequest(answer, `override ${id} cleared`));
  });
  withEngine<SetOptions>(withReason(program.command('drain').argument('<node>').description('move a site to its other node, e.g. for maintenance')), async (client, options, [node]) => {
    await setOverride(client, options, { kind: 'drain-node', node: node ?? '' });
  });
}

export function addVetoCommand(program: Command): void {
  const veto = program.command('veto').description('changes that people took back and that stay away');
  withEngine(veto.command('list'), async (client, options) => {
    const { vetoes } = await ask<{ vetoes: { fingerprint: string; what: string; until: string; commit: string }[] }>(client, 'GET', '/v1/vetoes');
    printResult(options.output, { schema: 'foremesh/vetoes/v1', vetoes }, () =>
      vetoes.length === 0 ? 'no vetoes' : renderTable(['fingerprint', 'what', 'until', 'took back'], vetoes.map((entry) => [entry.fingerprint, entry.what, entry.until, entry.commit.slice(0, 10)])),
    );
  });
  withEngine(veto.command('lift').argument('<fingerprint>').description('let the change come back'), async (client, options, [fingerprint]) => {
    const answer = await ask<RequestAnswer>(client, 'DELETE', `/v1/vetoes/${encodeURIComponent(fingerprint ?? '')}`);
    printResult(options.output, { ...answer }, () => renderRequest(answer, 'veto lifted'));
  });
}

function withReason(command: Command): Command {
  return command
    .requiredOption('--for <duration>', 'how long, e.g. 10m; at most 24h')
    .requiredOption('--why <text>', 'for those who read the commit')
    .option('--by <name>', 'who asks', userInfo().username);
}

async function setOverride(client: Parameters<typeof ask>[0], options: SetOptions, what: What): Promise<void> {
  const answer = await ask<RequestAnswer>(client, 'POST', '/v1/overrides', { what, for: options.for, why: options.why, by: options.by });
  printResult(options.output, { ...answer }, () => renderRequest(answer, `override ${answer.override?.id ?? ''} until ${answer.override?.until ?? '-'}`));
}

function whatOf(kind: string, target: string, path: string, classId: string | undefined): What {
  if (kind === 'pin' && path !== '') return { kind: 'pin-path', pair: target, path, ...(classId === undefined ? {} : { classId }) };
  if (classId !== undefined) throw new ForemeshError('CLI_USAGE', { what: '--class goes with pin only', fix: 'pin PAIR PATH --class NAME' });
  if (kind === 'avoid') return { kind: 'avoid-path', path: target };
  if (kind === 'drain') return { kind: 'drain-node', node: target };
  throw new ForemeshError('CLI_USAGE', { what: `"${kind}" is not an override with these arguments`, fix: 'pin PAIR PATH, avoid PATH, or drain NODE' });
}

function renderRequest(answer: RequestAnswer, what: string): string {
  if (answer.commit) return `${what}; commit ${answer.commit.slice(0, 10)}, generation ${answer.generation}`;
  return answer.proposal === null ? `${what}; nothing had to change` : `${what}; it waits in proposal ${answer.proposal}`;
}
