import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../../src/base/index.ts';
import { classId, type ClassId } from '../../../src/model/index.ts';
import { createProbeLink } from '../../support/probe-link.ts';

const voice: ClassId = classId('voice');
const bulk: ClassId = classId('bulk');
const settings = {
  intervalMs: 50,
  downAfter: 3,
  holdDownMs: 5_000,
  holdDownMaxMs: 5_000,
  classes: [
    { classId: voice, latencyMaxMs: 40, lossMaxRatio: 0.01 },
    { classId: bulk, latencyMaxMs: 400, lossMaxRatio: 0.05 },
  ],
};

async function runningLink(direction = {}) {
  const clock = new VirtualClock();
  const link = createProbeLink(clock, settings, direction, 'sla');
  for (const end of [link.a, link.b]) end.setInUse(true);
  await clock.advance(12_000);
  return { clock, link };
}

describe('the SLA of a class', () => {
  it('is kept by a path that is good enough, although it is neither fast nor free of loss', async () => {
    const { clock, link } = await runningLink({ delayMs: 15, jitterMs: 4, lossRatio: 0.002 });
    await clock.advance(600_000);
    expect([link.a.violated(), link.b.violated()]).toEqual([[], []]);
  });

  it('is broken for voice alone when the path gets slower than voice can bear, within three seconds, and the path stays up', async () => {
    const { clock, link } = await runningLink();
    link.forward.delayMs = 35;
    await clock.advance(3_000);
    expect([link.a.violated(), link.b.violated()]).toEqual([[voice], [voice]]);
    expect(link.a.state()).toBe('up');
    link.forward.delayMs = 10;
    await clock.advance(5_000);
    expect(link.a.violated()).toEqual([voice]);
    await clock.advance(5_000);
    expect([link.a.violated(), link.b.violated()]).toEqual([[], []]);
  });

  it('is broken by three per cent of traffic lost, which is no brown-out, at the sending end', async () => {
    const { clock, link } = await runningLink({ trafficPps: 1000 });
    link.forward.trafficLossRatio = 0.03;
    await clock.advance(8_000);
    expect(link.a.violated()).toEqual([voice]);
    expect(link.a.state()).toBe('up');
  });

  it('is broken by three per cent of probes lost one way, at both ends', async () => {
    const { clock, link } = await runningLink();
    link.reverse.lossRatio = 0.03;
    await clock.advance(20_000);
    expect([link.a.violated(), link.b.violated()]).toEqual([[voice], [voice]]);
    expect(link.a.state()).toBe('up');
  });

  it('is not judged by a few lost packets, nor for a class that has none', async () => {
    const { clock, link } = await runningLink();
    link.forward.down = true;
    await clock.advance(80);
    link.forward.down = false;
    await clock.advance(20_000);
    expect(link.a.violated()).toEqual([]);
    link.a.retune({ ...settings, classes: [] });
    link.forward.delayMs = 35;
    await clock.advance(5_000);
    expect(link.a.violated()).toEqual([]);
  });
});
