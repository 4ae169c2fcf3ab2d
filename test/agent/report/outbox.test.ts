import { spawn } from 'node:child_process';
import { appendFile, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createLog } from '../../../src/base/index.ts';
import { classId, type Sample, siteId } from '../../../src/model/index.ts';
import { type CounterReading, createFileOutbox, createMemoryOutbox, type Outbox } from '../../../agent/report/index.ts';
import { compileSources, type CompiledSources } from '../../support/compiled.ts';
import { berlin, t1 } from '../../support/node-configs.ts';

const log = createLog('test', 'silent');
let root = '';
let folders = 0;
const open: Outbox[] = [];
let compiled: CompiledSources;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'outbox-'));
  compiled = await compileSources(['agent/report/outbox-file.ts']);
});
afterEach(async () => {
  for (const outbox of open.splice(0)) await outbox.close();
});
afterAll(async () => {
  await compiled.remove();
  await rm(root, { recursive: true, force: true });
});

const newFolder = (): string => join(root, `box-${folders++}`);

function sample(rxBytes: number): Sample {
  return { kind: 'tunnel', sampledAt: 1, windowMs: 1000, node: berlin, tunnel: t1, rxBytes, txBytes: 0 };
}

function reading(readAt: number): CounterReading {
  return { readAt, offered: [], tunnels: [] };
}

async function opened(dir: string, options: { bytesMax?: number; segmentBytes?: number } = {}): Promise<Outbox> {
  const outbox = createFileOutbox({ dir, log, ...options });
  await outbox.open();
  open.push(outbox);
  return outbox;
}

async function contents(outbox: Outbox): Promise<[number, number][]> {
  return (await outbox.read(0, 1_000_000)).map(({ sequence, samples }) => [sequence, (samples[0] as { rxBytes: number }).rxBytes]);
}

describe.each([
  ['in memory', () => Promise.resolve(createMemoryOutbox())],
  ['on disk', () => opened(newFolder())],
])('an outbox %s', (_, make) => {
  it('gives batches back in order until they are confirmed, numbered from 1', async () => {
    const outbox = await make();
    for (const value of [10, 20, 30]) await outbox.append([sample(value)], reading(value));
    expect(await contents(outbox)).toEqual([[1, 10], [2, 20], [3, 30]]);
    expect(await outbox.read(1, 1)).toMatchObject([{ type: 'samples', sequence: 2 }]);
    await outbox.acknowledge(2);
    expect(await contents(outbox)).toEqual([[3, 30]]);
    expect(outbox.view()).toMatchObject({ lastSequence: 3, acknowledgedSequence: 2, pendingBatches: 1, reading: { readAt: 30 } });
  });

  it('goes on above the number that an engine already knows', async () => {
    const outbox = await make();
    await outbox.append([sample(1)], reading(1));
    await outbox.acknowledge(40);
    expect(await outbox.append([sample(2)], reading(2))).toBe(41);
    expect(await contents(outbox)).toEqual([[41, 2]]);
  });
});

describe('an outbox on disk', () => {
  it('has everything again after a restart, and the counters of the newest batch', async () => {
    const dir = newFolder();
    const first = await opened(dir);
    for (const value of [1, 2, 3]) await first.append([sample(value)], reading(value));
    await first.close();
    const second = await opened(dir);
    expect(await contents(second)).toEqual([[1, 1], [2, 2], [3, 3]]);
    expect(second.view().reading).toEqual(reading(3));
    expect(await second.append([sample(4)], reading(4))).toBe(4);
  });

  it('never uses a number twice when all was confirmed before the restart', async () => {
    const dir = newFolder();
    const first = await opened(dir, { segmentBytes: 1 });
    for (const value of [1, 2, 3]) await first.append([sample(value)], reading(value));
    await first.acknowledge(3);
    await first.close();
    expect(await (await opened(dir)).append([sample(4)], reading(4))).toBe(4);
  });

  it('is whole up to the tear, whatever byte the file ends at, and skips the torn number', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 100_000 }), async (cut) => {
        const dir = newFolder();
        const first = await opened(dir);
        for (const value of [1, 2, 3]) await first.append([sample(value)], reading(value));
        await first.close();
        const [name] = await readdir(dir);
        const text = await readFile(join(dir, name!), 'utf8');
        const at = cut % text.length;
        await truncate(join(dir, name!), at);
        const whole = text.slice(0, at).split('\n').length - 1;
        const second = await opened(dir);
        expect(await contents(second)).toEqual([1, 2, 3].slice(0, whole).map((value) => [value, value]));
        const isTorn = at > 0 && !text.slice(0, at).endsWith('\n');
        expect(await second.append([sample(9)], reading(9))).toBe(whole + 1 + (isTorn ? 1 : 0));
        await second.close();
      }),
      { numRuns: 60 },
    );
  });

  it('takes batches of an earlier version, which know nothing of what shaping dropped', async () => {
    const folder = newFolder();
    const first = await opened(folder);
    const { droppedBytes: _droppedBytes, ...earlier } = { kind: 'traffic' as const, sampledAt: 1, windowMs: 1000, node: berlin, from: siteId('berlin'), to: siteId('paris'), classId: classId('voice'), offeredBytes: 7, offeredPackets: 1, droppedBytes: 0 };
    await first.append([earlier as Sample, sample(5)], reading(1));
    await first.close();
    expect((await (await opened(folder)).read(0, 1))[0]?.samples).toEqual([{ ...earlier, droppedBytes: 0 }, sample(5)]);
  });

  it('leaves out a damaged batch and keeps those around it', async () => {
    const dir = newFolder();
    const first = await opened(dir);
    for (const value of [1, 2, 3]) await first.append([sample(value)], reading(value));
    await first.close();
    const file = join(dir, (await readdir(dir))[0]!);
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace('"rxBytes":2', '"rxBytes":7'));
    const second = await opened(dir);
    expect(await contents(second)).toEqual([[1, 1], [3, 3]]);
    expect(second.view().droppedBatches).toBe(1);
  });

  it('drops the oldest and counts it when it is full', async () => {
    const dir = newFolder();
    const outbox = await opened(dir, { bytesMax: 2_000, segmentBytes: 400 });
    for (let value = 1; value <= 50; value++) await outbox.append([sample(value)], reading(value));
    const kept = await contents(outbox);
    expect(kept.at(-1)).toEqual([50, 50]);
    expect(kept[0]![0]).toBeGreaterThan(1);
    expect(outbox.view().droppedBatches).toBe(50 - kept.length);
    const sizes = await Promise.all((await readdir(dir)).map(async (name) => (await stat(join(dir, name))).size));
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(2_000);
  });

  it('goes on in a new file when the disk refused a batch', async () => {
    const dir = newFolder();
    const outbox = await opened(dir);
    await outbox.append([sample(1)], reading(1));
    await appendFile(join(dir, `${'2'.padStart(16, '0')}.log`), 'in the way');
    await outbox.close();
    await expect(outbox.append([sample(2)], reading(2))).rejects.toMatchObject({ code: 'TELEMETRY_FAILED' });
    expect(await outbox.append([sample(3)], reading(3))).toBe(3);
    expect(await contents(outbox)).toEqual([[1, 1], [3, 3]]);
  });
});

describe('an outbox whose process is killed with -9 while it writes', () => {
  it('has every batch whose number was given out, in order, and gives no number twice', async () => {
    const dir = newFolder();
    let highestSeen = 0;
    for (let round = 0; round < 6; round++) {
      const announced = await runWriterAndKill(dir, 30 + round * 37);
      const numbers = announced.map(([sequence]) => sequence);
      expect(numbers.every((sequence) => sequence > highestSeen)).toBe(true);
      highestSeen = Math.max(highestSeen, ...numbers);
      const kept = new Map(await contents(await opened(dir)));
      for (const [sequence, value] of announced) expect(kept.get(sequence)).toBe(value);
      expect([...kept.keys()]).toEqual([...kept.keys()].sort((left, right) => left - right));
    }
    expect(highestSeen).toBeGreaterThan(20);
  }, 60_000);
});

/** Starts the compiled outbox in a process of its own, lets it append for a while and ends it with SIGKILL; answers what it had announced. */
function runWriterAndKill(dir: string, runMs: number): Promise<[number, number][]> {
  const program = `
    const { createFileOutbox } = await import(${JSON.stringify(join(compiled.dir, 'agent/report/outbox-file.js'))});
    const log = { warn() {}, error() {} };
    const outbox = createFileOutbox({ dir: ${JSON.stringify(dir)}, log, segmentBytes: 2000 });
    await outbox.open();
    for (let value = 0; ; value++) {
      const stamp = process.pid * 100000 + value;
      const sequence = await outbox.append([{ kind: 'tunnel', rxBytes: stamp }], { readAt: value, offered: [], tunnels: [] });
      process.stdout.write(sequence + ' ' + stamp + '\\n');
    }`;
  return new Promise((done, failed) => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => {
      if (text === '') setTimeout(() => child.kill('SIGKILL'), runMs);
      text += chunk.toString('utf8');
    });
    child.on('error', failed);
    child.on('close', () => done(text.split('\n').slice(0, -1).map((line) => line.split(' ').map(Number) as [number, number])));
  });
}
