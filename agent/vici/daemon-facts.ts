import type { Clock } from '../../src/base/index.ts';
import type { IkeDaemon } from '../../src/model/index.ts';
import type { ViciSession } from './client.ts';
import { listAt, sectionAt, textAt } from './codec.ts';
import { ViciConnection } from './connection.ts';

/** What the daemon says of itself. */
export interface DaemonFacts {
  /** `charon`, or `charon-systemd`. */
  daemon: string;
  version: string;
  /** Loaded plugins, by name. */
  plugins: string[];
  /** See `IkeDaemon`. */
  mlKem: boolean;
}

/** Asks over a connection of its own. @throws ForemeshError VICI_CLOSED when no daemon answers at the socket */
export async function readDaemonFacts(socketPath: string, clock: Clock): Promise<DaemonFacts> {
  const connection = await ViciConnection.open(socketPath, clock);
  try {
    const version = await connection.request('version');
    const stats = await connection.request('stats');
    const { mlKem } = await readIkeDaemon(connection);
    return { daemon: textAt(version, 'daemon') ?? '', version: textAt(version, 'version') ?? '', plugins: listAt(stats, 'plugins'), mlKem };
  } finally {
    connection.close();
  }
}

/**
 * Version and ML-KEM of the daemon at the other end of a session. strongSwan lists a key exchange in `get-algorithms`
 * only where a loaded plugin has it, so a version 6 that was built without ML-KEM says so too.
 */
export async function readIkeDaemon(session: Pick<ViciSession, 'request'>): Promise<IkeDaemon> {
  const version = textAt(await session.request('version'), 'version') ?? '';
  const keyExchanges = sectionAt(await session.request('get-algorithms'), 'ke');
  return { version: version.slice(0, VERSION_LENGTH_MAX), mlKem: keyExchanges !== null && textAt(keyExchanges, 'ML_KEM_768') !== null };
}

const VERSION_LENGTH_MAX = 60;
