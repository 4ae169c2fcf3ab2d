import { isAbsolute, resolve } from 'node:path';
import { Ajv, type ErrorObject } from 'ajv';
import { Type, type Static } from 'typebox';
import { parse } from 'yaml';
import { ForemeshError, messageOf, readFileIfExists } from '../base/index.ts';

const ConfigSchema = Type.Object(
  {
    stateDir: Type.String({ minLength: 1, description: 'keys, CA, mirror, telemetry, recorded inputs, model' }),
    repository: Type.String({ minLength: 1, maxLength: 2000, description: 'the forge: a bare repository on this machine' }),
    channel: Type.Object(
      {
        address: Type.String({ minLength: 1, maxLength: 100 }),
        port: Type.Integer({ minimum: 0, maximum: 65_535 }),
        hosts: Type.Array(Type.String({ minLength: 1, maxLength: 253 }), { minItems: 1, maxItems: 20, description: 'names and addresses by which agents reach it; they stand in its certificate' }),
      },
      { additionalProperties: false },
    ),
    api: Type.Object({ socket: Type.Optional(Type.String({ minLength: 1, maxLength: 100 })), port: Type.Optional(Type.Integer({ minimum: 0, maximum: 65_535 })) }, { additionalProperties: false }),
    mainBranch: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
    firstPlanAfterTraining: Type.Optional(Type.Boolean({ description: 'the first plan waits for the models; default false' })),
    historyDays: Type.Optional(Type.Integer({ minimum: 1, maximum: 365 })),
    seed: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
    opa: Type.Optional(Type.String({ minLength: 1 })),
    logFile: Type.Optional(Type.String({ minLength: 1 })),
  },
  { additionalProperties: false },
);

/** What `foremesh serve` is told. `api` without socket and port listens at `<stateDir>/api.sock`. */
export type ServeConfig = Static<typeof ConfigSchema>;

const validate = new Ajv({ strict: true, allErrors: true, ownProperties: true }).compile<ServeConfig>(ConfigSchema);

/** Reads a JSON or YAML file; paths in it may be relative to the working folder. @throws ForemeshError CLI_USAGE naming all that is wrong */
export async function loadServeConfig(file: string): Promise<ServeConfig> {
  const text = await readFileIfExists(file);
  if (text === null) throw usage(`there is no file ${file}`, 'pass the engine’s settings with --config');
  let value: unknown;
  try {
    value = parse(text, { maxAliasCount: 0, schema: 'core', version: '1.2' });
  } catch (cause) {
    throw usage(`${file} is neither JSON nor YAML: ${messageOf(cause)}`, 'correct it');
  }
  return checkServeConfig(value, file);
}

/** The same settings with absolute paths. @throws ForemeshError CLI_USAGE */
export function checkServeConfig(value: unknown, file = 'the settings'): ServeConfig {
  if (!validate(value)) throw usage(`${file}: ${(validate.errors ?? []).map(faultOf).join('; ')}`, 'see docs/api.md for the settings of foremesh serve');
  const isLocal = !value.repository.includes('://') && !/^[\w.-]+@/.test(value.repository);
  return {
    ...value,
    stateDir: resolve(value.stateDir),
    repository: isLocal && !isAbsolute(value.repository) ? resolve(value.repository) : value.repository,
  };
}

function faultOf(error: ErrorObject): string {
  const unknown = error.keyword === 'additionalProperties' ? ` (${String(error.params['additionalProperty'])})` : '';
  return `${error.instancePath === '' ? 'it' : error.instancePath.slice(1).replaceAll('/', '.')} ${error.message ?? 'is wrong'}${unknown}`;
}

function usage(what: string, fix: string): ForemeshError {
  return new ForemeshError('CLI_USAGE', { what, fix });
}
