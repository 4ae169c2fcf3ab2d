import { createServer, type Server, type Socket } from 'node:net';
import { rm } from 'node:fs/promises';
import { messageOf } from '../../base/index.ts';

/** What a process answers: by method name, from parameters to a JSON value. Parameters come from our own lab code, as root. */
export type ControlHandlers = Record<string, (params: never) => unknown>;

/** A request may not be longer than this, bytes. */
const REQUEST_BYTES_MAX = 4_194_304;

/** Answers calls on `socketFile` (mode 0600 by the folder's mode) until closed. A handler's error goes back as text. */
export async function serveControl(socketFile: string, handlers: ControlHandlers): Promise<{ close(): Promise<void> }> {
  await rm(socketFile, { force: true });
  const server = createServer((socket) => readRequests(socket, handlers));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketFile, resolve);
  });
  return { close: () => closeServer(server, socketFile) };
}

function readRequests(socket: Socket, handlers: ControlHandlers): void {
  let text = '';
  socket.setEncoding('utf8');
  socket.on('error', () => socket.destroy()); // the caller went away; its next call opens a new connection
  socket.on('data', (chunk: string) => {
    text += chunk;
    if (text.length > REQUEST_BYTES_MAX) {
      socket.destroy();
      return;
    }
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
      const line = text.slice(0, end);
      text = text.slice(end + 1);
      void answer(line, handlers).then((reply) => socket.write(`${JSON.stringify(reply)}\n`));
    }
  });
}

async function answer(line: string, handlers: ControlHandlers): Promise<{ result: unknown } | { error: string }> {
  try {
    const request = JSON.parse(line) as { method: string; params: unknown };
    const handler = Object.hasOwn(handlers, request.method) ? handlers[request.method] : undefined;
    if (!handler) return { error: `unknown method ${request.method}` };
    return { result: (await handler(request.params as never)) ?? null };
  } catch (cause) {
    return { error: messageOf(cause) };
  }
}

async function closeServer(server: Server, socketFile: string): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  await rm(socketFile, { force: true });
}
