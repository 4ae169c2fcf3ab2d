import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { NodeId, PairId, TunnelId } from '../../src/model/index.ts';
import type { Engine } from '../../src/reconcile/index.ts';
import { createTestMesh, exampleFile, HOUR_MS, path, SHOP_TO_PARIS, START_AT, type TestMesh, withRoomAtTheShop } from './support.ts';

describe('a cycle', () => {
  let mesh: TestMesh;
  afterEach(() => mesh.close());

  it('makes mesh/live with a signed first plan, publishes it, and then has nothing to do', async () => {
    mesh = await createTestMesh();
    const engine = await mesh.engine();
    const first = await engine.cycle();
    expect(first).toMatchObject({ kind: 'commit', commit: { generation: 1, trailers: { decision: 'auto', parent: 'none' } } });
    expect(await engine.cycle()).toEqual({ kind: 'none' });
    expect(await mesh.history()).toHaveLength(1);
    expect(mesh.hub.published).toHaveLength(1);
    expect([...mesh.hub.published[0]!.keys()].sort()).toEqual(['aws-fra-gw1', 'azure-weu-gw1', 'berlin-gw1', 'berlin-gw2', 'hamburg-gw1', 'paris-gw1']);
    expect(engine.view()).toMatchObject({ status: { state: 'ready', reason: 'nothing to do' }, live: { generation: 1 }, mesh: 'example' });
  });

  it('commits a small change by itself, and tears it down again when it is idle', async () => {
    mesh = await createTestMesh(withRoomAtTheShop);
    const engine = await mesh.engine();
    await engine.cycle();
    mesh.demand.set(SHOP_TO_PARIS, 10);
    expect(await engine.cycle()).toMatchObject({ kind: 'commit', commit: { generation: 2, trailers: { decision: 'auto' } } });
    expect(engine.view().lastDecision?.changes.some((change) => change.startsWith('+ tunnel'))).toBe(true);
    mesh.demand.clear();
    await mesh.clock.advance(2 * HOUR_MS);
    expect(await engine.cycle()).toMatchObject({ kind: 'commit', commit: { generation: 3 } });
    expect(engine.view().lastDecision).toMatchObject({ cause: 'idle' });
    expect(await engine.cycle()).toEqual({ kind: 'none' });
  });

  it('keeps the last good intent while main is not sound, and says what is wrong where', async () => {
    mesh = await createTestMesh();
    const engine = await mesh.engine();
    await engine.cycle();
    const good = engine.view().intentCommit;
    await mesh.pushMain({ 'mesh-config/classes.yaml': (await exampleFile('mesh-config/classes.yaml')).replace('latencyMax: 150ms', 'latencyMaks: 150ms') });
    expect(await engine.cycle()).toEqual({ kind: 'none' });
    const view = engine.view();
    expect(view.intentCommit).toBe(good);
    expect(view.findings[0]).toMatchObject({ code: 'INTENT_UNKNOWN_KEY', where: { file: 'mesh-config/classes.yaml', line: 11 } });
    expect(view.status).toMatchObject({ state: 'stalled', reason: 'main is not sound; the last good intent stays in use' });

    const restarted = await mesh.engine();
    expect(await restarted.cycle()).toEqual({ kind: 'none' });
    expect(restarted.view().intentCommit).toBe(good);
    expect(await mesh.history()).toHaveLength(1);
  });

  it('refuses a weak cipher on main by policy, and no node ever sees it', async () => {
    mesh = await createTestMesh();
    const engine = await mesh.engine();
    await engine.cycle();
    const security = (await exampleFile('mesh-config/security.yaml')).replaceAll('encryption: aes128gcm16', 'encryption: 3des, integrity: sha1');
    await mesh.pushMain({ 'mesh-config/security.yaml': security });
    expect(await engine.cycle()).toEqual({ kind: 'none' });
    const finding = engine.view().findings.find(({ severity }) => severity === 'error');
    expect(finding?.where).toMatchObject({ file: 'mesh-config/security.yaml' });
    expect(await mesh.history()).toHaveLength(1);
  });

  it('keeps judging by the last good policy while the one on main does not compile', async () => {
    mesh = await createTestMesh();
    const engine = await mesh.engine();
    await engine.cycle();
    const digest = engine.view().policyDigest;
    await mesh.pushMain({ 'policies/plan/rule.rego': 'package foremesh.plan\nverdict := {' });
    await engine.cycle();
    expect(engine.view().policyDigest).toBe(digest);
    expect(engine.view().findings.some(({ severity }) => severity === 'error')).toBe(true);
    const restarted = await mesh.engine();
    expect(await restarted.cycle()).toEqual({ kind: 'none' });
    expect(restarted.view().policyDigest).toBe(digest);
  });

  it('answers a path that an agent reports down with a plan of cause failure', async () => {
    mesh = await createTestMesh();
    const engine = await mesh.engine();
    await engine.cycle();
    const tunnel = engine.view().tunnels.find((entry) => entry.path === path('berlin-gw1/fibre', 'paris-gw1/fibre'))!;
    await mesh.clock.advance(1000);
    mesh.hub.emit('berlin-gw1' as NodeId, { kind: 'path-down', tunnel: tunnel.tunnel, at: mesh.clock.now(), lanesSwitched: 2 });
    const result = await engine.cycle('failure');
    expect(result).toMatchObject({ kind: 'commit', commit: { trailers: { decision: 'auto' } } });
    expect(engine.view().lastDecision?.cause).toBe('failure');
    expect(engine.view().tunnels.map(({ path: each }) => each)).toContain(tunnel.path);
    // the plan has answered it; what changes now is no repair, though the path is still down and has its tunnel
    mesh.demand.set(SHOP_TO_PARIS, 3);
    await mesh.clock.advance(1000);
    expect((await engine.cycle()).kind).not.toBe('none');
    expect(engine.view().lastDecision?.cause).toBe('forecast');
  });

  it('leaves a pair all its tunnels when every one of them was down for some seconds, and its backup with them', async () => {
    mesh = await createTestMesh();
    const engine = await mesh.engine();
    await engine.cycle();
    const own = (): string[] => engine.view().tunnels.filter((tunnel) => tunnel.path.includes('berlin-gw1/') && tunnel.path.includes('paris-gw1/')).map(({ tunnel }) => tunnel).sort();
    const before = own();
    expect(before.length).toBeGreaterThanOrEqual(2);
    const say = (kind: 'path-down' | 'path-up') => {
      for (const tunnel of before) mesh.hub.emit('berlin-gw1' as NodeId, { kind, tunnel: tunnel as TunnelId, at: mesh.clock.now(), lanesSwitched: 0 });
    };
    await mesh.clock.advance(1000);
    say('path-down');
    await engine.cycle('failure');
    expect(own()).toEqual(expect.arrayContaining(before));
    await mesh.clock.advance(4000);
    say('path-up');
    await engine.cycle('forecast');
    expect(own()).toEqual(expect.arrayContaining(before));
    const backups = engine.view().plan?.assignments.find(({ from, to }) => from === 'berlin' && to === 'paris')?.backups.map((way) => way[0]) ?? [];
    expect(backups.some((tunnel) => before.includes(tunnel!))).toBe(true);
  });

  it('sets an override as a commit, and drops it when its time is over', async () => {
    mesh = await createTestMesh();
    const engine = await mesh.engine();
    await engine.cycle();
    const pinned = path('berlin-gw1/cable', 'paris-gw1/fibre');
    const wish = engine.setOverride({ what: { kind: 'pin-path', pair: 'berlin>paris' as PairId, path: pinned }, until: START_AT + 600_000, why: 'carrier works on the fibre', by: 'alice' });
    await engine.cycle();
    const answer = await wish;
    expect(answer).toMatchObject({ ok: true, generation: 2, override: { why: 'carrier works on the fibre' } });
    expect(engine.view().overrides).toHaveLength(1);
    expect(engine.view().tunnels.map((tunnel) => tunnel.path)).toContain(pinned);
    expect((await mesh.history()).at(-1)).toMatchObject({ decision: 'override' });

    await mesh.clock.advance(600_000);
    expect(await engine.cycle()).toMatchObject({ kind: 'commit' });
    expect(engine.view().lastDecision?.cause).toBe('expiry');
    expect(engine.view().overrides).toEqual([]);
  });

  it('follows an override that stands in a file of main, until its end or until it is taken out', async () => {
    mesh = await createTestMesh();
    const engine = await mesh.engine();
    await engine.cycle();
    const until = new Date(START_AT + 3_600_000).toISOString();
    const document = `apiVersion: foremesh/v1\nkind: Override\nname: splice\nwhat: { avoidPath: { over: [berlin-gw1/cable, hamburg-gw1/dsl] } }\nuntil: '${until}'\nwhy: the cable is being spliced\nby: alice\n`;
    await mesh.pushMain({ 'mesh-config/overrides.yaml': document });
    await engine.cycle();
    expect(engine.view().overrides.map(({ id }) => id)).toEqual(['splice']);
    expect(engine.view().tunnels.map((tunnel) => tunnel.path)).not.toContain(path('berlin-gw1/cable', 'hamburg-gw1/dsl'));
    await mesh.pushMain({ 'mesh-config/overrides.yaml': null });
    await engine.cycle();
    expect(engine.view().overrides).toEqual([]);
  });

  it('plans again when mesh/live moves between plan and push', async () => {
    mesh = await createTestMesh();
    let interfere = false;
    const engine = await mesh.engine({
      checkpoint: async (name) => {
        if (name !== 'committed' || !interfere) return;
        interfere = false;
        await mesh.git('fetch', '--quiet', 'origin');
        await mesh.git('checkout', '--quiet', '-B', 'live', 'origin/mesh/live');
        await mesh.git('commit', '--quiet', '--allow-empty', '-m', 'a person was here');
        await mesh.git('push', '--quiet', 'origin', 'live:mesh/live');
      },
    });
    await engine.cycle();
    interfere = true;
    mesh.demand.set(SHOP_TO_PARIS, 10);
    expect(await engine.cycle()).toMatchObject({ kind: 'commit', commit: { generation: 3 } });
    const history = await mesh.history();
    expect(history.map(({ generation }) => generation)).toEqual([1, null, 2, 3]);
    expect(history.map(({ decision }) => decision)).toEqual(['auto', null, 'reverted', 'auto']);
  });
});

describe('an override', () => {
  let mesh: TestMesh;
  let engine: Engine;
  beforeAll(async () => {
    mesh = await createTestMesh();
    engine = await mesh.engine();
    await engine.cycle();
  });
  afterAll(() => mesh.close());

  it.each([
    ['without an end ahead', { until: START_AT - 1 }],
    ['that lasts longer than a day', { until: START_AT + 25 * HOUR_MS }],
    ['without a reason', { why: '  ' }],
    ['without a name', { by: '' }],
    ['for a path that does not exist', { what: { kind: 'avoid-path', path: 'berlin-gw1/fibre~paris-gw9/dsl' } }],
    ['for a node that does not exist', { what: { kind: 'drain-node', node: 'rome-gw1' } }],
  ])('is refused %s', async (_what, part) => {
    const request = { what: { kind: 'drain-node', node: 'berlin-gw1' }, until: START_AT + HOUR_MS, why: 'works', by: 'alice', ...part };
    await expect(engine.setOverride(request as Parameters<typeof engine.setOverride>[0])).rejects.toMatchObject({ code: 'API_REQUEST_INVALID' });
    expect(await engine.cycle()).toEqual({ kind: 'none' });
  });
});

describe('the loop', () => {
  let mesh: TestMesh;
  afterEach(() => mesh.close());

  it('runs by the mesh’s period, at once when it is woken, and ends with its signal', async () => {
    mesh = await createTestMesh();
    const engine = await mesh.engine();
    const ended: number[] = [];
    let notice: () => void = () => undefined;
    engine.onCycle(() => {
      ended.push(mesh.clock.now() - START_AT);
      notice();
    });
    /** Resolves after the next cycle; virtual time stands still meanwhile. */
    const next = (): Promise<void> => new Promise((resolve) => (notice = resolve));
    const stop = new AbortController();
    const first = next();
    const running = engine.run(stop.signal);
    await first;
    const second = next();
    await mesh.clock.advance(60_000);
    await second;
    const woken = next();
    await mesh.clock.advance(5000);
    engine.wake('failure');
    await woken;
    expect(ended).toEqual([0, 60_000, 65_000]);
    stop.abort();
    await running;
    expect(ended).toHaveLength(3);
  });

  it('goes on after errors: a forge that is away is waited for, and nothing is lost', async () => {
    mesh = await createTestMesh();
    const engine = await mesh.engine();
    await engine.cycle();
    await rename(mesh.forgeDir, `${mesh.forgeDir}.away`);
    const wish = engine.setOverride({ what: { kind: 'drain-node', node: 'berlin-gw1' as NodeId }, until: START_AT + HOUR_MS, why: 'test', by: 'alice' });
    expect(await engine.cycle()).toMatchObject({ kind: 'waiting', retryAfterMs: 5000 });
    expect(await wish).toMatchObject({ ok: false });
    expect(engine.view()).toMatchObject({ status: { state: 'reconciling' }, live: { generation: 1 } });
    await rename(`${mesh.forgeDir}.away`, mesh.forgeDir);
    expect(await engine.cycle()).toEqual({ kind: 'none' });
  });

  it('computes every kind of past decision again to the byte, on a machine that has only the records', async () => {
    mesh = await createTestMesh();
    const engine = await mesh.engine();
    await engine.cycle();
    mesh.demand.set(SHOP_TO_PARIS, 10);
    await engine.cycle();
    await mesh.git('fetch', '--quiet', 'origin');
    await mesh.git('checkout', '--quiet', '-B', 'live', 'origin/mesh/live');
    await mesh.git('revert', '--no-edit', 'HEAD');
    await mesh.git('push', '--quiet', 'origin', 'live:mesh/live');
    await engine.cycle();
    const wish = engine.setOverride({ what: { kind: 'avoid-path', path: path('aws-fra-gw1/eip-a', 'berlin-gw1/cable') }, until: START_AT + HOUR_MS, why: 'test', by: 'alice' });
    await engine.cycle();
    await wish;
    const fresh = await mesh.engine();
    const commits = (await mesh.history()).filter(({ decision }) => decision !== null);
    expect(commits.map(({ decision }) => decision)).toEqual(['auto', 'auto', 'reverted', 'override']);
    for (const { sha } of commits) expect(await fresh.replay(sha)).toMatchObject({ commit: sha, same: true });
    await expect(fresh.replay('0'.repeat(40))).rejects.toMatchObject({ code: 'API_NOT_FOUND' });
    await rm(join(mesh.stateDir, 'inputs'), { recursive: true });
    await expect(fresh.replay(commits[0]!.sha)).rejects.toMatchObject({ code: 'API_NOT_FOUND' });
  });
});

describe('a person at mesh/live', () => {
  let mesh: TestMesh;
  afterEach(() => mesh.close());

  async function onLive(...commands: string[][]): Promise<void> {
    await mesh.git('fetch', '--quiet', 'origin');
    await mesh.git('checkout', '--quiet', '-B', 'live', 'origin/mesh/live');
    for (const command of commands) await mesh.git(...command);
    await mesh.git('push', '--quiet', 'origin', 'live:mesh/live');
  }

  it('takes a commit back with git revert, and the engine does not bring it back until the veto ends', async () => {
    mesh = await createTestMesh(withRoomAtTheShop);
    const engine = await mesh.engine();
    await engine.cycle();
    const before = engine.view().tunnels.map((tunnel) => tunnel.tunnel);
    mesh.demand.set(SHOP_TO_PARIS, 10);
    await engine.cycle();
    const added = engine.view().live!.commit;
    await onLive(['revert', '--no-edit', 'HEAD']);

    expect(await engine.cycle()).toMatchObject({ kind: 'commit', commit: { generation: 3, trailers: { decision: 'reverted' } } });
    expect(engine.view().tunnels.map((tunnel) => tunnel.tunnel)).toEqual(before);
    expect(engine.view().vetoes.length).toBeGreaterThan(0);
    expect(engine.view().vetoes[0]).toMatchObject({ commit: added, until: START_AT + 24 * HOUR_MS });
    expect(mesh.hub.published).toHaveLength(3);

    await mesh.clock.advance(2 * HOUR_MS);
    const fresh = await mesh.engine();
    await fresh.cycle();
    expect(fresh.view().tunnels.map((tunnel) => tunnel.path)).not.toContain(path('hamburg-gw1/dsl', 'paris-gw1/fibre'));
    const vetoed = new Set(fresh.view().vetoes.map(({ what }) => what));
    expect(fresh.view().lastDecision?.changes.some((change) => vetoed.has(change))).toBe(false);

    await mesh.clock.advance(23 * HOUR_MS);
    expect(await fresh.cycle()).toMatchObject({ kind: 'commit' });
    expect(fresh.view().vetoes).toEqual([]);
    expect(fresh.view().tunnels.length).toBeGreaterThan(before.length);
  });

  it('lifts a veto by a request, and the change comes back', async () => {
    mesh = await createTestMesh(withRoomAtTheShop);
    const engine = await mesh.engine();
    await engine.cycle();
    mesh.demand.set(SHOP_TO_PARIS, 10);
    await engine.cycle();
    const withTunnel = engine.view().tunnels.length;
    await onLive(['revert', '--no-edit', 'HEAD']);
    await engine.cycle();
    for (const { fingerprint } of engine.view().vetoes) {
      const wish = engine.liftVeto(fingerprint);
      await engine.cycle();
      expect(await wish).toMatchObject({ ok: true });
    }
    expect(engine.view().vetoes).toEqual([]);
    await engine.cycle();
    expect(engine.view().tunnels).toHaveLength(withTunnel);
  });

  it('freezes when the plan that was pushed does not parse, and goes on when it is taken back', async () => {
    mesh = await createTestMesh();
    const engine = await mesh.engine();
    await engine.cycle();
    await onLive(['rm', '--quiet', 'plan/mesh.yaml'], ['commit', '--quiet', '-m', 'oops']);
    const frozen = await engine.cycle();
    expect(frozen).toMatchObject({ kind: 'frozen' });
    expect(engine.view().status.state).toBe('stalled');
    expect(engine.view().live?.generation).toBe(1);
    await onLive(['revert', '--no-edit', 'HEAD']);
    expect(await engine.cycle()).toMatchObject({ kind: 'commit', commit: { generation: 2, trailers: { decision: 'reverted' } } });
    expect(engine.view().vetoes).toEqual([]);
  });

  it('freezes and says so when the branch was rewritten, also after a restart', async () => {
    mesh = await createTestMesh();
    const engine = await mesh.engine();
    await engine.cycle();
    mesh.demand.set(SHOP_TO_PARIS, 10);
    await engine.cycle();
    await mesh.git('fetch', '--quiet', 'origin');
    // the hook of the local forge forbids it; a forge without protection does not
    await mesh.git('--git-dir', mesh.forgeDir, 'update-ref', 'refs/heads/mesh/live', 'refs/heads/mesh/live~1');
    expect(await engine.cycle()).toMatchObject({ kind: 'frozen' });
    const fresh = await mesh.engine();
    expect(await fresh.cycle()).toMatchObject({ kind: 'frozen' });
    expect(fresh.view().live?.generation).toBe(2);
    expect(fresh.view().status.reason).toContain('rewritten');
  });
});
