import { resolve, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { prepareDemo, type PreparedDemo } from '../../src/lab/index.ts';
import { findOpa } from '../../src/policy/index.ts';
import { describeStory, recordingScreen } from '../support/story.ts';

const sourceDir = resolve(import.meta.dirname, '..', '..');
/** Of a week before the story: the ledger keeps what it says and judges it no more. */
const JUDGED_AT = Date.UTC(2025, 11, 28);

/** Nine forecast-driven changes in three commits, one of them needed: what the ledger held on a machine short of CPU. */
async function writePoorRecord(stateDir: string): Promise<void> {
  const entries = Array.from({ length: 9 }, (_, index) => ({
    commit: String(index % 3).repeat(40),
    generation: 1 + (index % 3),
    decision: 'auto',
    at: JUDGED_AT,
    kind: 'reroute',
    fingerprint: `sha256:${String(index).repeat(64)}`,
    summary: '~ route',
    pair: null,
    classId: null,
    path: null,
    forecast: null,
    meant: '',
    dueAt: JUDGED_AT,
    looks: { before: { count: 0, bad: 0 }, after: { count: 0, bad: 0 } },
    ways: [],
    addedAgainAt: null,
    takenBackAt: null,
    score: index === 0 ? 'needed' : 'not-needed',
    reason: '',
    scoredAt: JUDGED_AT,
  }));
  await writeFile(join(stateDir, 'regret.json.gz'), gzipSync(JSON.stringify({ schema: 'foremesh/regret/v1', lastCommit: null, entries })));
}

describe('the story with forecasts that were wrong before', () => {
  const screen = recordingScreen();
  let prepared: PreparedDemo;

  beforeAll(async () => {
    prepared = await prepareDemo({ world: 'simulated', sourceDir, opa: await findOpa(), seed: 'story-test', screen, prepareEngine: writePoorRecord });
  });
  afterAll(() => prepared?.close());

  describeStory(() => prepared, screen, [5, 6, 7, 10]);

  it('a person was asked for the changes of forecasts, and the screen says why', () => {
    expect(screen.text()).toContain('CHANGE_REGRET: of 9 ');
    expect(Number(prepared.demo.facts.get('askedInBetween'))).toBeGreaterThan(0);
  });
}, 300_000);
