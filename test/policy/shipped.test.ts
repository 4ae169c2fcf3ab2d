import { afterAll, describe, expect, it } from 'vitest';
import { formatFinding, type SourceFile } from '../../src/base/index.ts';
import { findingsOfVerdict, loadIntent, readConfigFolder, type LocatedIntent } from '../../src/intent/index.ts';
import {
  classId,
  EMPTY_PLAN,
  findUplink,
  nodeOfUplink,
  NO_REGRET,
  nodesOf,
  pairId,
  pathId,
  siteId,
  tunnelId,
  type Anomaly,
  type Assignment,
  type Cause,
  type Change,
  type ChangeInput,
  type Intent,
  type Plan,
  type PlanReport,
  type Tunnel,
  type TunnelEnd,
  type UplinkId,
} from '../../src/model/index.ts';
import { changeInput, createPolicyRunner, intentInput, planInput, readPolicyFolder } from '../../src/policy/index.ts';
import { compiled } from './support.ts';

const NOW = Date.UTC(2026, 10, 22);
const exampleFiles = await readConfigFolder('.');
const runner = await createPolicyRunner(await compiled(await readPolicyFolder('.')), { timeoutMs: 10_000 });
afterAll(() => runner.close());

function located(files: readonly SourceFile[]): LocatedIntent {
  const result = loadIntent(files, null);
  if (!result.ok) throw new Error(result.findings.map(formatFinding).join('\n'));
  return result.value;
}

const { intent } = located(exampleFiles);

const REPORT: PlanReport = { plannedAt: NOW, forecastModel: 'ewma', demands: [], tunnels: [], removed: [], unplaced: [], refused: [], waiting: [], usdPerMonth: 0 };

function tunnel(one: string, other: string, securityProfile = 'standard'): Tunnel {
  const [a, b] = [one, other].sort() as [UplinkId, UplinkId];
  const end = (uplink: UplinkId): TunnelEnd => {
    const node = nodesOf(intent).find(({ id }) => id === nodeOfUplink(uplink))!;
    return { node: node.id, site: node.site, uplink, address: findUplink(intent, uplink)!.address, overlay: '172.30.0.1' };
  };
  const path = pathId(a, b);
  return { id: tunnelId(path, securityProfile), path, index: 0, a: end(a), b: end(b), securityProfile, plannedAt: NOW };
}

function carry(from: string, to: string, trafficClass: string, route: readonly Tunnel[], ...backups: Tunnel[][]): Assignment {
  const ids = (tunnels: readonly Tunnel[]) => tunnels.map(({ id }) => id);
  return { from: siteId(from), to: siteId(to), classId: classId(trafficClass), routes: [{ tunnels: ids(route), weight: 100 }], backups: backups.map(ids) };
}

function planOf(tunnels: Tunnel[], assignments: Assignment[] = [], more: Partial<Plan> = {}): Plan {
  return { ...EMPTY_PLAN, mesh: 'example', securityProfiles: intent.securityProfiles, tunnels, assignments, ...more };
}

async function judge(plan: Plan, on: Intent = intent): Promise<string> {
  const verdict = await runner.evaluate('plan', planInput(on, plan, planOf([]), REPORT, NOW));
  return [verdict.decision, ...verdict.reasons.map(({ code, object }) => `${code} ${object.kind} ${object.name}`)].join('\n');
}

const SURGE: Anomaly = { id: 'a-1', kind: 'surge', from: siteId('berlin'), to: siteId('paris'), classId: classId('bulk'), startAt: NOW, lastAt: NOW, endedAt: null, severity: 'high', score: 3, expectedMbps: 1, seenMbps: 20, words: 'much' };

const fibre = tunnel('berlin-gw1/fibre', 'paris-gw1/fibre', 'strong');
const cable = tunnel('berlin-gw1/cable', 'paris-gw1/cable', 'strong');

describe('the intent policy', () => {
  it('allows the example mesh, and says that one site has no second uplink', async () => {
    const verdict = await runner.evaluate('intent', intentInput(intent, NOW));
    expect(verdict.decision).toBe('allow');
    expect(verdict.reasons.map(({ code, object }) => `${code} ${object.name}`)).toEqual(['INTENT_UPLINK_SINGLE azure-weu']);
    expect(verdict.rulesRun).toContain('INTENT_CIPHER_WEAK');
  });

  it('refuses a weak cipher with the place in the YAML', async () => {
    const files = exampleFiles.map((one) => (one.file.endsWith('security.yaml') ? { ...one, text: one.text.replace('esp:\n  - { encryption: aes128gcm16, group', 'esp:\n  - { encryption: 3des, integrity: sha1, group') } : one));
    const changed = located(files);
    const verdict = await runner.evaluate('intent', intentInput(changed.intent, NOW));
    expect(verdict.decision).toBe('deny');
    const lines = findingsOfVerdict(verdict, changed).filter(({ severity }) => severity === 'error').map((one) => formatFinding(one).split('   fix:')[0]);
    const line = files.find(({ file }) => file.endsWith('security.yaml'))!.text.split('\n').findIndex((text) => text.includes('3des')) + 1;
    expect(lines).toEqual([
      `mesh-config/security.yaml:${line}:36  INTENT_CIPHER_UNAUTHENTICATED  security profile "standard": 3des with integrity "sha1" lets packets be forged`,
      `mesh-config/security.yaml:${line}:19  INTENT_CIPHER_WEAK  security profile "standard" offers encryption "3des": 3DES has 64-bit blocks, which leak after some gigabytes (Sweet32)`,
      `mesh-config/security.yaml:${line}:36  INTENT_CIPHER_WEAK  security profile "standard" offers integrity "sha1": SHA-1 is broken`,
      `mesh-config/security.yaml:${line}:19  INTENT_LEVEL_OVERSTATED  security profile "standard" claims level 2 with encryption "3des"`,
    ]);
  });
});

describe('the plan policy', () => {
  it('allows a sound plan', async () => {
    expect(await judge(planOf([fibre, cable], [carry('berlin', 'paris', 'voice', [fibre], [cable]), carry('paris', 'berlin', 'voice', [fibre], [cable])]))).toBe('allow');
  });

  it('allows the empty plan', async () => {
    expect(await judge(planOf([]))).toBe('allow');
  });

  it('refuses a tunnel between sites that may not talk, and names it so that it can be planned around', async () => {
    const forbidden = tunnel('hamburg-gw1/dsl', 'azure-weu-gw1/pip');
    expect(await judge(planOf([forbidden]))).toBe(`deny\nPLAN_PAIR_NOT_ADMITTED Tunnel ${forbidden.id}`);
  });

  it('refuses a relay where the connection denies relays', async () => {
    const hops = [tunnel('hamburg-gw1/dsl', 'berlin-gw1/fibre'), tunnel('berlin-gw1/fibre', 'paris-gw1/fibre')];
    expect(await judge(planOf(hops, [carry('hamburg', 'paris', 'bulk', hops)]))).toBe('deny\nPLAN_RELAY_DENIED Pair hamburg>paris');
  });

  it('refuses a relay by a site that does not offer it', async () => {
    const hops = [tunnel('berlin-gw1/fibre', 'paris-gw1/fibre'), tunnel('paris-gw1/fibre', 'aws-fra-gw1/eip-a')];
    expect(await judge(planOf(hops, [carry('berlin', 'aws-fra', 'bulk', hops)]))).toBe('deny\nPLAN_RELAY_UNWILLING Site paris');
  });

  it('refuses a tunnel that is weaker than its connection asks for', async () => {
    const weak = tunnel('berlin-gw1/fibre', 'paris-gw1/fibre', 'standard');
    expect(await judge(planOf([weak], [carry('berlin', 'paris', 'bulk', [weak])]))).toBe(`deny\nPLAN_SECURITY_LEVEL Tunnel ${weak.id}`);
  });

  it('refuses more tunnels than a node holds', async () => {
    const many = ['berlin-gw1/fibre', 'berlin-gw1/cable', 'paris-gw1/fibre', 'paris-gw1/cable'].map((far) => tunnel('hamburg-gw1/dsl', far));
    expect(await judge(planOf(many))).toBe('deny\nPLAN_TUNNEL_LIMIT Node hamburg-gw1');
  });

  it('refuses admission that the intent does not give', async () => {
    expect(await judge(planOf([], [], { admitted: [[siteId('azure-weu'), siteId('hamburg')]] }))).toBe('deny\nPLAN_ADMISSION_UNFOUNDED Pair azure-weu>hamburg');
  });

  it('warns of a protected class without a backup in one of the two directions', async () => {
    expect(await judge(planOf([fibre, cable], [carry('berlin', 'paris', 'voice', [fibre], [cable]), carry('paris', 'berlin', 'voice', [fibre])]))).toBe('allow\nPLAN_BACKUP_MISSING Pair berlin>paris');
  });

  it('refuses an override without an end within a day', async () => {
    const override = { id: 'o1', what: { kind: 'avoid-path', path: fibre.path }, until: NOW + 90_000_000, why: 'works', by: 'ada' } as const;
    expect(await judge(planOf([], [], { overrides: [override] }))).toBe('deny\nPLAN_OVERRIDE_UNBOUNDED Override o1');
  });

  it('names growth that rests on unusual traffic, and does not stop it', async () => {
    const plan = planOf([fibre], [carry('berlin', 'paris', 'bulk', [fibre])]);
    const verdict = await runner.evaluate('plan', planInput(intent, plan, planOf([]), REPORT, NOW, [], [SURGE]));
    expect(verdict.decision).toBe('allow');
    expect(verdict.reasons.map(({ code, object }) => `${code} ${object.name}`)).toEqual([`PLAN_GROWTH_UNUSUAL ${fibre.id}`]);
    const again = await runner.evaluate('plan', planInput(intent, plan, plan, REPORT, NOW, [], [SURGE]));
    expect(again.reasons).toEqual([]);
  });

  it('denies a plan that names a site the intent does not have', async () => {
    const stray = { ...fibre, a: { ...fibre.a, site: siteId('rome') } };
    expect(await judge(planOf([stray]))).toMatch(/^deny\nPOLICY_INPUT_INVALID/);
  });
});

describe('the change policy', () => {
  const small: ChangeInput['changeset'] = { digest: 'sha256:1', impact: 'none', changes: [], tunnelsAdded: 1, tunnelsRemoved: 0, tunnelsMoved: 0, sitesTouched: [], trafficMovedShare: 0, usdPerMonthDelta: 0 };
  const change = (cause: Cause, more: Partial<ChangeInput['changeset']> = {}, rest: Partial<ChangeInput> = {}): ChangeInput => ({
    now: NOW,
    cause,
    changeset: { ...small, ...more },
    unapproved: { ...small, ...more },
    forecast: { model: 'lstm', wape: 0.2, drift: 0, confidence: 1, regret: NO_REGRET },
    changesLastHour: 0,
    anomalies: [],
    autoApply: intent.mesh.autoApply,
    vetoes: [],
    ...rest,
  });
  const decisionOn = async (input: ChangeInput) => (await runner.evaluate('change', changeInput(input))).decision;

  it('allows a small change, asks for a large one, and allows the large one once approved', async () => {
    expect(await decisionOn(change('forecast'))).toBe('allow');
    expect(await decisionOn(change('forecast', { tunnelsRemoved: 40 }))).toBe('needsApproval');
    expect(await decisionOn(change('forecast', { tunnelsRemoved: 40 }, { unapproved: small }))).toBe('allow');
  });

  it('asks when a pull request removes every tunnel at once', async () => {
    expect(await decisionOn(change('intent', { tunnelsRemoved: 12, sitesTouched: intent.sites.map(({ id }) => id) }))).toBe('needsApproval');
  });

  it('asks before a forecast builds a tunnel for a severe surge, and not for a repair', async () => {
    const added: Change = { key: { kind: 'tunnel-add', path: fibre.path, securityProfile: 'strong' }, fingerprint: 'f', impact: 'none', summary: `+ tunnel ${fibre.path}`, tunnel: fibre.id, pair: pairId(siteId('berlin'), siteId('paris')), classId: null, paths: [fibre.path], nodes: [] };
    expect(await decisionOn(change('forecast', { changes: [added] }, { anomalies: [SURGE] }))).toBe('needsApproval');
    expect(await decisionOn(change('failure', { changes: [added] }, { anomalies: [SURGE] }))).toBe('allow');
    expect(await decisionOn(change('forecast', { changes: [added] }, { anomalies: [{ ...SURGE, severity: 'medium' }] }))).toBe('allow');
  });

  it('denies figures that are no numbers', async () => {
    expect(await decisionOn(change('forecast', { trafficMovedShare: NaN }))).toBe('deny');
  });
});
