import { createLog, createRng } from '../../../src/base/index.ts';
import { createAgentHub, type AgentHub } from '../../../src/channel/index.ts';
import { createInlineForecaster } from '../../../src/forecast/index.ts';
import { classId, nodeId, siteId, type AgentMessage, type DemandSeries, type NodeId, type Plan, type Sample, type SiteId, type TunnelId } from '../../../src/model/index.ts';
import type { Engine, EngineView } from '../../../src/reconcile/index.ts';
import { watchTraining } from '../../support/watch-training.ts';
import { createTestMesh, type TestMesh } from '../support.ts';

/** A slot, which is also the window in which reports are held against each other; a day has 24 of them. */
export const SLOT_MS = 900_000;
export const SLOTS_PER_DAY = 24;
export const UPLINK_MBPS = 50;
const PAST_DAYS = 4;
const CLASS = classId('default');

/** What a gateway makes of its true samples. */
export type Lie = (samples: readonly Sample[], slot: number) => readonly Sample[];

/**
 * The whole engine (Git, Rego, hub, store, forecaster, cycle) over sites of one gateway each, whose gateways count what
 * their hosts offer and what goes over the tunnels of the live plan, and tell it, or something else. Time passes in slots.
 */
export interface ToldMesh {
  readonly mesh: TestMesh;
  readonly sites: readonly SiteId[];
  /** By site; none tells the truth. */
  readonly lies: Map<SiteId, Lie>;
  /** What each training was given. */
  readonly trainings: { history: readonly DemandSeries[]; endAt: number }[];
  engine(): Engine;
  view(): EngineView;
  /** Slots in which all gateways report, and the engine has a cycle after every `cycleEvery`-th; 0: it is down. */
  pass(slots: number, cycleEvery?: number): Promise<void>;
  /** Mbit/s that hosts really want. */
  truth(from: SiteId, to: SiteId, slot: number): number;
  slot(): number;
  restart(): Promise<void>;
  close(): Promise<void>;
}

export const gateway = (site: SiteId): NodeId => nodeId(`${site}-gw1`);

export async function createToldMesh(siteCount: number): Promise<ToldMesh> {
  const sites = Array.from({ length: siteCount }, (_, index) => siteId(`s${index}`));
  const mesh = await createTestMesh((file, text) => (file.startsWith('mesh-config/') && file !== 'mesh-config/security.yaml' ? null : text));
  await mesh.pushMain(meshFiles(sites), 'a mesh of its own');
  const hub = createAgentHub({ store: mesh.store, clock: mesh.clock, log: createLog('test', 'silent') });
  const trainings: ToldMesh['trainings'] = [];
  const forecaster = watchTraining(await createInlineForecaster({ models: ['ewma', 'seasonal-naive'] }), ({ history, endAt }) => trainings.push({ history, endAt }));
  const truth = truthOf(sites);
  const history = pastOf(sites, truth, Math.floor(mesh.clock.now() / SLOT_MS));
  const start = (): Promise<Engine> => mesh.engine({ deps: { hub, forecaster, history: () => history } });
  let engine = await start();
  const tell = await connectAll(hub, sites);
  const lies = new Map<SiteId, Lie>();
  const slotNow = (): number => Math.floor(mesh.clock.now() / SLOT_MS);
  const sequences = new Map<SiteId, number>();

  async function pass(slots: number, cycleEvery = 1): Promise<void> {
    for (let passed = 1; passed <= slots; passed++) {
      const slot = slotNow();
      await mesh.clock.advance(SLOT_MS);
      const plan = engine.view().plan;
      for (const site of sites) {
        const told = lies.get(site)?.(samplesOf(site, sites, plan, slot, truth), slot) ?? samplesOf(site, sites, plan, slot, truth);
        const sequence = (sequences.get(site) ?? 0) + 1;
        sequences.set(site, sequence);
        if (told.length > 0) await tell.get(site)!({ type: 'samples', sequence, samples: [...told] });
      }
      if (cycleEvery > 0 && passed % cycleEvery === 0) await engine.cycle();
      await engine.trained();
    }
  }

  await engine.cycle();
  await engine.trained();
  return {
    mesh, sites, lies, trainings, truth, pass,
    slot: slotNow,
    engine: () => engine,
    view: () => engine.view(),
    async restart() {
      await engine.close();
      engine = await start();
    },
    async close() {
      await mesh.close();
      await forecaster.close();
    },
  };
}

/** A day curve with some chance; every pair has a size of its own, 0.5…2 Mbit/s. */
function truthOf(sites: readonly SiteId[]): ToldMesh['truth'] {
  const sizes = new Map<string, number>();
  for (const from of sites) for (const to of sites) sizes.set(`${from}>${to}`, 0.5 + 1.5 * createRng(`size ${from}>${to}`).next());
  return (from, to, slot) => {
    if (from === to) return 0;
    const day = 1 + 0.5 * Math.sin((2 * Math.PI * slot) / SLOTS_PER_DAY);
    return sizes.get(`${from}>${to}`)! * day * Math.exp(0.08 * createRng(`${from}>${to} ${slot}`).gaussian());
  };
}

/** Recorded days before the mesh began, so that models have something to learn from. */
function pastOf(sites: readonly SiteId[], truth: ToldMesh['truth'], untilSlot: number): { series: DemandSeries[]; endAt: number } {
  const slots = PAST_DAYS * SLOTS_PER_DAY;
  const series = sites.flatMap((from) => sites.filter((to) => to !== from).map((to) => ({ from, to, classId: CLASS, mbps: Array.from({ length: slots }, (_, index) => truth(from, to, untilSlot - slots + index)) })));
  return { series, endAt: untilSlot * SLOT_MS };
}

/** What a truthful gateway of a site tells of a slot: what its hosts offered, and what went over its tunnels. */
function samplesOf(site: SiteId, sites: readonly SiteId[], plan: Plan | null, slot: number, truth: ToldMesh['truth']): Sample[] {
  const node = gateway(site);
  const of = { node, sampledAt: (slot + 1) * SLOT_MS, windowMs: SLOT_MS };
  const bytesOf = (mbps: number): number => Math.round((mbps * 1000 * SLOT_MS) / 8);
  const offered = sites.filter((to) => to !== site).map((to): Sample => ({ ...of, kind: 'traffic', from: site, to, classId: CLASS, offeredBytes: bytesOf(truth(site, to, slot)), offeredPackets: 1000, droppedBytes: 0 }));
  const carried = carriedBy(plan, node, slot, truth);
  const tunnels = (plan?.tunnels ?? []).filter(({ a, b }) => a.node === node || b.node === node);
  return [
    ...offered,
    ...tunnels.flatMap(({ id, path, a, b }): Sample[] => [
      { ...of, kind: 'tunnel', tunnel: id, rxBytes: bytesOf(carried.rx.get(id) ?? 0), txBytes: bytesOf(carried.tx.get(id) ?? 0) },
      { ...of, kind: 'path', peer: a.node === node ? b.node : a.node, tunnel: id, path, state: 'up', latencyMs: 30, jitterMs: 1, lossForwardRatio: 0, lossReverseRatio: 0 },
    ]),
  ];
}

/** Mbit/s over each tunnel as one of its ends counts it, with the tunnel's own headers. */
function carriedBy(plan: Plan | null, node: NodeId, slot: number, truth: ToldMesh['truth']): { rx: Map<TunnelId, number>; tx: Map<TunnelId, number> } {
  const carried = { rx: new Map<TunnelId, number>(), tx: new Map<TunnelId, number>() };
  const ends = new Map((plan?.tunnels ?? []).map(({ id, a, b }) => [id, [a.node, b.node] as const]));
  for (const { from, to, routes } of plan?.assignments ?? []) {
    const weights = routes.reduce((sum, { weight }) => sum + weight, 0);
    for (const { tunnels, weight } of routes) {
      const mbps = (1.03 * truth(from, to, slot) * weight) / weights;
      let at = gateway(from);
      for (const id of tunnels) {
        const next = ends.get(id)!.find((end) => end !== at)!;
        if (at === node) carried.tx.set(id, (carried.tx.get(id) ?? 0) + mbps);
        if (next === node) carried.rx.set(id, (carried.rx.get(id) ?? 0) + mbps);
        at = next;
      }
    }
  }
  return carried;
}

async function connectAll(hub: AgentHub, sites: readonly SiteId[]): Promise<Map<SiteId, (message: AgentMessage) => Promise<void>>> {
  const tell = new Map<SiteId, (message: AgentMessage) => Promise<void>>();
  for (const site of sites) {
    const receive = hub.attach({ node: gateway(site), send: () => undefined, close: () => undefined });
    await receive({ type: 'hello', node: gateway(site), version: 'test', generation: 0, commit: null });
    tell.set(site, receive);
  }
  return tell;
}

/** A gateway that multiplies what it reports of offered traffic, of its tunnels, or of both. */
export function times(factor: number, what: 'all' | 'offered' = 'all'): Lie {
  const by = (bytes: number): number => Math.round(bytes * factor);
  return (samples) =>
    samples.map((sample): Sample => {
      if (sample.kind === 'traffic') return { ...sample, offeredBytes: by(sample.offeredBytes) };
      return sample.kind === 'tunnel' && what === 'all' ? { ...sample, rxBytes: by(sample.rxBytes), txBytes: by(sample.txBytes) } : sample;
    });
}

/** By pair: what is provided for, Mbit/s. */
export function forecastOf(view: EngineView): Map<string, number> {
  return new Map(view.forecasts.map(({ pair, p95PeakMbps }) => [pair, p95PeakMbps]));
}

function meshFiles(sites: readonly SiteId[]): Record<string, string> {
  const head = (kind: string, name: string): string => `apiVersion: foremesh/v1\nkind: ${kind}\nname: ${name}\n`;
  const uplink = (name: string, index: number, port: number): string => `      - { name: ${name}, provider: ${name}-co, interface: isp${port}, address: 100.64.${port}.${index + 1}, up: ${UPLINK_MBPS}Mbps, down: ${UPLINK_MBPS}Mbps }\n`;
  return {
    'mesh-config/mesh.yaml': `${head('Mesh', 'told')}cycle: 60s
overlayPrefix: 172.30.0.0/16
protectedPrefixes: [10.0.0.0/8, 172.30.0.0/16]
utilisationMax: 80%
idleTimeout: 30m
hold: 10m
forecast: { slot: 15m, slotsPerDay: ${SLOTS_PER_DAY}, horizonSlots: 4, provision: p95 }
telemetry: { sampleInterval: 10s }
autoApply: { tunnelsMax: 60, sitesMax: 20, trafficShareMax: 100%, changesPerHourMax: 100 }
`,
    'mesh-config/classes.yaml': `${head('TrafficClass', 'default')}priority: 1\nsla: { latencyMax: 500ms, lossMax: 5% }\nprotection: none\n`,
    'mesh-config/connections.yaml': `${head('Connection', 'everyone')}between: ['*', '*']\nmode: auto\nsecurityProfile: standard\n`,
    ...Object.fromEntries(
      sites.map((site, index) => [
        `mesh-config/sites/${site}.yaml`,
        `${head('Site', site)}location: { city: ${site}, country: DE, latitude: ${50 + index / 10}, longitude: 10 }
provider: onprem
region: r${index}
prefixes: [10.${index + 1}.0.0/24]
nodes:
  - name: ${site}-gw1
    tunnelsMax: 40
    lan: { interface: lan, address: 10.${index + 1}.0.1/24 }
    uplinks:
${uplink('fibre', index, 1)}${uplink('cable', index, 2)}`,
      ]),
    ),
  };
}
