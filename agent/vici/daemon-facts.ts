import type { Clock } from '../../src/base/index.ts';
import { listAt, textAt } from './codec.ts';
import { ViciConnection } from './connection.ts';

/** What the daemon says of itself. */
export interface DaemonFacts {
  /** `charon`, or `charon-systemd`. */
  daemon: string;
  version: string;
  /** Loaded plugins, by name. */
  plugins: string[];
}

/** Asks over a connection of its own. @throws ForemeshError VICI_CLOSED when no daemon answers at the socket */
export async function readDaemonFacts(socketPath: string, clock: Clock): Promise<DaemonFacts> {
  const connection = await ViciConnection.open(socketPath, clock);
  try {
    const version = await connection.request('version');
    const stats = await connection.request('stats');
    return { daemon: textAt(version, 'daemon') ?? '', version: textAt(version, 'version') ?? '', plugins: listAt(stats, 'plugins') };
  } finally {
    connection.close();
  }
}
