import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { nodeId } from '../../src/model/index.ts';
import { openDuckDbStore } from '../../src/telemetry/index.ts';
import { compileSources, type CompiledSources } from '../support/compiled.ts';
import { BERLIN, BULK, PARIS, START, traffic } from './samples.ts';

const NODES = ['gw-a', 'gw-b', 'gw-c'];
const BATCH_BYTES = 1000;
let compiled: CompiledSources;
let folder: string;
beforeAll(async () => {
  compiled = await compileSources(['test/telemetry/writer.ts']);
  folder = await mkdtemp(join(tmpdir(), 'foremesh-crash-'));
});
afterAll(async () => {
  await compiled.remove();
  await rm(folder, { recursive: true, force: true });
});

it('counts every batch exactly once when its process is killed with SIGKILL again and again', async () => {
  const file = join(folder, 'telemetry.duckdb');
  for (const linesBeforeKill of [1, 40, 77, 5]) {
    const acknowledged = await writeUntilKilled(file, linesBeforeKill);
    const store = await openDuckDbStore(file);
    let stored = 0;
    for (const name of NODES) {
      const last = await store.lastSequence(nodeId(name));
      expect(last).toBeGreaterThanOrEqual(acknowledged.get(name) ?? 0);
      // The agent that saw no answer sends its last batch again.
      if (last > 0) expect(await store.append(nodeId(name), last, [traffic(START + 1000, BATCH_BYTES, { windowMs: 1000, node: nodeId(name) })])).toEqual({ stored: false });
      stored += last;
    }
    const { demands } = await store.observe({ now: START + 10_000, slotMs: 10_000, slots: 1, pairs: [{ from: BERLIN, to: PARIS, classId: BULK }] }, []);
    const bytes = Math.round((demands[0]!.mbps[0]! * 10_000 * 1000) / 8);
    // Reported is less than half of the slot, so its bytes are spread over all of it.
    expect(bytes).toBe(stored * BATCH_BYTES);
    await store.close();
  }
});

it('refuses a database that another process has open', async () => {
  const file = join(folder, 'busy.duckdb');
  const child = spawn(process.execPath, [join(compiled.dir, 'test/telemetry/writer.js'), file], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => child.once('close', resolve));
  await new Promise((resolve) => child.stdout.once('data', resolve));
  await expect(openDuckDbStore(file)).rejects.toMatchObject({ code: 'TELEMETRY_FAILED', what: expect.stringContaining('another process') as string });
  child.kill('SIGKILL');
  await ended;
});

/** Runs the writer, kills it in the middle of its work and gives the highest number it printed for each node. */
function writeUntilKilled(file: string, lines: number): Promise<Map<string, number>> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(compiled.dir, 'test/telemetry/writer.js'), file], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      if (text.split('\n').length > lines) child.kill('SIGKILL');
    });
    child.once('error', reject);
    child.once('close', () => {
      const whole = text.slice(0, text.lastIndexOf('\n') + 1).trim();
      resolve(new Map(whole.split('\n').filter(Boolean).map((line) => [line.split(' ')[0]!, Number(line.split(' ')[1])])));
    });
  });
}
