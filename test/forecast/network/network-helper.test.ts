import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DemandMatrix } from '../../../src/forecast/matrix/demand-matrix.ts';
import { fitNetwork, NETWORK_DEFAULTS } from '../../../src/forecast/network/fit-network.ts';
import { forecastNetwork, type FittedNetwork } from '../../../src/forecast/network/fitted-network.ts';
import type * as Helper from '../../../src/forecast/network/network-helper.ts';
import { compileSources, type CompiledSources } from '../../support/compiled.ts';
import { dailyMatrix } from '../matrix/matrices.ts';

const horizons = [2, 8];
const sizes = { ...NETWORK_DEFAULTS, window: 4, state: 8, dense: [16], batch: 64, rowsPerEpoch: 600, epochs: 1, validationShare: 0 };
const small = dailyMatrix({ pairs: 110, days: 3 });
const fitted = (seed: string): FittedNetwork => fitNetwork({ matrix: small, horizons, seed, options: sizes }, null, () => undefined);

/** Twenty days that another thread can read, the last of them with a gap. */
function sharedPast(): DemandMatrix {
  const matrix = dailyMatrix({ pairs: 110, days: 20, noise: 0.3 });
  const values = matrix.values.map((series) => {
    const shared = new Float32Array(new SharedArrayBuffer(series.byteLength));
    shared.set(series);
    return shared;
  });
  values[7]!.fill(Number.NaN, matrix.length - 5);
  return { ...matrix, values };
}

// With one core there is nothing that a second thread could do beside.
describe.skipIf(availableParallelism() < 2)('networks in a thread of their own', () => {
  let compiled: CompiledSources;
  let helper: typeof Helper;
  beforeAll(async () => {
    compiled = await compileSources(['src/forecast/network/network-helper.ts', 'src/forecast/network/helper-entry.ts']);
    helper = (await import(/* @vite-ignore */ pathToFileURL(join(compiled.dir, 'src/forecast/network/network-helper.js')).href)) as typeof Helper;
  });
  afterAll(() => compiled.remove());

  it('say the same as in this one, to the last bit, one after another and of another past', async () => {
    const [user, networks] = [{}, [fitted('a'), fitted('b')]];
    const past = sharedPast();
    const later = { ...past, values: past.values.toReversed() };
    const origin = Int32Array.of(past.length - 1);
    for (const [matrix, network] of [[past, networks[0]], [past, networks[1]], [later, networks[0]], [past, networks[1]]] as const) {
      const found = helper.forecastInHelper(user, network!, matrix, origin);
      expect(found).not.toBeNull();
      expect(await found).toEqual(forecastNetwork(network!, matrix, origin));
    }
    await helper.leaveHelper(user);
  });

  it('begin anew after many trainings, so that what was replaced is forgotten', async () => {
    const [user, network, past] = [{}, fitted('a'), sharedPast()];
    const origin = Int32Array.of(past.length - 1);
    let threads = 0;
    const count = (): void => void threads++;
    process.on('worker', count);
    for (let night = 0; night < 17; night++) expect(await helper.forecastInHelper(user, { ...network }, past, origin)).toHaveLength(2);
    await helper.leaveHelper(user);
    process.off('worker', count);
    expect(threads).toBe(2);
  });

  it('tell what fails, and go on', async () => {
    const [user, network, past] = [{}, fitted('a'), sharedPast()];
    const origin = Int32Array.of(past.length - 1);
    const fewer = { ...past, pairs: past.pairs.slice(1), values: past.values.slice(1) };
    await expect(helper.forecastInHelper(user, network, fewer, origin)).rejects.toThrow('trained for 110 pairs');
    expect(await helper.forecastInHelper(user, network, past, origin)).toHaveLength(2);
    const unanswered = expect(helper.forecastInHelper(user, network, past, origin)).rejects.toThrow('ended');
    await helper.leaveHelper(user);
    await unanswered;
    expect(await helper.forecastInHelper(user, network, past, origin), 'by another thread').toHaveLength(2);
    await helper.leaveHelper(user);
  });

  it('are not asked where that takes longer: of several origins, of little past, or of one that is not shared', () => {
    const [user, network, past] = [{}, fitted('a'), sharedPast()];
    const last = past.length - 1;
    expect(helper.forecastInHelper(user, network, past, Int32Array.of(last - 1, last))).toBeNull();
    expect(helper.forecastInHelper(user, network, { ...past, values: past.values.map((series) => series.slice()) }, Int32Array.of(last))).toBeNull();
    expect(helper.forecastInHelper(user, network, { ...past, length: 900 }, Int32Array.of(899))).toBeNull();
  });
});
