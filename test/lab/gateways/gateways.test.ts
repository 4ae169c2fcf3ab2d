import { resolve } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { createLabWorld, type LabWorld } from '../../../src/lab/index.ts';
import { findOpa } from '../../../src/policy/index.ts';
import { describeGateways, gatewayMesh } from '../../support/gateway-story.ts';
import { describeSharing, sharingMesh } from '../../support/sharing-story.ts';
import { build } from '../world/built.ts';

/** See docs/failover.md, "Not there yet": to be none. */
const MOVED_LOST_MAX = 15;
/** While the two copies of a packet reach a site by different gateways, each passes on the first that it sees. */
const MOVED_DOUBLED_MAX = 100;
const ROOT = resolve(import.meta.dirname, '../../..');

describe('a site with two gateways, in the lab', () => {
  describeGateways(inLab('gateways', gatewayMesh), 1000, MOVED_LOST_MAX);
});

describe('a site whose two gateways share its traffic, in the lab', () => {
  describeSharing(inLab('sharing', sharingMesh), 1000, MOVED_LOST_MAX, MOVED_DOUBLED_MAX);
});

function inLab(seed: string, meshOf: typeof gatewayMesh): () => LabWorld {
  let world: LabWorld;
  beforeAll(async () => {
    await build();
    const mesh = await meshOf(ROOT);
    world = await createLabWorld({ intent: mesh.intent, repository: { files: mesh.files }, opa: await findOpa(), seed });
  });
  afterAll(() => world?.close());
  return () => world;
}
