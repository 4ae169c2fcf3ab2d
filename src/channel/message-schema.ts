import { Ajv, type ValidateFunction } from 'ajv';
import { ALARMS_MAX, DRIFT_LINES_MAX, NAME_PATTERN, type AgentMessage, type PackedSamplesMessage } from '../model/index.ts';

type Schema = Readonly<Record<string, unknown>>;

const NAME = NAME_PATTERN.slice(1, -1);
const name: Schema = { type: 'string', maxLength: 40, pattern: NAME_PATTERN };
const tunnel: Schema = { type: 'string', maxLength: 10, pattern: '^t-[0-9a-f]{8}$' };
const path: Schema = { type: 'string', maxLength: 170, pattern: `^${NAME}/${NAME}~${NAME}/${NAME}$` };
const uplink: Schema = { type: 'string', maxLength: 82, pattern: `^${NAME}/${NAME}$` };
const commit: Schema = { anyOf: [{ type: 'string', maxLength: 40, pattern: '^[0-9a-f]{40}$' }, { type: 'null' }] };
const count: Schema = { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER };
const whole: Schema = { type: 'integer', minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER };
const sequence: Schema = { ...count, minimum: 1 };
/** Whether a figure is plausible is for the telemetry store to say; here it must only be a number. */
const figure: Schema = { type: 'number' };
const ratio: Schema = { anyOf: [figure, { type: 'null' }] };
const pathState: Schema = { type: 'string', enum: ['up', 'degraded', 'down', 'unknown'] };
const stateText: Schema = { anyOf: [{ type: 'string', maxLength: 40 }, { type: 'null' }] };
const window = { sampledAt: figure, windowMs: figure, node: name };

const sample = oneOf('kind', {
  traffic: { ...window, from: name, to: name, classId: name, offeredBytes: figure, offeredPackets: figure, droppedBytes: figure },
  path: { ...window, peer: name, tunnel, path, state: pathState, latencyMs: ratio, jitterMs: ratio, lossForwardRatio: ratio, lossReverseRatio: ratio },
  tunnel: { ...window, tunnel, rxBytes: figure, txBytes: figure },
  uplink: { ...window, uplink, rxBytes: figure, txBytes: figure },
  users: { ...window, group: { type: 'string', enum: ['class', 'role'] }, name, hosts: figure },
  services: { ...window, from: name, to: name, classId: name, service: { type: 'string', maxLength: 9, pattern: '^(tcp|udp)/[0-9]{1,5}$' }, connections: ratio, packets: ratio },
  host: {
    ...window,
    cpuRatio: figure,
    load: figure,
    memoryUsedBytes: figure,
    memoryTotalBytes: figure,
    agentCpuRatio: figure,
    agentRssBytes: figure,
    daemonCpuRatio: ratio,
    daemonRssBytes: ratio,
    connections: ratio,
  },
});

const SCHEMA = oneOf('type', {
  hello: { node: name, version: { type: 'string', maxLength: 60 }, generation: count, commit },
  samples: { sequence, samples: { type: 'array', maxItems: 10_000, items: sample } },
  packed: {
    sequence,
    define: { type: 'array', maxItems: 10_001, items: { type: 'array', maxItems: 6, items: { type: 'string', maxLength: 170 } } },
    groups: { type: 'array', maxItems: 1_000, items: object({ at: whole, windowMs: figure, rows: { type: 'array', maxItems: 10_000, items: { type: 'array', minItems: 1, maxItems: 12, items: { anyOf: [whole, { type: 'null' }] } } } }) },
  },
  status: {
    status: object({ node: name, generation: count, commit, drift: { type: 'array', maxItems: 1000, items: { type: 'string', maxLength: 1000 } }, ike: { anyOf: [object({ version: { type: 'string', maxLength: 60 }, mlKem: { type: 'boolean' } }), { type: 'null' }] } }, ['ike']),
    tunnels: { type: 'array', maxItems: 10_000, items: object({ tunnel, ikeState: stateText, childState: stateText, pathState, mtuBytes: ratio }, ['mtuBytes']) },
    leakPackets: count,
    shaped: { type: 'array', maxItems: 4096, items: object({ uplink: name, classId: name, droppedPackets: count, droppedBytes: count }, ['droppedBytes']) },
    repairs: count,
    configSignedAt: { anyOf: [figure, { type: 'null' }] },
    alarms: { type: 'array', maxItems: ALARMS_MAX, items: { type: 'string', maxLength: 300 } },
  },
  event: {
    event: oneOf('kind', {
      'path-down': { tunnel, at: figure, lanesSwitched: count },
      'path-up': { tunnel, at: figure, lanesSwitched: count },
      drift: { at: figure, changes: { type: 'array', maxItems: DRIFT_LINES_MAX, items: { type: 'string', maxLength: 300 } } },
    }),
  },
});

type Frame = AgentMessage | PackedSamplesMessage;
type Checked<Form> = { ok: true; message: Form } | { ok: false; what: string };

let validate: ValidateFunction<Frame> | null = null;

/** The message of a frame's text, samples as they came, or what is wrong with it, without quoting it. */
export function parseFrame(text: string): Checked<Frame> {
  try {
    return check(JSON.parse(text) as unknown);
  } catch {
    return { ok: false, what: 'the frame is not JSON' };
  }
}

/** The same for a value that is no frame's text. */
export function checkAgentMessage(value: unknown): Checked<AgentMessage> {
  const checked = check(value);
  return checked.ok && checked.message.type === 'packed' ? { ok: false, what: 'packed samples' } : (checked as Checked<AgentMessage>);
}

function check(value: unknown): Checked<Frame> {
  validate ??= new Ajv({ strict: true, ownProperties: true, discriminator: true }).compile<Frame>(SCHEMA);
  if (validate(value)) return { ok: true, message: value };
  const [error] = validate.errors ?? [];
  return { ok: false, what: `${error?.instancePath || '/'} ${error?.message ?? 'is not acceptable'}` };
}

/** An object whose member `tag` says which of the forms it has. */
function oneOf(tag: string, forms: Record<string, Record<string, Schema>>): Schema {
  return {
    type: 'object',
    required: [tag],
    properties: { [tag]: { type: 'string' } },
    discriminator: { propertyName: tag },
    oneOf: Object.entries(forms).map(([value, properties]) => object({ [tag]: { const: value }, ...properties })),
  };
}

function object(properties: Record<string, Schema>, optional: readonly string[] = []): Schema {
  return { type: 'object', additionalProperties: false, required: Object.keys(properties).filter((key) => !optional.includes(key)), properties };
}
