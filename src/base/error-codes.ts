/** What a code means to HTTP and to the shell; `docs/errors.md` says more, and a test keeps the two in step. */
export interface ErrorCodeEntry {
  httpStatus: number;
  exitCode: number;
}

const input: ErrorCodeEntry = { httpStatus: 400, exitCode: 1 };
const environment: ErrorCodeEntry = { httpStatus: 500, exitCode: 2 };
const refused: ErrorCodeEntry = { httpStatus: 409, exitCode: 1 };
const unavailable: ErrorCodeEntry = { httpStatus: 503, exitCode: 2 };

/** All codes. New code: one line here, one heading in `docs/errors.md`. Keep sorted. */
export const ERROR_CODES = {
  AGENT_CONFIG_INVALID: input,
  AGENT_FLOOR_REFUSED: refused,
  AGENT_MLKEM_MISSING: refused,
  AGENT_PLAN_INVALID: refused,
  AGENT_PLAN_STALE: refused,
  API_FORBIDDEN: { httpStatus: 403, exitCode: 1 },
  API_NOT_FOUND: { httpStatus: 404, exitCode: 1 },
  API_REQUEST_INVALID: input,
  API_UNAUTHORIZED: { httpStatus: 401, exitCode: 1 },
  API_UNREACHABLE: unavailable,
  CA_CSR_REFUSED: input,
  CA_KEY_REVOKED: { httpStatus: 403, exitCode: 1 },
  CA_PPK_UNAVAILABLE: refused,
  CA_TOKEN_REFUSED: { httpStatus: 403, exitCode: 1 },
  CHANNEL_BUSY: { httpStatus: 429, exitCode: 2 },
  CHANNEL_CLOSED: unavailable,
  CHANNEL_MESSAGE_INVALID: input,
  CLI_USAGE: { httpStatus: 400, exitCode: 1 },
  COMMAND_FAILED: environment,
  DATAPLANE_FAILED: environment,
  FORECAST_DATA_INVALID: input,
  FORECAST_FAILED: environment,
  FORECAST_MODEL_INVALID: input,
  FORESIGHT_TOPOLOGY_INVALID: input,
  FORGE_CHANGE_UNKNOWN: { httpStatus: 404, exitCode: 1 },
  FORGE_REFUSED: refused,
  FORGE_REVIEW_INVALID: { httpStatus: 403, exitCode: 1 },
  GIT_COMMIT_UNSIGNED: refused,
  GIT_FAILED: environment,
  GIT_REF_MOVED: refused,
  GIT_REF_REFUSED: input,
  INSTANCE_INVALID: input,
  INTENT_DUPLICATE: input,
  INTENT_INVALID: input,
  INTENT_LIMIT: input,
  INTENT_REFERENCE: input,
  INTENT_SCHEMA: input,
  INTENT_SECRET: input,
  INTENT_UNIT: input,
  INTENT_UNKNOWN_KEY: input,
  INTENT_YAML: input,
  INTERNAL: { httpStatus: 500, exitCode: 2 },
  LAB_FAILED: environment,
  LAB_NOT_POSSIBLE: environment,
  PLAN_INVALID: { httpStatus: 500, exitCode: 1 },
  POLICY_DENIED: refused,
  POLICY_INVALID: input,
  POLICY_TIMEOUT: { httpStatus: 500, exitCode: 1 },
  PROBE_FAILED: unavailable,
  REPOSITORY_MISSING: { httpStatus: 404, exitCode: 2 },
  STATE_DAMAGED: environment,
  TELEMETRY_FAILED: environment,
  TOOL_MISSING: environment,
  VICI_CLOSED: unavailable,
  VICI_FAILED: unavailable,
  VICI_PROTOCOL: unavailable,
} as const satisfies Record<string, ErrorCodeEntry>;

export type ErrorCode = keyof typeof ERROR_CODES;
