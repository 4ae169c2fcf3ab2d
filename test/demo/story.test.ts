import { mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { prepareDemo, type PreparedDemo } from '../../src/lab/index.ts';
import { findOpa } from '../../src/policy/index.ts';
import { describeStory, recordingScreen } from '../support/story.ts';

const sourceDir = resolve(import.meta.dirname, '..', '..');

describe('the ten steps on the simulated network', () => {
  const screen = recordingScreen();
  let prepared: PreparedDemo;

  beforeAll(async () => {
    prepared = await prepareDemo({ world: 'simulated', sourceDir, opa: await findOpa(), seed: 'story-test', screen });
  });
  afterAll(() => prepared?.close());

  describeStory(() => prepared, screen);
}, 300_000);

describe('a simulated demo', () => {
  it('leaves no file behind', async () => {
    const before = demoFolders();
    const prepared = await prepareDemo({ world: 'simulated', sourceDir, opa: await findOpa(), seed: 'x', screen: recordingScreen() });
    await prepared.close();
    expect(demoFolders()).toEqual(before);
  });
});

function demoFolders(): string[] {
  return readdirSync(resolve(mkdtempSync(`${tmpdir()}/probe-`), '..')).filter((name) => name.startsWith('foremesh-'));
}
