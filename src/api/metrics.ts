import type { FastifyInstance } from 'fastify';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { ANOMALY_KINDS } from '../model/index.ts';
import type { EngineView } from '../reconcile/index.ts';
import { NoQuery } from './schemas.ts';
import type { ApiDeps } from './server.ts';

/** Series per metric with a pair or path label; the rest is left out and counted, so that a large mesh cannot flood the store. */
const SERIES_MAX = 500;
const DAY_MS = 86_400_000;

/** `/metrics` in Prometheus' text format, from a registry of its own. Gauges are read off the engine's view at each scrape. */
export function addMetrics(server: FastifyInstance, { engine, clock, channelCounters }: ApiDeps): void {
  const registry = new Registry();
  const registers = [registry];
  const cycleSeconds = new Histogram({ name: 'foremesh_cycle_seconds', help: 'How long cycles took', registers, buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] });
  const decisions = new Counter({ name: 'foremesh_decisions_total', help: 'Cycles by how they ended', registers, labelNames: ['kind'] });
  engine.onCycle((result, tookMs) => {
    cycleSeconds.observe(tookMs / 1000);
    decisions.inc({ kind: result.kind });
  });
  const gauge = <Label extends string>(name: string, help: string, labelNames: readonly Label[] = []): Gauge<Label> => new Gauge({ name, help, labelNames, registers });
  const state = gauge('foremesh_state', '1 for the state the engine is in', ['state']);
  const generation = gauge('foremesh_generation', 'Generation of the live plan');
  const forecast = gauge('foremesh_forecast_p95_mbps', 'Predicted peak within the horizon, 95 % quantile', ['pair', 'class']);
  const demand = gauge('foremesh_demand_planned_mbps', 'What the plan provides for', ['pair', 'class']);
  const gap = gauge('foremesh_plan_proven_gap_percent', 'How far the newest plan is from the best possible at most, in worth');
  const observed = gauge('foremesh_demand_mbps', 'What hosts offered in the last slot, counted at the gateways', ['pair', 'class']);
  const lost = gauge('foremesh_demand_dropped_mbps', 'About how much of what hosts offered in the last slot class queues dropped', ['pair', 'class']);
  const latency = gauge('foremesh_path_latency_ms', 'Round trip inside the tunnel', ['path']);
  const violation = gauge('foremesh_path_sla_violation_probability', 'How probable it is that a path breaks the SLA of a class within the forecast horizon, the worst paths first', ['path', 'class']);
  const violationSkill = gauge('foremesh_path_forecast_skill', '1 − Brier score of the forecasts of paths / that of the best baseline, on held-out time');
  const loss = gauge('foremesh_path_loss_ratio', 'Loss, 0 to 1', ['path']);
  const disagreeing = gauge('foremesh_tunnels_disagreeing', 'Tunnels whose ends report figures that cannot both be right');
  const tunnels = gauge('foremesh_tunnels', 'Planned tunnels by state', ['state']);
  const mtu = gauge('foremesh_path_mtu_bytes', 'Greatest packet that the tunnel of a path was measured to carry, by the lesser of both ends', ['path']);
  const agents = gauge('foremesh_agents_connected', 'Agents with an open channel');
  const behind = gauge('foremesh_agents_behind', 'Nodes that run an older generation');
  const proposals = gauge('foremesh_proposals_open', 'Proposals that wait for a person');
  const dropped = gauge('foremesh_samples_dropped', 'Implausible samples left out since the start');
  const leaks = gauge('foremesh_leak_packets', 'Packets that the anti-leak chain stopped; must stay 0');
  const repairs = gauge('foremesh_node_repairs', 'How often an agent set right what somebody else had changed, since it began', ['node']);
  const planAge = gauge('foremesh_node_plan_age_seconds', 'Since what a node runs was signed', ['node']);
  const silence = gauge('foremesh_node_silent_seconds', 'Since a node was last heard of', ['node']);
  const alarms = gauge('foremesh_node_alarms', 'What a person should look at, by node', ['node']);
  const uplinkMbps = gauge('foremesh_uplink_mbps', 'What went over the interface of an uplink in its last window', ['uplink', 'direction']);
  const uplinkShare = gauge('foremesh_uplink_utilisation_ratio', 'Of the fuller direction of an uplink', ['uplink']);
  const cpu = gauge('foremesh_node_cpu_ratio', 'Of all cores of a gateway, 0 to 1', ['node']);
  const memory = gauge('foremesh_node_memory_bytes', 'Memory of a gateway', ['node', 'kind']);
  const processCpu = gauge('foremesh_node_process_cpu_ratio', 'Of one core, by the agent and the IKE daemon', ['node', 'process']);
  const processMemory = gauge('foremesh_node_process_memory_bytes', 'Resident memory of the agent and the IKE daemon', ['node', 'process']);
  const connections = gauge('foremesh_node_connections', 'Entries of the connection table, where the mesh permits counting them', ['node']);
  const activeHosts = gauge('foremesh_node_active_hosts', 'Hosts that sent to other sites within 5 minutes, where the mesh permits counting them; 0: fewer than 5', ['node', 'group', 'name']);
  const serviceConnections = gauge('foremesh_node_service_connections', 'Connections that hosts began in the last 5 minutes by TCP port, where the mesh permits counting them, the ten heaviest of a site and class', ['node', 'to', 'class', 'service']);
  const servicePackets = gauge('foremesh_node_service_packets', 'Packets that hosts sent in the last 5 minutes by UDP port below 32768, likewise', ['node', 'to', 'class', 'service']);
  const channel = gauge('foremesh_channel_events', 'Connections accepted and refused, messages refused, agents read more slowly, dead peers, since the start', ['kind']);
  const shaped = gauge('foremesh_node_shaped_packets', 'Packets that a class queue of an uplink dropped since it was made', ['node', 'uplink', 'class']);
  const shapedBytes = gauge('foremesh_node_shaped_bytes', 'About how many bytes those packets had, by the mean size of what went through the queue', ['node', 'uplink', 'class']);
  const quarantined = gauge('foremesh_node_quarantined', '1 for a gateway whose reports the others contradict', ['node']);
  const cut = gauge('foremesh_pairs_bounded', 'Pairs whose reported demand was cut to what others confirm, in the newest window');
  const impossible = gauge('foremesh_paths_impossible', 'Paths whose round trip light could not make');
  const anomalous = gauge('foremesh_anomalies', 'Events that go on in which traffic is not what was to be expected', ['kind', 'severity']);
  const changes = gauge('foremesh_changes_last_hour', 'Changes applied without a person within the last hour');
  const drift = gauge('foremesh_forecast_drift', 'How much worse recent forecasts were than the back-test, WAPE');
  const confidence = gauge('foremesh_forecast_confidence', 'Share of the demand whose forecasts are as promised; drifting counts half');
  const health = gauge('foremesh_forecast_state', '1 for the state of the champion on a group of demands', ['group', 'state']);
  const liveWape = gauge('foremesh_forecast_live_wape', 'Error of forecasts whose slots have come, last 24 h, by group, slots ahead and model', ['group', 'step', 'model', 'role']);
  const livePinball = gauge('foremesh_forecast_live_pinball_p95', 'P95 pinball loss by demand, likewise', ['group', 'step', 'model', 'role']);
  const liveCoverage = gauge('foremesh_forecast_live_coverage_p95', 'Share of cells that P95 held, likewise', ['group', 'step', 'model', 'role']);
  const regret = gauge('foremesh_forecast_changes', 'Forecast-driven changes of the last 30 days by kind and by what became of them', ['kind', 'score']);
  const left = gauge('foremesh_series_left_out', 'Series beyond the limit that this page does not show');

  function collect(view: EngineView): void {
    for (const metric of [state, forecast, demand, observed, lost, latency, violation, loss, mtu, tunnels, repairs, planAge, silence, alarms, uplinkMbps, uplinkShare, cpu, memory, processCpu, processMemory, connections, shaped, shapedBytes, activeHosts, serviceConnections, servicePackets, health, liveWape, livePinball, liveCoverage]) metric.reset();
    for (const name of ['ready', 'reconciling', 'stalled']) state.set({ state: name }, view.status.state === name ? 1 : 0);
    generation.set(view.live?.generation ?? 0);
    gap.set(view.planCertificate?.provenGapPct ?? 0);
    const demands = view.report?.demands ?? [];
    for (const entry of view.forecasts.slice(0, SERIES_MAX)) forecast.set({ pair: entry.pair, class: entry.classId }, entry.p95PeakMbps);
    for (const entry of view.forecasts.slice(0, SERIES_MAX)) if (entry.observedMbps !== null) observed.set({ pair: entry.pair, class: entry.classId }, entry.observedMbps);
    for (const entry of view.shortfalls.slice(0, SERIES_MAX)) lost.set({ pair: entry.pair, class: entry.classId }, entry.droppedMbps);
    for (const entry of demands.slice(0, SERIES_MAX)) demand.set({ pair: entry.pair, class: entry.classId }, entry.plannedMbps);
    for (const tunnel of view.tunnels.slice(0, SERIES_MAX)) {
      if (tunnel.latencyMs !== null) latency.set({ path: tunnel.path }, tunnel.latencyMs);
      if (tunnel.lossRatio !== null) loss.set({ path: tunnel.path }, tunnel.lossRatio);
      const mtus = tunnel.ends.flatMap(({ mtuBytes }) => mtuBytes ?? []);
      if (mtus.length > 0) mtu.set({ path: tunnel.path }, Math.min(...mtus));
    }
    const foreseen = (view.pathForecast?.paths ?? []).flatMap(({ path, violations }) => violations.map((each) => ({ path, ...each })));
    for (const { path, classId, probability } of foreseen.slice(0, SERIES_MAX)) violation.set({ path, class: classId }, probability);
    violationSkill.set(view.pathForecast?.skill ?? 0);
    for (const name of ['up', 'degraded', 'down', 'unknown']) tunnels.set({ state: name }, view.tunnels.filter((tunnel) => tunnel.state === name).length);
    disagreeing.set(view.tunnels.filter(({ disagreement }) => disagreement !== null).length);
    agents.set(view.metrics.agentsConnected);
    behind.set(view.nodes.filter(({ isBehind }) => isBehind).length);
    proposals.set(view.proposals.length);
    dropped.set(view.metrics.droppedSamples);
    leaks.set(view.metrics.leakPackets);
    for (const [kind, count] of Object.entries(channelCounters?.() ?? {})) channel.set({ kind }, count);
    for (const { node, ...state } of view.nodes.slice(0, SERIES_MAX)) {
      repairs.set({ node }, state.repairs);
      alarms.set({ node }, state.alarms.length);
      for (const { uplink, rxMbps, txMbps, utilisation } of state.uplinks) {
        uplinkMbps.set({ uplink, direction: 'rx' }, rxMbps);
        uplinkMbps.set({ uplink, direction: 'tx' }, txMbps);
        uplinkShare.set({ uplink }, utilisation);
      }
      if (state.host) {
        cpu.set({ node }, state.host.cpuRatio);
        memory.set({ node, kind: 'used' }, state.host.memoryUsedBytes);
        memory.set({ node, kind: 'total' }, state.host.memoryTotalBytes);
        processCpu.set({ node, process: 'agent' }, state.host.agentCpuRatio);
        processMemory.set({ node, process: 'agent' }, state.host.agentRssBytes);
        if (state.host.daemonCpuRatio !== null) processCpu.set({ node, process: 'ike' }, state.host.daemonCpuRatio);
        if (state.host.daemonRssBytes !== null) processMemory.set({ node, process: 'ike' }, state.host.daemonRssBytes);
        if (state.host.connections !== null) connections.set({ node }, state.host.connections);
      }
      for (const { group, name, hosts } of state.users) activeHosts.set({ node, group, name }, hosts);
      for (const { uplink, classId, droppedPackets, droppedBytes } of state.shaped) {
        shaped.set({ node, uplink, class: classId }, droppedPackets);
        if (droppedBytes !== undefined) shapedBytes.set({ node, uplink, class: classId }, droppedBytes);
      }
      if (state.configSignedAt !== null) planAge.set({ node }, Math.max(0, clock.now() - state.configSignedAt) / 1000);
      if (state.lastSeenAt !== null) silence.set({ node }, Math.max(0, clock.now() - state.lastSeenAt) / 1000);
    }
    const services = view.nodes.flatMap(({ node, services: ofNode }) => ofNode.map((one) => ({ node, ...one })));
    for (const { node, to, classId, service, connections: begun, packets } of services.slice(0, SERIES_MAX)) {
      if (begun !== null) serviceConnections.set({ node, to, class: classId, service }, begun);
      if (packets !== null) servicePackets.set({ node, to, class: classId, service }, packets);
    }
    for (const kind of ANOMALY_KINDS) for (const severity of ['low', 'medium', 'high']) anomalous.set({ kind, severity }, view.anomalies.filter((one) => one.endedAt === null && one.kind === kind && one.severity === severity).length);
    quarantined.reset();
    for (const { node } of view.trust.quarantines.slice(0, SERIES_MAX)) quarantined.set({ node }, 1);
    cut.set(view.trust.bounded.length);
    impossible.set(view.trust.impossiblePaths.length);
    changes.set(view.metrics.changesLastHour);
    drift.set(view.metrics.forecastDrift);
    for (const [kind, { needed, notNeeded, harmful, unknown }] of Object.entries(view.forecastRegret.byKind)) {
      for (const [score, count] of Object.entries({ needed, 'not-needed': notNeeded, harmful, unknown })) regret.set({ kind, score }, count);
    }
    confidence.set(view.forecastHealth.confidence);
    for (const group of view.forecastHealth.groups) for (const name of ['ok', 'drifting', 'failed']) health.set({ group: group.group, state: name }, group.state === name ? 1 : 0);
    for (const { group, step, scores } of engine.scoreboard(clock.now() - DAY_MS).rows) {
      for (const { model, isChampion, wape, pinballP95, coverageP95 } of scores) {
        const labels = { group, step: String(step), model, role: isChampion ? 'champion' : 'rule' };
        liveWape.set(labels, wape);
        livePinball.set(labels, pinballP95);
        liveCoverage.set(labels, coverageP95);
      }
    }
    const excess = (count: number): number => Math.max(0, count - SERIES_MAX);
    left.set(excess(view.forecasts.length) + excess(view.shortfalls.length) + excess(demands.length) + excess(view.tunnels.length) + excess(services.length) + excess(foreseen.length));
  }

  server.get('/metrics', { schema: { summary: 'Prometheus text format', querystring: NoQuery, produces: ['text/plain'] } }, async (_request, reply) => {
    collect(engine.view());
    const text = await registry.metrics();
    return reply.type(registry.contentType).serializer((value: unknown) => value as string).send(text);
  });
}
