import { connect } from 'node:net';
import { type Clock, ForemeshError, sleep } from '../../base/index.ts';

/**
 * One call to a lab process.
 * @throws ForemeshError LAB_FAILED when nobody listens, the answer is an error, or none comes within `timeoutMs`
 */
export function controlCall<Result>(socketFile: string, method: string, params: unknown, timeoutMs = 10_000): Promise<Result> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketFile);
    let text = '';
    const fail = (why: string, cause?: unknown): void => {
      socket.destroy();
      reject(new ForemeshError('LAB_FAILED', { what: `${method} at ${socketFile}: ${why}`, fix: 'see the log of that process in the logs folder of the lab', cause }));
    };
    socket.setEncoding('utf8');
    socket.setTimeout(timeoutMs, () => fail(`no answer within ${timeoutMs} ms`));
    socket.on('error', (cause) => fail(cause.message, cause));
    socket.on('end', () => fail('closed without an answer'));
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (!text.endsWith('\n')) return;
      const reply = JSON.parse(text) as { result: Result } | { error: string };
      if ('error' in reply) return fail(reply.error);
      socket.destroy();
      resolve(reply.result);
    });
    socket.write(`${JSON.stringify({ method, params })}\n`);
  });
}

/** Waits until a process answers `ping` on its socket. @throws the last error after `limitMs` */
export async function controlReady(socketFile: string, clock: Clock, limitMs = 10_000): Promise<void> {
  const deadlineMs = clock.monotonicMs() + limitMs;
  for (;;) {
    try {
      return await controlCall(socketFile, 'ping', null, 2000);
    } catch (cause) {
      if (clock.monotonicMs() > deadlineMs) throw cause;
      await sleep(clock, 20);
    }
  }
}
