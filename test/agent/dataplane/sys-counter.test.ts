import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSysCounter } from '../../../agent/dataplane/sys-counter.ts';
import { VirtualClock } from '../../../src/base/index.ts';
import type { TunnelId } from '../../../src/model/index.ts';

const [FIRST, SECOND] = ['t-00000001', 't-00000002'] as [TunnelId, TunnelId];
const NOBODY = { counts: () => null };

describe('counters of one interface', () => {
  let folder: string;
  const write = async (tunnel: TunnelId, sent: number, received: number): Promise<void> => {
    await mkdir(join(folder, tunnel, 'statistics'), { recursive: true });
    await writeFile(join(folder, tunnel, 'statistics', 'tx_packets'), `${sent}\n`);
    await writeFile(join(folder, tunnel, 'statistics', 'rx_packets'), `${received}\n`);
  };
  const openFiles = async (): Promise<number> => (await readdir('/proc/self/fd')).length;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fm-sys-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('are read anew each time, but for one exchange of packets', async () => {
    const clock = new VirtualClock();
    const counter = createSysCounter(clock, NOBODY, folder);
    await write(FIRST, 18_446_744_073, 7);
    expect(counter.counts(FIRST)).toEqual({ sent: 18_446_744_073, received: 7 });
    await write(FIRST, 9, 8);
    expect(counter.counts(FIRST)).toEqual({ sent: 18_446_744_073, received: 7 });
    await clock.advance(1);
    expect(counter.counts(FIRST)).toEqual({ sent: 9, received: 8 });
  });

  it('come from elsewhere for an interface that is not there, until it is', async () => {
    const clock = new VirtualClock();
    const counter = createSysCounter(clock, { counts: () => ({ sent: 1, received: 2 }) }, folder);
    expect(counter.counts(FIRST)).toEqual({ sent: 1, received: 2 });
    await write(FIRST, 3, 4);
    expect(counter.counts(FIRST)).toEqual({ sent: 1, received: 2 });
    await clock.advance(500);
    expect(counter.counts(FIRST)).toEqual({ sent: 3, received: 4 });
  });

  it('keep no file open of interfaces that nobody asks for', async () => {
    const clock = new VirtualClock();
    const counter = createSysCounter(clock, NOBODY, folder);
    await write(FIRST, 1, 1);
    await write(SECOND, 2, 2);
    const before = await openFiles();
    counter.counts(FIRST);
    expect((await openFiles()) - before).toBe(2);
    await clock.advance(61_000);
    counter.counts(SECOND);
    expect((await openFiles()) - before).toBe(2);
    await rename(join(folder, SECOND), join(folder, 'away'));
    expect(counter.counts(FIRST)).toEqual({ sent: 1, received: 1 });
  });
});
