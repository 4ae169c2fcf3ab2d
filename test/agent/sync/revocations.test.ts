import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createRevocationGuard, type RevocationGuard } from '../../../agent/sync/revocations.ts';
import { createLog, ForemeshError, VirtualClock } from '../../../src/base/index.ts';
import { createNodeKey, openAuthority, type Authority } from '../../../src/ca/index.ts';
import { nodeId, type RevocationsMessage } from '../../../src/model/index.ts';

const BERLIN = nodeId('berlin-gw1');
const PARIS = nodeId('paris-gw1');
let dir: string;
let clock: VirtualClock;
let authority: Authority;
let calls: string[];
let isDaemonUp: boolean;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'foremesh-guard-test-'));
  clock = new VirtualClock(Date.now());
  authority = await openAuthority({ dir: join(dir, 'ca'), clock, mesh: 'demo' });
  calls = [];
  isDaemonUp = true;
});
afterEach(() => rm(dir, { recursive: true, force: true }));

function guard(): RevocationGuard {
  const daemon = (call: string): void => {
    if (!isDaemonUp) throw new ForemeshError('VICI_CLOSED', { what: 'no daemon', fix: 'start it' });
    calls.push(call);
  };
  return createRevocationGuard({
    stateDir: dir,
    ipsec: {
      loadRevocations: async (crlPem) => daemon(`load ${crlPem.split('\n').length > 3}`),
      terminatePeers: async (identities) => {
        daemon(`end ${identities.join(',')}`);
        return identities.length;
      },
    },
    caPem: () => authority.caPem,
    clock,
    log: createLog('test', 'silent'),
  });
}

async function revoke(node: typeof BERLIN): Promise<RevocationsMessage> {
  await authority.enrol(await authority.createJoinToken(node, 60_000), await (await createNodeKey()).csrPem(node));
  await authority.revoke(node, 'stolen', 'ada');
  return (await authority.revocationsMessage())!;
}

describe('a list of revocations', () => {
  it('is given to the daemon, and the SAs of those who are new on it are ended', async () => {
    const one = guard();
    await one.start();
    await one.receive(await revoke(BERLIN));
    await one.receive(await revoke(PARIS));
    await one.receive((await authority.revocationsMessage())!);
    expect(calls).toEqual(['load true', 'end berlin-gw1', 'load true', 'end paris-gw1', 'load true', 'end ']);
  });

  it('is in force again after a restart without the engine, and ends nobody twice', async () => {
    await guard().receive(await revoke(BERLIN));
    calls.length = 0;
    await guard().start();
    expect(calls).toEqual(['load true', 'end ']);
  });

  it('is enforced once the daemon is there, also after a restart in between', async () => {
    isDaemonUp = false;
    const first = guard();
    await first.receive(await revoke(BERLIN));
    first.stop();
    const second = guard();
    await second.start();
    isDaemonUp = true;
    await clock.advance(500);
    await second.receive((await authority.revocationsMessage())!);
    expect(calls.slice(0, 2)).toEqual(['load true', 'end berlin-gw1']);
    second.stop();
  });

  it('is refused when it is older, forged, of another CA, or no list at all; the one before stays', async () => {
    const one = guard();
    const old = await revoke(BERLIN);
    await one.receive(await revoke(PARIS));
    const kept = await readFile(join(dir, 'revocations.json'), 'utf8');
    calls.length = 0;
    const stranger = await openAuthority({ dir: join(dir, 'other'), clock, mesh: 'demo' });
    await stranger.enrol(await stranger.createJoinToken(BERLIN, 60_000), await (await createNodeKey()).csrPem(BERLIN));
    await stranger.revoke(BERLIN, 'x', 'y');
    const newer = await revoke(BERLIN);
    const bad = [
      old,
      { ...(await stranger.revocationsMessage())!, number: 9 },
      { ...newer, number: 9, crlPem: 'no list' },
      { ...newer, revoked: [{ node: '../x', keySha256: 'z', revokedAt: 0 }] },
      { ...newer, number: 'many' },
      { type: 'revocations' },
    ];
    for (const message of bad) await one.receive(message as RevocationsMessage);
    expect(calls).toEqual([]);
    expect(await readFile(join(dir, 'revocations.json'), 'utf8')).toBe(kept);
  });

  it('that was damaged on disk comes from the engine again', async () => {
    const message = await revoke(BERLIN);
    await writeFile(join(dir, 'revocations.json'), '{"schema"');
    const one = guard();
    await one.start();
    expect(calls).toEqual([]);
    await one.receive(message);
    expect(calls).toEqual(['load true', 'end berlin-gw1']);
  });
});
