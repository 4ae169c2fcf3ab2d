import type { FastifyInstance } from 'fastify';
import { ForemeshError } from '../../base/index.ts';
import { answers } from '../answers.ts';
import { toOutside } from '../outside.ts';
import { NoQuery, ProposalParams, ProposalQuery, type ReviewRequest } from '../schemas.ts';
import type { ApiDeps } from '../server.ts';

/** Proposals, and a person's signed word on them. */
export function addProposalRoutes(server: FastifyInstance, { engine, addReview }: ApiDeps): void {
  server.get<{ Querystring: { state?: 'open' | 'all' } }>(
    '/v1/proposals',
    { schema: { summary: 'Proposals, newest first', querystring: ProposalQuery, response: answers('Proposals') } },
    async ({ query }) => toOutside({ schema: 'foremesh/proposals/v1', proposals: await engine.proposals(query.state ?? 'open') }),
  );

  server.get<{ Params: { id: string } }>(
    '/v1/proposals/:id',
    { schema: { summary: 'One proposal: diff, reasons, report, reviews', params: ProposalParams, querystring: NoQuery, response: answers('Proposal') } },
    async ({ params }) => toOutside({ schema: 'foremesh/proposal/v1', ...(await engine.proposal(Number(params.id))) }),
  );

  server.post<{ Params: { id: string }; Body: ReviewRequest }>(
    '/v1/proposals/:id/reviews',
    {
      schema: {
        summary: 'Approves or blocks exactly one commit of a proposal, signed with the reviewer’s SSH key; answers after the cycle that acts on it',
        params: ProposalParams,
        querystring: NoQuery,
        body: { $ref: 'Review#' },
        response: answers('ReviewAnswer'),
      },
    },
    async ({ params, body }) => {
      if (!addReview) {
        throw new ForemeshError('API_FORBIDDEN', { what: 'reviews are given at the forge, not here', fix: 'open the proposal at its URL' });
      }
      const id = Number(params.id);
      await addReview(id, body);
      const outcome = await engine.cycle();
      return toOutside({ schema: 'foremesh/review/v1', proposal: id, verdict: body.verdict, outcome });
    },
  );
}
