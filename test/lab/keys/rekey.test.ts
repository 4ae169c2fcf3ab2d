import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rekeyTimesOf } from '../../../agent/reconcile/rekey-schedule.ts';
import { numberAt, sectionAt, sectionsOf, ViciConnection } from '../../../agent/vici/index.ts';
import { systemClock } from '../../../src/base/index.ts';
import { isLabPossible } from '../../../src/lab/possible.ts';
import { connectionOf, establish, type Gateway, type Pair, ping, startPair, T1, T2, until, wantedOf } from '../adapters/support.ts';

const possible = await isLabPossible();
/** Of a profile that renews keys every two seconds. */
const REKEY_MS = 2_000;

/**
 * Story: two gateways with two tunnels whose keys are renewed every other second, under pings.
 * Set-up: two namespaces with a charon each. Expectations on pings, and on what charon counted.
 */
describe.skipIf(!possible.possible)('rekeys by schedule', () => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await startPair();
    await establish(pair);
    for (const gateway of [pair.b, pair.a]) await gateway.dataplane.apply(wantedOf(gateway.name));
  });
  afterAll(() => pair?.close());

  it('are made by the end that initiates, and lose nothing', async () => {
    for (const gateway of [pair.b, pair.a]) {
      const { config } = wantedOf(gateway.name);
      for (const [index, tunnel] of config.tunnels.entries()) {
        const times = rekeyTimesOf(config, { ...tunnel, ikeRekeyMs: REKEY_MS, espRekeyMs: REKEY_MS });
        await gateway.ipsec.loadConnection({ ...connectionOf(gateway.name, index === 0 ? 1 : 2), ...times });
      }
    }
    // SAs keep the times that they were made with
    for (const tunnel of [T1, T2]) await pair.a.ipsec.initiateBeside(tunnel);
    await until(async () => (await pair.a.ipsec.listSas()).every(({ besides }) => besides === 1));
    for (const tunnel of [T1, T2]) await pair.a.ipsec.terminateSome(tunnel, 'older');
    const before = { a: await rekeysOf(pair.a), b: await rekeysOf(pair.b) };
    expect(await ping(pair.a, '10.92.0.10', 1_600, 0.005)).toEqual({ sent: 1_600, received: 1_600 });
    const after = { a: await rekeysOf(pair.a), b: await rekeysOf(pair.b) };
    expect(after.a.ikeByUs - before.a.ikeByUs).toBeGreaterThanOrEqual(4);
    expect(after.a.children - before.a.children).toBeGreaterThanOrEqual(4);
    expect([after.b.ikeByUs - before.b.ikeByUs, after.a.ikeByPeer - before.a.ikeByPeer]).toEqual([0, 0]);
  });
});

/** What charon counted of rekeys so far. */
async function rekeysOf(gateway: Gateway): Promise<{ ikeByUs: number; ikeByPeer: number; children: number }> {
  const connection = await ViciConnection.open(gateway.charon.socketPath, systemClock);
  try {
    const counted = sectionsOf(sectionAt(await connection.request('get-counters', { all: 'yes' }), 'counters')!).filter(([name]) => [T1, T2].includes(name as typeof T1));
    const sum = (name: string): number => counted.reduce((total, [, counters]) => total + numberAt(counters, name), 0);
    return { ikeByUs: sum('ike-rekey-init'), ikeByPeer: sum('ike-rekey-resp'), children: sum('child-rekey') };
  } finally {
    connection.close();
  }
}
