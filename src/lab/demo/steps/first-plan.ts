import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatMbps, runCommand } from '../../../base/index.ts';
import type { SiteId, Tunnel } from '../../../model/index.ts';
import { await_, check, isApplied, note, pathInWords, planOf, type Demo } from '../demo.ts';
import { columns } from '../screen.ts';

const ROWS = 8;

/** 4: train, forecast, plan, verdict, signed commit, tunnels up; then every tunnel is used, and the underlay watched. */
export async function showFirstPlan(demo: Demo): Promise<void> {
  const { screen, world, engine, intent } = demo;
  const trained = await await_(demo, 'the models are trained', 240_000, async () => {
    const { training } = await engine.status();
    screen.busy(training.text);
    return training.state === 'trained' ? training : null;
  });
  if (trained) {
    const best = [...trained.backtest].sort((left, right) => left.pinball - right.pinball);
    screen.say('trained on the shipped synthetic history and back-tested on its last part:');
    screen.evidence(columns(['model', 'error (WAPE)', 'pinball', 'P95 covers'], best.map((score) => [score.model, `${(score.wape * 100).toFixed(1)} %`, score.pinball.toFixed(3), `${(score.coverageP95 * 100).toFixed(1)} %`])));
    check(demo, best.length >= 3 && best.some(({ model }) => model === 'network'), `${best[0]?.model} won the back-test over ${best.slice(1).map(({ model }) => model).join(', ')}`);
  }
  const live = await await_(demo, 'first plan on mesh/live, applied by every node', 180_000, async () => ((await isApplied(demo, 1)) ? engine.plan() : null));
  if (!live) return;
  const plan = planOf(live);
  await Promise.all([...demo.senders.values()].map((sender) => sender.reset())); // what was sent before there was a way is not lost
  const { forecasts } = await engine.forecasts();
  screen.say(`pairs by priority, with the bandwidth predicted for the next ${intent.mesh.forecast.horizonSlots} slots:`);
  screen.evidence(columns(['#', 'pair', 'class', 'P50', 'P90', 'P95'], forecasts.filter(({ p95PeakMbps }) => p95PeakMbps >= 0.05).slice(0, ROWS).map((entry) => [entry.rank, entry.pair, entry.classId, formatMbps(entry.p50PeakMbps), formatMbps(entry.p90PeakMbps), formatMbps(entry.p95PeakMbps)])));
  await showCommit(demo, live.commit ?? '');
  await showSas(demo, plan.tunnels);
  note(demo, 'tunnels', plan.tunnels.length);
  await useTunnels(demo, plan.tunnels);
  const pairs = plan.admitted.filter(([a, b]) => plan.tunnels.some((tunnel) => touches(tunnel, a) && touches(tunnel, b)));
  await pingPairs(demo, pairs);
  const forbidden = intent.connections.find(({ mode }) => mode === 'never');
  if (forbidden) {
    const [from, to] = forbidden.between as [SiteId, SiteId];
    const ping = await world.ping(from, to, 2);
    check(demo, ping.received === 0, `${from} – ${to} is forbidden: ${ping.received} of ${ping.sent} pings answered`);
  }
}

function touches(tunnel: Tunnel, site: SiteId): boolean {
  return tunnel.a.site === site || tunnel.b.site === site;
}

async function showCommit(demo: Demo, commit: string): Promise<void> {
  const { screen, repository } = demo;
  await repository.git('fetch', '-q', 'origin');
  screen.command('git log -1 --format="%h %s%n%(trailers)" mesh/live');
  const body = await repository.git('log', '-1', '--format=%h %s%n%(trailers:unfold)', commit);
  screen.evidence(body.split('\n').filter((line) => line.trim().length > 0).map((line) => line.slice(0, 96)).join('\n'));
  const signed = await isSigned(demo, commit);
  check(demo, signed, `commit ${commit.slice(0, 10)} on mesh/live is signed by the engine; agents checked it object by object before they ran it`);
}

/** With plain git and the engine's public key, as anybody can. */
async function isSigned(demo: Demo, commit: string): Promise<boolean> {
  const { signers } = await demo.engine.ask<{ signers: string }>('GET', '/v1/signers');
  const file = join(demo.repository.cloneDir, '..', 'engine_signers');
  await writeFile(file, signers);
  const result = await runCommand('git', ['-C', demo.repository.cloneDir, '-c', `gpg.ssh.allowedSignersFile=${file}`, 'verify-commit', commit]);
  return result.exitCode === 0;
}

async function showSas(demo: Demo, tunnels: readonly Tunnel[]): Promise<void> {
  const { world, screen } = demo;
  screen.command('swanctl --list-sas   (at the lesser end of each tunnel)');
  const rows: (string | number)[][] = [];
  let installed = 0;
  for (const tunnel of tunnels) {
    const sas = await world.listSas(tunnel.a.node);
    const sa = sas.find((entry) => entry.tunnel === tunnel.id);
    if (sa?.childState === 'INSTALLED') installed++;
    rows.push([tunnel.id, pathInWords(tunnel.path), sa?.ikeState ?? '-', sa?.childState ?? '-', sa?.ikeSuite ?? '-', sa?.espSuite ?? '-']);
  }
  screen.evidence(columns(['tunnel', 'path', 'IKE SA', 'CHILD SA', 'IKE suite', 'ESP suite'], rows));
  check(demo, installed === tunnels.length && installed > 0, `${installed} of ${tunnels.length} tunnels established, IKEv2 with certificates`);
}

const LOAD_MBPS = 2;
const TRIES = 3;

async function useTunnels(demo: Demo, tunnels: readonly Tunnel[]): Promise<void> {
  const { world, screen } = demo;
  const before = await world.underlay();
  const rows: (string | number)[][] = [];
  let used = 0;
  for (const tunnel of tunnels) {
    screen.busy(`iperf3 through ${tunnel.id}`);
    const mbps = await loadTunnel(demo, tunnel);
    if (mbps > LOAD_MBPS / 2) used++;
    rows.push([tunnel.id, pathInWords(tunnel.path), formatMbps(mbps)]);
  }
  const after = await world.underlay();
  screen.command('iperf3 through each tunnel, one after the other');
  screen.evidence(
    columns(
      ['tunnel', 'path', 'iperf3', 'ESP packets seen'],
      rows.map((row, index) => {
        const path = tunnels[index]!.path;
        const count = (report: typeof after): number => report.paths.find((entry) => entry.path === path)?.espPackets ?? 0;
        return [...row, count(after) - count(before)];
      }),
    ),
  );
  const esp = after.espPackets - before.espPackets;
  note(demo, 'espPackets', esp);
  note(demo, 'clearTextPackets', after.clearTextPackets);
  check(demo, used === tunnels.length, `all ${tunnels.length} tunnels carried a load`);
  check(demo, esp > 0 && after.clearTextPackets === 0, `${esp} ESP packets on the underlay meanwhile, ${after.clearTextPackets} packets in clear text since the start`);
}

/** The first of three tries in which nothing was lost, or the last: a ping may meet a change of the plan, or a machine that is short of CPU. */
async function pingPair({ world }: Demo, from: SiteId, to: SiteId): ReturnType<Demo['world']['ping']> {
  for (let attempt = 1; ; attempt++) {
    const ping = await world.ping(from, to, 3);
    if (ping.received === ping.sent || attempt === TRIES) return ping;
    await world.pass(1000);
  }
}

/** What got through; a second and a third try count, since iperf3 is a program of this machine and has to wait for its CPU. */
async function loadTunnel({ world }: Demo, tunnel: Tunnel): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    try {
      const { mbps } = await world.throughput(tunnel.id, 700, LOAD_MBPS);
      if (mbps > LOAD_MBPS / 2 || attempt === TRIES) return mbps;
    } catch (cause) {
      if (attempt === TRIES) throw cause;
    }
    await world.pass(1000);
  }
}

async function pingPairs(demo: Demo, pairs: readonly [SiteId, SiteId][]): Promise<void> {
  const { screen } = demo;
  const rows: (string | number)[][] = [];
  let lost = 0;
  for (const [from, to] of pairs) {
    const ping = await pingPair(demo, from, to);
    lost += ping.sent - ping.received;
    rows.push([`${from} → ${to}`, `${ping.received}/${ping.sent}`, ping.latencyMs === null ? '-' : `${ping.latencyMs.toFixed(1)} ms`]);
  }
  screen.command('ping from host to host');
  screen.evidence(columns(['pair', 'answered', 'round trip'], rows));
  check(demo, lost === 0 && pairs.length > 0, `hosts of all ${pairs.length} connected pairs reach each other`);
}
