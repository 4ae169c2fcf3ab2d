import type { FastifyInstance } from 'fastify';
import { ForemeshError } from '../../base/index.ts';
import { nodeId, type NodeId } from '../../model/index.ts';
import { answers } from '../answers.ts';
import { toOutside } from '../outside.ts';
import { NodeParams, NoQuery } from '../schemas.ts';
import type { ApiDeps } from '../server.ts';

/** What an operator does about the credentials of one node. */
export function addNodeRoutes(server: FastifyInstance, { engine, askToRenew }: ApiDeps): void {
  server.post<{ Params: { node: string } }>(
    '/v1/nodes/:node/renewal',
    { schema: { summary: 'Tells a connected node to get a new certificate now and to move its tunnels to it', params: NodeParams, querystring: NoQuery, response: answers('NodeRequest', 202) } },
    async ({ params }, reply) => {
      const node = nodeId(params.node);
      if (!askToRenew(node)) throw notConnected(engine, node);
      return reply.status(202).send(toOutside({ schema: 'foremesh/node-request/v1', node }));
    },
  );
}

function notConnected(engine: ApiDeps['engine'], node: NodeId): ForemeshError {
  const isKnown = engine.view().nodes.some((one) => one.node === node);
  return isKnown
    ? new ForemeshError('CHANNEL_CLOSED', { what: `${node} is not connected`, fix: 'see why in its log; it renews by itself at half its certificate’s life' })
    : new ForemeshError('API_NOT_FOUND', { what: `there is no node "${node}"`, fix: 'foremesh status lists them' });
}
