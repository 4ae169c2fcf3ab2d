import { createDecipheriv, hkdfSync } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createPpkKeeper, type PpkKeeper } from '../../agent/sync/ppk.ts';
import { createLog, VirtualClock, writeFileAtomic } from '../../src/base/index.ts';
import { createNodeKey, openAuthority, type Authority } from '../../src/ca/index.ts';
import { nodeId, type NodeId } from '../../src/model/index.ts';

const BERLIN = nodeId('berlin-gw1');
const PARIS = nodeId('paris-gw1');
let dir: string;
let clock: VirtualClock;
let authority: Authority;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'foremesh-ppk-test-'));
  clock = new VirtualClock(Date.now());
  authority = await openAuthority({ dir: join(dir, 'ca'), clock, mesh: 'demo' });
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** A node that has joined, and its keeper of keys; what the engine answers passes through `seen`. */
async function joined(node: NodeId, seen: string[] = []): Promise<{ keeper: PpkKeeper; stateDir: string; seal: string }> {
  const stateDir = join(dir, node);
  const token = await authority.createJoinToken(node, 60_000);
  const [seal, sent] = [token.split('.')[3]!, token.split('.').slice(0, 3).join('.')];
  await authority.enrol(sent, await (await createNodeKey()).csrPem(node));
  await mkdir(stateDir, { recursive: true });
  await writeFileAtomic(join(stateDir, 'seal.key'), `${seal}\n`, 0o600);
  const fetch = async (peer: NodeId): Promise<string> => {
    const text = JSON.stringify(await authority.ppk(node, peer));
    seen.push(text);
    return text;
  };
  return { keeper: createPpkKeeper({ stateDir, node, fetch, clock, log: createLog('test', 'silent') }), stateDir, seal };
}

async function keyOf(keeper: PpkKeeper, peer: NodeId): Promise<{ id: string; secret: string }> {
  await new Promise<void>((resolve) => {
    keeper.onChange(resolve);
    keeper.want([peer]);
  });
  return keeper.keys().get(peer)!;
}

describe('a post-quantum key', () => {
  it('is the same at both ends of a pair, another for another pair, and 32 bytes', async () => {
    const [berlin, paris] = [await joined(BERLIN), await joined(PARIS)];
    const [one, other] = [await keyOf(berlin.keeper, PARIS), await keyOf(paris.keeper, BERLIN)];
    expect(one).toEqual(other);
    expect(Buffer.from(one.secret, 'base64')).toHaveLength(32);
    expect(await keyOf(berlin.keeper, nodeId('oslo-gw1'))).not.toEqual(one);
  });

  it('is closed on its way: only the seal opens it, for this node and this id', async () => {
    const seen: string[] = [];
    const berlin = await joined(BERLIN, seen);
    await joined(PARIS);
    const { id, secret } = await keyOf(berlin.keeper, PARIS);
    expect(seen.join('')).not.toContain(secret);
    const { sealed } = JSON.parse(seen[0]!) as { sealed: string };
    const open = (seal: string, context: string): string => {
      const bytes = Buffer.from(sealed, 'base64');
      const key = Buffer.from(hkdfSync('sha256', Buffer.from(seal, 'base64url'), Buffer.alloc(0), 'foremesh ppk seal v1', 32));
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12)).setAAD(Buffer.from(context)).setAuthTag(bytes.subarray(-16));
      return Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()]).toString('base64');
    };
    expect(open(berlin.seal, `${BERLIN} ${id}`)).toBe(secret);
    expect(() => open(berlin.seal, `${PARIS} ${id}`)).toThrow();
    expect(() => open(Buffer.alloc(32, 7).toString('base64url'), `${BERLIN} ${id}`)).toThrow();
  });

  it('is kept by the node for its owner only, and used without the engine after a restart', async () => {
    const berlin = await joined(BERLIN);
    await joined(PARIS);
    const key = await keyOf(berlin.keeper, PARIS);
    expect((await stat(join(berlin.stateDir, 'ppks.json'))).mode & 0o777).toBe(0o600);
    expect((await stat(join(dir, 'ca', 'ppks.json'))).mode & 0o777).toBe(0o600);
    const alone = createPpkKeeper({ stateDir: berlin.stateDir, node: BERLIN, fetch: () => Promise.reject(new Error('no engine')), clock, log: createLog('test', 'silent') });
    await alone.start();
    expect(alone.keys().get(PARIS)).toEqual(key);
  });

  it('is asked for again, with pauses, while the engine is away', async () => {
    const berlin = await joined(BERLIN);
    let isAway = true;
    let tries = 0;
    const keeper = createPpkKeeper({
      stateDir: berlin.stateDir,
      node: BERLIN,
      fetch: async (peer) => {
        tries++;
        if (isAway) throw new Error('no engine');
        return JSON.stringify(await authority.ppk(BERLIN, peer));
      },
      clock,
      log: createLog('test', 'silent'),
    });
    const changed = new Promise<void>((resolve) => keeper.onChange(resolve));
    keeper.want([PARIS]);
    await expect.poll(() => tries).toBe(1);
    expect(keeper.keys().size).toBe(0);
    isAway = false;
    await clock.advance(1_000);
    await changed;
    expect(keeper.keys().size).toBe(1);
  });

  it('is worthless once a node was revoked: the pair gets another, and the node none without joining again', async () => {
    const [berlin] = [await joined(BERLIN), await joined(PARIS)];
    const before = await keyOf(berlin.keeper, PARIS);
    await authority.revoke(PARIS, 'stolen', 'ada');
    await expect(authority.ppk(PARIS, BERLIN)).rejects.toMatchObject({ code: 'CA_PPK_UNAVAILABLE' });
    await berlin.keeper.forget([PARIS]);
    const after = await keyOf(berlin.keeper, PARIS);
    expect(after.id).not.toBe(before.id);
    expect(after.secret).not.toBe(before.secret);
    expect(await keyOf((await joined(PARIS)).keeper, BERLIN)).toEqual(after);
    expect(await readFile(join(dir, 'ca', 'ppks.json'), 'utf8')).not.toContain(before.secret);
  });
});
