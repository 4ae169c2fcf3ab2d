import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endCommandHelper, keepCommandHelper, runCommandText } from '../../../src/base/index.ts';
import { prepareDemo, type LabWorld, type PreparedDemo } from '../../../src/lab/index.ts';
import { findOpa } from '../../../src/policy/index.ts';
import { describeStory, recordingScreen } from '../../support/story.ts';

const sourceDir = resolve(import.meta.dirname, '..', '..', '..');

describe('the ten steps on real tunnels between namespaces', () => {
  const screen = recordingScreen();
  let prepared: PreparedDemo;

  beforeAll(async () => {
    keepCommandHelper();
    prepared = await prepareDemo({ world: 'lab', sourceDir, opa: await findOpa(), seed: 'story-test', screen });
  });
  afterAll(async () => {
    await prepared?.close();
    endCommandHelper();
  });

  describeStory(() => prepared, screen);

  it('takes everything down again', async () => {
    const { id } = prepared.demo.world as LabWorld;
    await prepared.close();
    expect(await runCommandText('ip', ['netns', 'list'])).not.toContain(`fm${id}-`);
    expect(await runCommandText('ps', ['-eo', 'args'])).not.toContain(`foremesh-lab/${id}/`);
  });
}, 400_000);
