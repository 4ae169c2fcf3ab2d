import { resolve } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { createLabWorld, type LabWorld } from '../../../src/lab/index.ts';
import { findOpa } from '../../../src/policy/index.ts';
import { describeGateways, gatewayMesh } from '../../support/gateway-story.ts';
import { build } from '../world/built.ts';

const ROOT = resolve(import.meta.dirname, '../../..');

describe('a site with two gateways, in the lab', () => {
  let world: LabWorld;

  beforeAll(async () => {
    await build();
    const mesh = await gatewayMesh(ROOT);
    world = await createLabWorld({ intent: mesh.intent, repository: { files: mesh.files }, opa: await findOpa(), seed: 'gateways' });
  });
  afterAll(() => world?.close());

  describeGateways(() => world, 1000);
});
