import type { Intent, PathId, Plan, SiteId, TunnelId } from '../../model/index.ts';
import { uplinksOfPath } from '../../model/index.ts';
import type { Sender, SenderSpec, World } from '../world.ts';
import type { engineOf } from './engine-words.ts';
import type { TeamRepository } from './mesh-repository.ts';
import type { PeakWatch } from './peak-watch.ts';
import type { Screen } from './screen.ts';

/** Everything a step may use, and where it leaves what it found. */
export interface Demo {
  readonly world: World;
  readonly repository: TeamRepository;
  readonly intent: Intent;
  readonly screen: Screen;
  readonly engine: ReturnType<typeof engineOf>;
  readonly senders: Map<string, Sender>;
  readonly senderSpecs: readonly SenderSpec[];
  peak: PeakWatch | null;
  /** Measured figures by name; the summary and the tests read them. */
  readonly facts: Map<string, number | string>;
  readonly failures: string[];
}

/** A statement on screen with its mark; one that does not hold fails the demo at its end, not at once. */
export function check(demo: Demo, holds: boolean, text: string): void {
  if (holds) demo.screen.holds(text);
  else {
    demo.screen.fails(text);
    demo.failures.push(text);
  }
}

export function note(demo: Demo, fact: string, value: number | string): void {
  demo.facts.set(fact, value);
}

/** Waits for something of the world; null after the limit is a failure with the given words. */
export async function await_<T>(demo: Demo, what: string, limitMs: number, look: () => Promise<T | null | undefined | false>): Promise<T | null> {
  demo.screen.busy(what);
  const found = await demo.world.until(look, limitMs);
  if (found === null) check(demo, false, `waited ${Math.round(limitMs / 1000)} s in vain: ${what} (${await engineState(demo)})`);
  return found;
}

/** What the engine is at, for the words of a failure. */
async function engineState(demo: Demo): Promise<string> {
  const { status, lastDecision } = await demo.engine.status();
  const reasons = (lastDecision?.verdict.reasons ?? []).map(({ code, message }) => `${code} ${message}`);
  return [`${status.state}: ${status.reason}`, ...(lastDecision ? [`last decision ${lastDecision.kind}`] : []), ...reasons, ...(lastDecision?.changes ?? []).slice(0, 12)].join('; ');
}

export function planOf(answer: { plan: Plan | null }): Plan {
  if (!answer.plan) throw new Error('the engine has no plan');
  return answer.plan;
}

/** `berlin fibre ~ aws-fra eip-a`: a path in the words of the intent. */
export function pathInWords(path: PathId): string {
  return uplinksOfPath(path)
    .map((uplink) => uplink.replace('/', ' '))
    .join(' ~ ');
}

/** Tunnels between two sites that may carry traffic while all is well: those of standby gateways are not among them. */
export function tunnelsBetween(plan: Plan, one: SiteId, other: SiteId): Plan['tunnels'] {
  const isServing = ({ site, node }: Plan['tunnels'][number]['a']): boolean => plan.servingNodes.some((serving) => serving.site === site && serving.node === node);
  return plan.tunnels.filter(({ a, b }) => isServing(a) && isServing(b)).filter(({ a, b }) => (a.site === one && b.site === other) || (a.site === other && b.site === one));
}

/** The tunnels that carry a class of a pair, heaviest first. */
export function carriersOf(plan: Plan, from: SiteId, to: SiteId, classId: string): TunnelId[] {
  const weights = new Map<TunnelId, number>();
  for (const assignment of plan.assignments) {
    if (assignment.from !== from || assignment.to !== to || assignment.classId !== classId) continue;
    for (const route of assignment.routes) for (const tunnel of route.tunnels) weights.set(tunnel, (weights.get(tunnel) ?? 0) + route.weight);
  }
  return [...weights].sort((left, right) => right[1] - left[1] || (left[0] < right[0] ? -1 : 1)).map(([tunnel]) => tunnel);
}

/** True when every tunnel of the plan is up at both ends and every node runs the live generation. */
export async function isApplied(demo: Demo, generation: number, cut?: TunnelId): Promise<boolean> {
  const status = await demo.engine.status();
  return (
    status.live !== null &&
    status.live.generation >= generation &&
    status.nodes.length > 0 &&
    status.nodes.every((node) => node.connected && node.generation >= status.live!.generation) &&
    status.tunnels.every(({ tunnel, ends }) => tunnel === cut || (ends.length === 2 && ends.every((end) => end.childState === 'INSTALLED')))
  );
}

/** True when the underlay sees a call's packets on the path, not probes alone; takes a second. */
export async function carries({ world }: Demo, path: PathId): Promise<boolean> {
  const count = async (): Promise<number> => (await world.underlay()).paths.find((entry) => entry.path === path)?.espPackets ?? 0;
  const before = await count();
  await world.pass(1000);
  return (await count()) - before > 300;
}
