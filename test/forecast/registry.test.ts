import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openModelRegistry, type ModelFileHeader, type ModelRegistry } from '../../src/forecast/index.ts';
import { SETTINGS } from './meshes.ts';

const header = (name: string): ModelFileHeader => ({ digest: `sha256:${name}`, settings: SETTINGS, seed: 'seed', window: { endAt: 0, slots: 9 }, pairs: 1, models: ['ewma'], backtest: [], serving: [] });
const bytes = (name: string): Uint8Array => new TextEncoder().encode(`file of ${name}`);

describe('a registry of models', () => {
  let folder: string;
  let notices: string[];
  let registry: ModelRegistry;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'foremesh-registry-'));
    notices = [];
    registry = openModelRegistry(folder, (text) => notices.push(text), 3);
  });
  afterEach(() => rm(folder, { recursive: true }));
  const add = (name: string, origin: 'trained' | 'imported' = 'trained') => registry.add(bytes(name), header(name), { origin, registeredAt: 0, note: { key: name } });
  const kept = async (): Promise<number[]> => (await registry.view()).versions.map(({ version }) => version);

  it('numbers versions upwards, keeps the newest few, and names the active one', async () => {
    for (const name of ['a', 'b', 'c', 'd']) await add(name);
    expect(await registry.view()).toMatchObject({ active: 4, isPinned: false, versions: [{ version: 4, digest: 'sha256:d' }, { version: 3 }, { version: 2 }] });
    expect((await readdir(folder)).sort()).toEqual(['model-2.fmm', 'model-3.fmm', 'model-4.fmm', 'registry.json']);
    expect(await registry.read(3)).toEqual(Buffer.from(bytes('c')));
    await expect(registry.read(1)).rejects.toMatchObject({ code: 'API_NOT_FOUND' });
  });

  it('keeps to a version that a person pinned, however many are trained after it', async () => {
    for (const name of ['a', 'b']) await add(name);
    await registry.use(1, true);
    for (const name of ['c', 'd', 'e']) await add(name);
    expect(await registry.view()).toMatchObject({ active: 1, isPinned: true });
    expect(await kept()).toEqual([5, 4, 1]);
    await registry.use(5, false);
    await add('f');
    expect((await registry.view()).active).toBe(6);
  });

  it('does not use what was imported until somebody says so', async () => {
    await add('a');
    await add('b', 'imported');
    expect((await registry.view()).active).toBe(1);
    expect(await registry.nextVersion()).toBe(3);
  });

  it('refuses a file that was changed, and knows the others still', async () => {
    for (const name of ['a', 'b']) await add(name);
    await writeFile(join(folder, 'model-2.fmm'), 'something else');
    await expect(registry.read(2)).rejects.toMatchObject({ code: 'FORECAST_MODEL_INVALID', what: expect.stringContaining('model-2.fmm') });
    expect(await registry.read(1)).toEqual(Buffer.from(bytes('a')));
  });

  it('begins a new list when it cannot read its own, and uses no number twice', async () => {
    for (const name of ['a', 'b']) await add(name);
    await writeFile(join(folder, 'registry.json'), '{"torn');
    expect((await add('c')).version).toBe(3);
    expect(notices[0]).toContain('registry.json cannot be read');
    expect(await kept()).toEqual([3]);
  });
});
