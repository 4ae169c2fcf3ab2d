import type { FastifyInstance } from 'fastify';
import { ForemeshError } from '../../base/index.ts';
import type { RegisteredModel } from '../../forecast/index.ts';
import { answers } from '../answers.ts';
import { toOutside } from '../outside.ts';
import { ModelFileQuery, ModelParams, NoQuery, type ModelFileRequest, type ModelUseRequest } from '../schemas.ts';
import type { ApiDeps } from '../server.ts';

/** A file of a thousand pairs has some megabytes. */
const FILE_BYTES_MAX = 96 * 1024 * 1024;

/** The versions of the forecast's models: which there are, which is used, and their files, which hold the last days of demands. */
export function addModelRoutes(server: FastifyInstance, { engine, log }: ApiDeps): void {
  server.get('/v1/forecasts/models', { schema: { summary: 'Versions of what was learned, newest first', querystring: NoQuery, response: answers('Models') } }, async () => {
    const { active, isPinned, versions } = await engine.models.models();
    return toOutside({ schema: 'foremesh/models/v1', active, isPinned, versions: versions.map((version) => modelOutside(version)) });
  });

  server.post<{ Body: ModelUseRequest }>(
    '/v1/forecasts/models/active',
    { schema: { summary: 'Forecasts with this version from now on, whatever is trained later; `latest` ends that', querystring: NoQuery, body: { $ref: 'ModelUse#' }, response: answers('ModelAnswer') } },
    async ({ body }) => {
      const model = await engine.models.use(body.version);
      log.info({ version: model.version, digest: model.digest }, 'a version of the models was chosen');
      return toOutside({ schema: 'foremesh/model/v1', model: modelOutside(model) });
    },
  );

  server.get<{ Params: { version: string }; Querystring: { form?: 'foremesh' | 'onnx' } }>(
    '/v1/forecasts/models/:version/file',
    { schema: { summary: 'A version as a file, in base64', params: ModelParams, querystring: ModelFileQuery, response: answers('ModelFile') } },
    async ({ params, query }) => {
      const { version, file } = await engine.models.exportModel(params.version === 'active' ? 'active' : Number(params.version), query.form ?? 'foremesh');
      return { schema: 'foremesh/model-file/v1', version, content: Buffer.from(file).toString('base64') };
    },
  );

  server.post<{ Body: ModelFileRequest }>(
    '/v1/forecasts/models',
    { bodyLimit: FILE_BYTES_MAX, schema: { summary: 'Adds a file as a version; it is not used until it is chosen', querystring: NoQuery, body: { $ref: 'ModelFileRequest#' }, response: answers('ModelAnswer', 201) } },
    async ({ body }, reply) => {
      const file = Buffer.from(body.content, 'base64');
      if (file.length === 0) throw new ForemeshError('FORECAST_MODEL_INVALID', { what: 'the file is empty', fix: 'export it again where it came from' });
      const model = await engine.models.importModel(file);
      log.info({ version: model.version, digest: model.digest }, 'a version of the models was imported');
      return reply.status(201).send(toOutside({ schema: 'foremesh/model/v1', model: modelOutside(model) }));
    },
  );
}

/** What of an entry is of use outside. */
function modelOutside({ version, digest, origin, registeredAt, window, pairs, seed, settings, models, bytes, backtest, serving }: RegisteredModel): unknown {
  return { version, digest, origin, registeredAt, trainedUntil: new Date(window.endAt).toISOString(), slots: window.slots, pairs, seed, settings, models, bytes, backtest, serving };
}
