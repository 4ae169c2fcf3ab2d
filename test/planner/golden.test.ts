import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { checkPlan, plan } from '../../src/planner/index.ts';
import { diff, renderFiles } from '../../src/render/index.ts';
import { expectFile } from '../support/expect-file.ts';
import { listStories, playStory, readStory } from '../support/golden.ts';

const GOLDEN = new URL('../golden/', import.meta.url).pathname;

describe('golden stories', () => {
  it.each(listStories())('%s gives the expected plan, report, changeset and node configs', (name) => {
    const { intent, plan: planned, report, inputs } = playStory(name).at(-1)!;
    const files = renderFiles(intent, planned, report);
    const changeset = diff(intent, inputs.previous, planned, inputs.forecast);
    const expected = join(GOLDEN, name, 'expected');
    expectFile(join(expected, 'plan.yaml'), files.get('plan/mesh.yaml')!);
    expectFile(join(expected, 'report.md'), files.get('plan/report.md')!);
    expectFile(join(expected, 'changeset.yaml'), stringify(changeset, { aliasDuplicateObjects: false, lineWidth: 0 }));
    for (const node of readStory(name).show) expectFile(join(expected, `${node}.yaml`), files.get(`plan/nodes/${node}.yaml`)!);
  });

  it.each(listStories())('%s: every step passes the checker, and planning again a cycle later changes nothing', (name) => {
    for (const step of playStory(name)) {
      expect(checkPlan(step.intent, step.plan)).toEqual([]);
      const again = plan({ ...step.inputs, previous: step.plan, now: step.inputs.now + step.intent.mesh.cycleMs });
      expect(again.plan).toEqual(step.plan);
    }
  });
});
