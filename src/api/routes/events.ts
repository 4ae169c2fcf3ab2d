import type { FastifyInstance } from 'fastify';
import { toOutside } from '../outside.ts';
import { NoQuery } from '../schemas.ts';
import type { ApiDeps } from '../server.ts';

const STREAMS_MAX = 50;
const HEARTBEAT_MS = 15_000;

/** Server-sent events: one `cycle` event after each cycle, with how it ended. */
export function addEventRoutes(server: FastifyInstance, { engine, clock }: ApiDeps): void {
  let streams = 0;
  server.get('/v1/events', { schema: { summary: 'Server-sent events: how each cycle ended', querystring: NoQuery } }, (request, reply) => {
    if (streams >= STREAMS_MAX) {
      return reply.status(503).send({ code: 'API_UNREACHABLE', what: 'too many event streams are open', where: null, fix: 'close one, or ask /v1/status instead' });
    }
    streams++;
    reply.hijack();
    const { raw } = reply;
    raw.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
    raw.write(': open\n\n');
    const stop = engine.onCycle((result, tookMs) => {
      raw.write(`event: cycle\ndata: ${JSON.stringify(toOutside({ at: new Date(clock.now()).toISOString(), tookMs, ...result }))}\n\n`);
    });
    let cancel = clock.setTimer(HEARTBEAT_MS, beat);
    function beat(): void {
      raw.write(': still here\n\n');
      cancel = clock.setTimer(HEARTBEAT_MS, beat);
    }
    request.raw.on('close', () => {
      streams--;
      cancel();
      stop();
    });
    return reply;
  });
}
