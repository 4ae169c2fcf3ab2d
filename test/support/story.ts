import { expect, it } from 'vitest';
import { startPeakWatch, STORY, type Demo, type PreparedDemo, type Screen } from '../../src/lab/index.ts';

/** A screen that keeps what was written, for the message of a failed test. */
export function recordingScreen(): Screen & { text(): string } {
  const lines: string[] = [];
  const keep = (text: string): void => void lines.push(text);
  return { title: keep, step: (number, _total, title) => keep(`${number} ${title}`), say: keep, command: keep, evidence: keep, holds: (text) => keep(`ok ${text}`), fails: (text) => keep(`FAILS ${text}`), busy: () => undefined, text: () => lines.join('\n') };
}

/** What packets must have shown after a step; figures come from receivers and from the underlay. */
const EXPECTATIONS: Record<number, (demo: Demo) => Promise<void>> = {
  4: async ({ world, facts }) => {
    const underlay = await world.underlay();
    expect(Number(facts.get('espPackets'))).toBeGreaterThan(1000);
    expect(underlay).toMatchObject({ clearTextPackets: 0, clearTextSeen: [] });
    for (const { path, espPackets } of underlay.paths.filter((entry) => entry.ikePackets > 0)) expect(espPackets, path).toBeGreaterThan(0);
  },
  5: async ({ facts, senders }) => {
    const report = await senders.get('reports')!.report();
    expect(report.received).toBeGreaterThan(5000);
    expect(report.lost).toBe(0);
    expect(Number(facts.get('leadSeconds'))).toBeGreaterThan(0);
  },
  6: async ({ senders, facts }) => {
    expect(Number(facts.get('proposalTunnelsMoved'))).toBeGreaterThan(2);
    for (const name of ['tills', 'directory']) expect((await senders.get(name)!.report()).mbps, name).toBeGreaterThan(0.2);
  },
  7: async ({ facts, senders, world }) => {
    expect(Number(facts.get('outageMs'))).toBeLessThanOrEqual(1000);
    expect((await senders.get('calls')!.report()).mbps).toBeGreaterThan(0.2);
    expect(await world.underlay()).toMatchObject({ clearTextPackets: 0, clearTextSeen: [] });
  },
  8: async ({ facts, senders, world }) => {
    expect(Number(facts.get('idleSeconds'))).toBeGreaterThanOrEqual(10);
    await world.pass(1500); // receivers count what was sent half a second ago, and the step has just begun a new count
    expect((await senders.get('hotline')!.report()).received).toBeGreaterThan(0);
  },
  9: async ({ facts, intent, world }) => {
    const generations = await Promise.all(intent.sites.flatMap(({ nodes }) => nodes).map(async ({ id }) => (await world.nodeState(id)).generation));
    expect(new Set(generations).size).toBe(1);
    expect(facts.get('revertReturned')).toBe(0);
  },
  10: async ({ world, intent, facts }) => {
    for (const { id } of intent.sites.flatMap(({ nodes }) => nodes)) {
      for (const sa of await world.listSas(id)) expect(`${sa.ikeSuite} ${sa.espSuite}`).not.toMatch(/3des/i);
      expect((await world.nodeState(id)).leakPackets).toBe(0);
    }
    expect(facts.get('overrideExpired')).toBe(1);
    expect(await world.underlay()).toMatchObject({ clearTextPackets: 0, clearTextSeen: [] });
  },
};

/** One test a step, in order; a step that fails is shown with its screen. @param left  numbers of steps that are not told */
export function describeStory(prepared: () => PreparedDemo, screen: { text(): string }, left: readonly number[] = []): void {
  for (const [index, step] of STORY.entries()) {
    if (left.includes(index + 1)) continue;
    it(`${index + 1}. ${step.title}`, async () => {
      const { demo } = prepared();
      const earlier = demo.failures.length;
      await step.run(demo);
      if (index === 2) startPeakWatch(demo);
      expect(demo.failures.slice(earlier), screen.text()).toEqual([]);
      await EXPECTATIONS[index + 1]?.(demo);
    });
  }
}
