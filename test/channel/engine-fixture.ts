import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog, VirtualClock } from '../../src/base/index.ts';
import { openAuthority, type Authority } from '../../src/ca/index.ts';
import { createAgentHub, listenChannel, type AgentHub, type ChannelListener, type SampleSink } from '../../src/channel/index.ts';
import { createSink } from './messages.ts';

export const SIGNERS = 'engine@foremesh namespaces="git" ssh-ed25519 AAAA\n';

export interface EngineFixture {
  folder: string;
  /** Stands still until told to move, near real time, since TLS looks at the machine's own clock. */
  clock: VirtualClock;
  authority: Authority;
  sink: ReturnType<typeof createSink>;
  /** Of the present process of the engine. */
  hub: AgentHub;
  listener: ChannelListener;
  engine: { host: string; port: number };
  /** Ends the engine and starts another with the same folder, store and port. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

/** CA, hub and listener on loopback, with real TLS. @param store  where samples go; the fixture's sink unless given */
export async function createEngineFixture(store?: SampleSink): Promise<EngineFixture> {
  const folder = await mkdtemp(join(tmpdir(), 'foremesh-channel-test-'));
  const clock = new VirtualClock(Date.now());
  const log = createLog('test', 'silent');
  const sink = createSink();
  const signersFile = join(folder, 'signers');
  await writeFile(signersFile, SIGNERS);

  async function start(port: number): Promise<Pick<EngineFixture, 'authority' | 'hub' | 'listener'>> {
    const authority = await openAuthority({ dir: join(folder, 'ca'), clock, mesh: 'demo' });
    const hub = createAgentHub({ store: store ?? sink, clock, log });
    const listener = await listenChannel({ hub, authority, hosts: ['localhost', '127.0.0.1'], address: '127.0.0.1', port, signersFile, clock, log });
    return { authority, hub, listener };
  }

  const first = await start(0);
  const fixture: EngineFixture = {
    folder,
    clock,
    sink,
    ...first,
    engine: { host: '127.0.0.1', port: first.listener.port },
    async restart() {
      await fixture.listener.close();
      Object.assign(fixture, await start(fixture.engine.port));
    },
    async close() {
      await fixture.listener.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return fixture;
}
