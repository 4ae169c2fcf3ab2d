import { chmod, unlink } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { ForemeshError, type Log, messageOf } from '../src/base/index.ts';

export interface StatusSocket {
  close(): Promise<void>;
}

/**
 * Answers every connection on a Unix socket with one JSON value and closes it. Who may open it is a matter of its mode,
 * 0600: its owner. Where another agent answers already, this one does not start: two would undo each other's work.
 */
export async function listenStatus(file: string, answer: () => unknown, log: Log): Promise<StatusSocket> {
  if (await isAnswered(file)) {
    throw new ForemeshError('AGENT_CONFIG_INVALID', { what: `another agent runs on ${file}`, fix: 'stop it first, or give this one a stateDir of its own' });
  }
  await unlink(file).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT') throw cause;
  });
  const server = createServer((socket) => {
    socket.on('error', (cause) => log.debug({ error: messageOf(cause) }, 'status reader went away'));
    socket.end(JSON.stringify(answer()));
  });
  const maskBefore = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(file, resolve);
    });
  } finally {
    process.umask(maskBefore);
  }
  await chmod(file, 0o600);
  server.unref();
  return {
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

function isAnswered(file: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(file);
    socket.setTimeout(1_000);
    const end = (found: boolean): void => {
      socket.destroy();
      resolve(found);
    };
    socket.on('data', () => end(true));
    socket.on('timeout', () => end(false));
    socket.on('error', () => end(false));
    socket.on('close', () => end(false));
  });
}
