import { assert, property } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { contradictions } from '../../../agent/sync/contradictions.ts';
import { checkNodeConfig } from '../../../agent/sync/node-config-schema.ts';
import { plan } from '../../../src/planner/index.ts';
import { renderFiles, renderNodes } from '../../../src/render/index.ts';
import { situationArbitrary } from '../../support/intent-arbitrary.ts';

describe('what the engine renders', () => {
  it('is accepted by the agent’s schema for any mesh, free of contradictions, and reads back as it was', () => {
    assert(
      property(situationArbitrary, (inputs) => {
        const planned = plan(inputs);
        const files = renderFiles(inputs.intent, planned.plan, planned.report);
        for (const config of renderNodes(inputs.intent, planned.plan)) {
          const text = files.get(`plan/nodes/${config.node}.yaml`)!;
          expect(text).not.toMatch(/[&*]a[0-9]/);
          expect(checkNodeConfig(parse(text))).toEqual({ ok: true, config });
          expect(contradictions(config)).toEqual([]);
        }
      }),
      { numRuns: 60 },
    );
  });
});
