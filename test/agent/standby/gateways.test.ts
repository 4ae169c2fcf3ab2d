import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { createInlineForecaster } from '../../../src/forecast/index.ts';
import { createMeshRepository } from '../../../src/lab/index.ts';
import { createSimWorld, type SimWorld } from '../../../src/lab/sim/index.ts';
import { findOpa } from '../../../src/policy/index.ts';
import { describeGateways, gatewayMesh } from '../../support/gateway-story.ts';
import { describeSharing, sharingMesh } from '../../support/sharing-story.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const START_AT = Date.UTC(2026, 0, 5, 8);

describe('a site with two gateways, simulated', () => {
  const worldOf = simulated('gateways', gatewayMesh);
  describeGateways(worldOf, 300, 0);
});

describe('a site whose two gateways share its traffic, simulated', () => {
  const worldOf = simulated('sharing', sharingMesh);
  describeSharing(worldOf, 300, 0);
});

function simulated(seed: string, meshOf: typeof gatewayMesh): () => SimWorld {
  let world: SimWorld;
  let dir: string;

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'gateways-'));
    const mesh = await meshOf(ROOT);
    const repository = await createMeshRepository({ dir: join(dir, 'repository'), files: mesh.files, at: START_AT });
    world = await createSimWorld({ intent: mesh.intent, ...repository, opa: await findOpa(), seed, startAt: START_AT, dir: join(dir, 'world'), historyDays: 1, forecaster: await createInlineForecaster({ models: ['ewma'] }) });
  });
  afterAll(async () => {
    await world?.close();
    await rm(dir, { recursive: true, force: true });
  });
  return () => world;
}
