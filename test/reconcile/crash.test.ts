import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { digest } from '../../src/base/index.ts';
import { pathId, type PairId, type UplinkId } from '../../src/model/index.ts';
import { readMarker, type Checkpoint, type Engine } from '../../src/reconcile/index.ts';
import { createTestMesh, START_AT, type TestMesh } from './support.ts';

const SHOP_TO_PARIS = 'hamburg>paris#business';
const asksForAll = (file: string, text: string): string => (file === 'mesh-config/mesh.yaml' ? text.replace('tunnelsMax: 4', 'tunnelsMax: 0') : text);
/** A person's push to mesh/live. */
async function revertHead(mesh: TestMesh): Promise<void> {
  await mesh.git('fetch', '--quiet', 'origin');
  await mesh.git('checkout', '--quiet', '-B', 'live', 'origin/mesh/live');
  await mesh.git('revert', '--no-edit', 'HEAD');
  await mesh.git('push', '--quiet', 'origin', 'live:mesh/live');
}

interface Story {
  name: string;
  edit?: (file: string, text: string) => string;
  /** Brings the mesh to where the step begins. */
  before(mesh: TestMesh): Promise<void>;
  /** What happens to the engine that may die; repeated by the one after it. */
  step?: (mesh: TestMesh, engine: Engine) => Promise<unknown>;
  decisions: (string | null)[];
  proposals: string[];
}

const cycled = async (mesh: TestMesh): Promise<void> => {
  await (await mesh.engine()).cycle();
};

const STORIES: Story[] = [
  { name: 'the first plan', before: () => Promise.resolve(), decisions: ['auto'], proposals: [] },
  {
    name: 'a small change',
    before: async (mesh) => {
      await cycled(mesh);
      mesh.demand.set(SHOP_TO_PARIS, 10);
    },
    decisions: ['auto', 'auto'],
    proposals: [],
  },
  {
    name: 'the answer to a revert',
    before: async (mesh) => {
      await cycled(mesh);
      mesh.demand.set(SHOP_TO_PARIS, 10);
      await cycled(mesh);
      await revertHead(mesh);
    },
    decisions: ['auto', 'auto', null, 'reverted'],
    proposals: [],
  },
  {
    name: 'a proposal that is opened',
    edit: asksForAll,
    before: async (mesh) => {
      await cycled(mesh);
      mesh.demand.set(SHOP_TO_PARIS, 10);
    },
    decisions: ['auto'],
    proposals: ['open'],
  },
  {
    name: 'a proposal that was approved',
    edit: asksForAll,
    before: async (mesh) => {
      await cycled(mesh);
      mesh.demand.set(SHOP_TO_PARIS, 10);
      await cycled(mesh);
      await mesh.review(1, 'approve');
    },
    decisions: ['auto', 'reviewed'],
    proposals: ['merged applied'],
  },
  {
    name: 'a proposal that was rejected',
    edit: asksForAll,
    before: async (mesh) => {
      await cycled(mesh);
      mesh.demand.set(SHOP_TO_PARIS, 10);
      await cycled(mesh);
      await mesh.review(1, 'block');
    },
    decisions: ['auto'],
    proposals: ['closed rejected'],
  },
  {
    name: 'an override',
    before: cycled,
    step: async (mesh, engine) => {
      await engine.cycle();
      const path = pathId('berlin-gw1/cable' as UplinkId, 'paris-gw1/fibre' as UplinkId);
      const wish = engine.setOverride({ what: { kind: 'pin-path', pair: 'berlin>paris' as PairId, path }, until: START_AT + 600_000, why: 'test', by: 'alice' });
      await engine.cycle();
      await wish;
    },
    decisions: ['auto', 'override'],
    proposals: [],
  },
];

/** Thrown where a process would have ended: nothing after it runs. */
class Killed extends Error {}

describe('an engine that dies at any checkpoint', () => {
  let mesh: TestMesh;
  afterEach(() => mesh.close());

  it.each(STORIES)('loses nothing and does nothing twice: $name', { timeout: 300_000 }, async (story) => {
    mesh = await createTestMesh(story.edit);
    await story.before(mesh);
    const step = story.step ?? ((_mesh: TestMesh, engine: Engine) => engine.cycle());
    const snapshot = join(mesh.dir, 'snapshot');
    await cp(mesh.forgeDir, join(snapshot, 'forge'), { recursive: true });
    await cp(mesh.stateDir, join(snapshot, 'state'), { recursive: true });

    const passed: Checkpoint[] = [];
    await step(mesh, await mesh.engine({ checkpoint: (name) => void passed.push(name) }));
    const wanted = await endState();
    expect(wanted).toMatchObject({ decisions: story.decisions, proposals: story.proposals });

    for (const fatal of new Set(passed)) {
      await restore(snapshot);
      let isDead = false;
      const dying = await mesh.engine({
        checkpoint: (name) => {
          isDead ||= name === fatal;
          if (isDead) throw new Killed(name);
        },
      });
      await step(mesh, dying);
      await step(mesh, await mesh.engine());
      expect(await endState(), `killed at ${fatal}`).toEqual(wanted);
    }
  });

  async function restore(snapshot: string): Promise<void> {
    for (const [from, to] of [['forge', mesh.forgeDir], ['state', mesh.stateDir]] as const) {
      await rm(to, { recursive: true, force: true });
      await cp(join(snapshot, from), to, { recursive: true });
    }
  }

  async function endState(): Promise<unknown> {
    const history = await mesh.history();
    const generations = history.flatMap(({ generation }) => (generation === null ? [] : [generation]));
    expect(generations).toEqual(generations.map((_, index) => index + 1));
    const plan = await mesh.repository.readFile(history.at(-1)!.sha, 'plan/mesh.yaml');
    const changes = await mesh.forge.find({ state: 'all' });
    return {
      decisions: history.map(({ decision }) => decision),
      plan: digest((plan ?? '').replaceAll(/plannedAt: \d+/g, '').replaceAll(/commit: [0-9a-f]{40}/g, '')),
      proposals: changes.map(({ state, body }) => [state, readMarker(body)?.ended].filter((part) => part !== undefined).join(' ')),
      branches: (await mesh.git('ls-remote', '--heads', 'origin', 'mesh/plan/*')).split('\n').filter((line) => line !== '').length,
    };
  }
});
