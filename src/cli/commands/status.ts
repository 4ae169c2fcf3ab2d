import type { Command } from 'commander';
import { formatFinding, systemClock } from '../../base/index.ts';
import { certificateReasons, certificateSentence } from '../../model/index.ts';
import type { EngineView } from '../../reconcile/index.ts';
import { ask } from '../engine-client.ts';
import { colors, printResult, renderTable } from '../output.ts';
import { doubtText, quarantineText, type DoubtText, type QuarantineText } from '../trust-words.ts';
import { withEngine } from '../with-engine.ts';

/** The engine's state as `/v1/status` has it: instants are ISO 8601 there. */
type Status = Pick<EngineView, 'mesh' | 'live' | 'intentCommit' | 'findings' | 'tunnels' | 'shortfalls' | 'metrics' | 'forecastModel' | 'training' | 'planCertificate'> & {
  anomalies: { severity: string; endedAt: string | null; words: string }[];
  trust: Omit<EngineView['trust'], 'quarantines' | 'events' | 'doubts'> & {
    quarantines: QuarantineText[];
    doubts: DoubtText[];
  };
  schema: string;
  status: { state: string; reason: string; since: string };
  nodes: (Omit<EngineView['nodes'][number], 'lastSeenAt' | 'configSignedAt'> & { lastSeenAt: string | null; configSignedAt: string | null })[];
  proposals: { id: number; title: string }[];
  overrides: { id: string; why: string; until: string }[];
};

export function addStatusCommand(program: Command): void {
  withEngine(program.command('status').description('state of the engine, its nodes and tunnels'), async (client, options) => {
    const status = await ask<Status>(client, 'GET', '/v1/status');
    printResult(options.output, status, () => renderStatus(status));
  });
}

function renderStatus(status: Status): string {
  const paint = { ready: colors.green, reconciling: colors.yellow, stalled: colors.red }[status.status.state] ?? String;
  const sections = [
    `${paint(status.status.state)}  ${status.status.reason}`,
    `mesh ${status.mesh ?? '-'}  generation ${status.live?.generation ?? '-'} (${status.live?.commit.slice(0, 10) ?? 'none'}: ${status.live?.cause ?? '-'})  intent ${status.intentCommit?.slice(0, 10) ?? '-'}  model ${status.forecastModel ?? '-'} (${status.training.state})`,
    renderTable(
      ['node', 'connected', 'generation', 'plan age', 'drift', 'set right'],
      status.nodes.map((node) => [node.node, node.connected ? 'yes' : colors.red(`no, last seen ${node.lastSeenAt ?? 'never'}`), node.isBehind ? colors.yellow(`${node.generation} behind`) : node.generation, ageOf(node.configSignedAt), node.drift.join('; ') || null, node.repairs === 0 ? null : colors.yellow(`${node.repairs} times`)]),
    ),
    renderTable(
      ['uplink', 'out Mbit/s', 'in Mbit/s', 'used', 'gateway', 'CPU', 'memory', 'agent', 'IKE daemon'],
      status.nodes.flatMap(({ uplinks, host, node }) =>
        uplinks.map(({ uplink, txMbps, rxMbps, utilisation }, index) => [uplink, txMbps.toFixed(2), rxMbps.toFixed(2), percent(utilisation), ...(index > 0 || !host ? [] : hostCells(node, host))]),
      ),
    ),
    renderTable(
      ['tunnel', 'path', 'state', 'IKE / CHILD', 'latency', 'loss', 'MTU', 'Mbit/s', 'why'],
      status.tunnels.map((tunnel) => [
        tunnel.tunnel,
        tunnel.path,
        tunnel.state === 'up' ? colors.green('up') : colors.yellow(tunnel.state),
        tunnel.ends.map((end) => `${end.ikeState ?? '-'}/${end.childState ?? '-'}`).join(' | '),
        tunnel.latencyMs === null ? null : `${tunnel.latencyMs.toFixed(1)} ms`,
        tunnel.lossRatio === null ? null : `${(tunnel.lossRatio * 100).toFixed(1)} %`,
        mtuOf(tunnel.ends),
        tunnel.mbps === null ? null : tunnel.mbps.toFixed(2),
        tunnel.reason,
      ]),
    ),
    ...(status.shortfalls.length > 0 ? [renderTable(['pair', 'class', 'offered Mbit/s', 'dropped by shaping'], status.shortfalls.map(({ pair, classId, offeredMbps, droppedMbps }) => [pair, classId, offeredMbps.toFixed(2), colors.yellow(droppedMbps.toFixed(2))]))] : []),
    ...(status.nodes.some(({ users }) => users.length > 0) ? [renderTable(['gateway', 'by', 'name', 'active hosts'], status.nodes.flatMap(({ node, users }) => users.map(({ group, name, hosts }) => [node, group, name, hosts === 0 ? '< 5' : String(hosts)])))] : []),
    ...(status.nodes.some(({ services }) => services.length > 0) ? [renderTable(['gateway', 'to', 'class', 'service', 'in 5 min'], status.nodes.flatMap(({ node, services }) => services.map(({ to, classId, service, connections, packets }) => [node, to, classId, service, connections === null ? `${packets} packets` : `${connections} connections begun`])))] : []),
    ...(status.planCertificate ? [[`plan: ${certificateSentence(status.planCertificate)}`, ...certificateReasons(status.planCertificate).map((reason) => `  ${reason}`)].join('\n')] : []),
    ...status.nodes.flatMap(({ node, alarms }) => alarms.map((alarm) => colors.red(`${node}: ${alarm}`))),
    ...status.anomalies.filter(({ endedAt, severity }) => endedAt === null && severity !== 'low').map(({ severity, words }) => (severity === 'high' ? colors.red : colors.yellow)(words)),
    ...status.trust.quarantines.map((quarantine) => colors.red(quarantineText(quarantine))),
    ...status.trust.doubts.map((doubt) => colors.yellow(doubtText(doubt))),
    ...status.trust.impossiblePaths.map(({ path, latencyMs, leastMs }) => colors.yellow(`round trip of ${path} ${latencyMs.toFixed(2)} ms: light needs ${leastMs.toFixed(1)} ms`)),
    ...status.tunnels.flatMap(({ tunnel, disagreement }) => (disagreement === null ? [] : [colors.yellow(`the ends of ${tunnel} disagree: ${disagreement}`)])),
    ...status.proposals.map(({ id, title }) => colors.yellow(`proposal ${id} waits: ${title}`)),
    ...status.overrides.map(({ id, why, until }) => `override ${id} until ${until}: ${why}`),
    ...status.findings.map(formatFinding),
  ];
  return sections.join('\n\n');
}

/** What both ends measured, by the lesser. */
function mtuOf(ends: EngineView['tunnels'][number]['ends']): number | null {
  const known = ends.flatMap(({ mtuBytes }) => mtuBytes ?? []);
  return known.length === 0 ? null : Math.min(...known);
}

/** `3 d`, `5 h`, `12 min`; null when the node runs no plan. */
function ageOf(signedAt: string | null): string | null {
  if (signedAt === null) return null;
  const minutes = Math.max(0, Math.floor((systemClock.now() - Date.parse(signedAt)) / 60_000));
  return minutes >= 2880 ? `${Math.floor(minutes / 1440)} d` : minutes >= 120 ? `${Math.floor(minutes / 60)} h` : `${minutes} min`;
}

function hostCells(node: string, host: NonNullable<EngineView['nodes'][number]['host']>): (string | null)[] {
  const share = (ratio: number | null, bytes: number | null): string | null => (ratio === null || bytes === null ? null : `${percent(ratio)}, ${(bytes / 1_048_576).toFixed(0)} MiB`);
  return [node, percent(host.cpuRatio), percent(host.memoryUsedBytes / Math.max(1, host.memoryTotalBytes)), share(host.agentCpuRatio, host.agentRssBytes), share(host.daemonCpuRatio, host.daemonRssBytes)];
}

function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(1)} %`;
}
