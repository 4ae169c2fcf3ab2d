import type { FastifyInstance } from 'fastify';
import { ForemeshError } from '../../base/index.ts';
import { nodeId, type NodeId } from '../../model/index.ts';
import { answers } from '../answers.ts';
import { toOutside } from '../outside.ts';
import { NodeParams, NoQuery, type RevocationRequestBody } from '../schemas.ts';
import type { ApiDeps } from '../server.ts';

/** What an operator does about the credentials of one node. */
export function addNodeRoutes(server: FastifyInstance, { engine, askToRenew, log, revoke, revocations }: ApiDeps): void {
  server.post<{ Params: { node: string } }>(
    '/v1/nodes/:node/renewal',
    { schema: { summary: 'Tells a connected node to get a new certificate now and to move its tunnels to it', params: NodeParams, querystring: NoQuery, response: answers('NodeRequest', 202) } },
    async ({ params }, reply) => {
      const node = nodeId(params.node);
      if (!askToRenew(node)) throw notConnected(engine, node);
      return reply.status(202).send(toOutside({ schema: 'foremesh/node-request/v1', node }));
    },
  );

  server.post<{ Params: { node: string }; Body: RevocationRequestBody }>(
    '/v1/nodes/:node/revocation',
    { schema: { summary: 'Revokes the keys of a node for ever: it is cut off here at once, and its peers end their SAs with it', params: NodeParams, querystring: NoQuery, body: { $ref: 'RevocationRequest#' }, response: answers('Revocation') } },
    async ({ params, body }) => {
      const node = nodeId(params.node);
      const keys = await revoke(node, body.why, body.by);
      log.warn({ node, keys: keys.map(({ keySha256 }) => keySha256), why: body.why, by: body.by }, 'a node was revoked');
      if (keys.length === 0 && !revocations().some((entry) => entry.node === node)) throw new ForemeshError('API_NOT_FOUND', { what: `${node} has no certificate that is valid now`, fix: 'nothing: it cannot connect, and its open join tokens were dropped' });
      return toOutside({ schema: 'foremesh/revocation/v1', node, keys });
    },
  );

  server.get('/v1/revocations', { schema: { summary: 'All keys that were revoked, with who did it and why', querystring: NoQuery, response: answers('Revocations') } }, () =>
    toOutside({ schema: 'foremesh/revocations/v1', revocations: revocations() }),
  );
}

function notConnected(engine: ApiDeps['engine'], node: NodeId): ForemeshError {
  const isKnown = engine.view().nodes.some((one) => one.node === node);
  return isKnown
    ? new ForemeshError('CHANNEL_CLOSED', { what: `${node} is not connected`, fix: 'see why in its log; it renews by itself at half its certificate’s life' })
    : new ForemeshError('API_NOT_FOUND', { what: `there is no node "${node}"`, fix: 'foremesh status lists them' });
}
