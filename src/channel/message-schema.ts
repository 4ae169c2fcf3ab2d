import { Ajv, type ValidateFunction } from 'ajv';
import { ALARMS_MAX, DRIFT_LINES_MAX, NAME_PATTERN, type AgentMessage, type PackedSamplesMessage, type RefusedSamples, type Sample } from '../model/index.ts';

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
const figure: Schema = { type: 'number' };
const ratio: Schema = { anyOf: [figure, { type: 'null' }] };
/** JSON has no NaN and makes it null. Whether a figure is plausible is for the telemetry store to say: it gets NaN back. */
const measured: Schema = { anyOf: [figure, { type: 'null' }] };
const pathState: Schema = { type: 'string', enum: ['up', 'degraded', 'down', 'unknown'] };
const stateText: Schema = { anyOf: [{ type: 'string', maxLength: 40 }, { type: 'null' }] };
const window = { sampledAt: measured, windowMs: measured, node: name };

const SAMPLE_FORMS: Record<Sample['kind'], Record<string, Schema>> = {
  traffic: { ...window, from: name, to: name, classId: name, offeredBytes: measured, offeredPackets: measured, droppedBytes: measured },
  path: { ...window, peer: name, tunnel, path, state: pathState, latencyMs: ratio, jitterMs: ratio, lossForwardRatio: ratio, lossReverseRatio: ratio },
  tunnel: { ...window, tunnel, rxBytes: measured, txBytes: measured },
  uplink: { ...window, uplink, rxBytes: measured, txBytes: measured },
  users: { ...window, group: { type: 'string', enum: ['class', 'role'] }, name, hosts: measured },
  services: { ...window, from: name, to: name, classId: name, service: { type: 'string', maxLength: 9, pattern: '^(tcp|udp)/[0-9]{1,5}$' }, connections: ratio, packets: ratio },
  host: {
    ...window,
    cpuRatio: measured,
    load: measured,
    memoryUsedBytes: measured,
    memoryTotalBytes: measured,
    agentCpuRatio: measured,
    agentRssBytes: measured,
    daemonCpuRatio: ratio,
    daemonRssBytes: ratio,
    connections: ratio,
  },
};

const SCHEMA = oneOf('type', {
  hello: { node: name, version: { type: 'string', maxLength: 60 }, generation: count, commit },
  // each by itself: one that nobody can read must not hold up the others, which would come again with it for ever
  samples: { sequence, samples: { type: 'array', maxItems: 10_000 } },
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
type Invalid = { ok: false; what: string };

const SAMPLE_SCHEMA = oneOf('kind', SAMPLE_FORMS);
/** Members by kind that are numbers or, where JSON knew none for them, NaN. */
const MEASURED = new Map(Object.entries(SAMPLE_FORMS).map(([kind, form]) => [kind, Object.keys(form).filter((key) => form[key] === measured)]));

let validate: { frame: ValidateFunction<Frame>; sample: ValidateFunction<Sample> } | null = null;

/** The message of a frame's text, samples as they came and not looked at, or what is wrong with it, without quoting it. */
export function parseFrame(text: string): { ok: true; message: Frame } | Invalid {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, what: 'the frame is not JSON' };
  }
  const { frame } = validators();
  return frame(value) ? { ok: true, message: value } : { ok: false, what: faultOf(frame) };
}

/** Parts samples into those of a known form, with NaN for figures that are none, and the others. */
export function splitReadable(samples: readonly unknown[]): { samples: Sample[]; refused: RefusedSamples | null } {
  const { sample } = validators();
  const readable: Sample[] = [];
  let example: string | null = null;
  for (const each of samples) {
    if (sample(each)) readable.push(withNumbers(each));
    else example ??= `a sample whose ${faultOf(sample)}`;
  }
  return { samples: readable, refused: example === null ? null : { samples: samples.length - readable.length, example } };
}

function withNumbers(sample: Sample): Sample {
  const unknown = MEASURED.get(sample.kind)!.filter((key) => (sample as unknown as Record<string, unknown>)[key] === null);
  return unknown.length === 0 ? sample : { ...sample, ...Object.fromEntries(unknown.map((key) => [key, Number.NaN])) };
}

function validators(): { frame: ValidateFunction<Frame>; sample: ValidateFunction<Sample> } {
  if (validate) return validate;
  const ajv = new Ajv({ strict: true, ownProperties: true, discriminator: true });
  validate = { frame: ajv.compile<Frame>(SCHEMA), sample: ajv.compile<Sample>(SAMPLE_SCHEMA) };
  return validate;
}

function faultOf({ errors }: ValidateFunction): string {
  const [error] = errors ?? [];
  return `${error?.instancePath || '/'} ${error?.message ?? 'is not acceptable'}`;
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
