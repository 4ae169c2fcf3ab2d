import { HOST_NAME_PATTERN, NAME_PATTERN } from '../model/index.ts';

/** A JSON Schema (2020-12) as data. */
export type JsonSchema = { readonly [keyword: string]: unknown };

/**
 * The value types that all kinds share. Each has a `title`, by which a failed value is explained, and `examples`, which
 * become the fix. The unit stands in the value: `5m`, `200Mbps`, `0.5%`.
 */
export const VALUE_TYPES = {
  name: {
    title: 'Name',
    description: 'Lower-case letters, digits and hyphens, beginning with a letter, at most 40 characters.',
    type: 'string',
    maxLength: 40,
    pattern: NAME_PATTERN,
    examples: ['berlin'],
  },
  selector: {
    title: 'Site selector',
    description: 'A site name; a * at the end matches every name that begins so, and * alone every site.',
    type: 'string',
    maxLength: 41,
    pattern: '^(?:\\*|[a-z][a-z0-9-]{0,39}\\*?)$',
    examples: ['berlin', 'store-*', '*'],
  },
  uplinkName: {
    title: 'Uplink id',
    description: 'An uplink with its node: node/uplink.',
    type: 'string',
    maxLength: 81,
    pattern: '^[a-z][a-z0-9-]{0,39}/[a-z][a-z0-9-]{0,39}$',
    examples: ['berlin-gw1/fibre'],
  },
  duration: {
    title: 'Duration',
    description: 'A duration with its unit: ms, s, m, h, d; units may be joined.',
    type: 'string',
    maxLength: 32,
    pattern: '^(?:[0-9]{1,9}(?:\\.[0-9]{1,6})?(?:ms|s|m|h|d))+$',
    examples: ['5m', '250ms', '1h30m'],
  },
  bandwidth: {
    title: 'Bandwidth',
    description: 'A bandwidth with its unit: kbps, Mbps, Gbps or Tbps (powers of ten).',
    type: 'string',
    maxLength: 32,
    pattern: '^[0-9]{1,9}(?:\\.[0-9]{1,6})?(?:kbps|Mbps|Gbps|Tbps)$',
    examples: ['200Mbps', '1.5Gbps'],
  },
  ratio: {
    title: 'Share',
    description: 'A share in per cent, 0% to 100%.',
    type: 'string',
    maxLength: 16,
    pattern: '^(?:100(?:\\.0{1,6})?|[0-9]{1,2}(?:\\.[0-9]{1,6})?)%$',
    examples: ['0.5%', '80%'],
  },
  prefix: {
    title: 'IP prefix',
    description: 'An IPv4 or IPv6 prefix without host bits; IPv6 in its short form (RFC 5952).',
    type: 'string',
    maxLength: 43,
    pattern: '^(?:[0-9]{1,3}(?:\\.[0-9]{1,3}){3}|[0-9a-f:]{2,39})/[0-9]{1,3}$',
    format: 'foremesh-prefix',
    examples: ['10.1.0.0/24', 'fd00:1::/64'],
  },
  ipv4Prefix: {
    title: 'IPv4 prefix',
    description: 'An IPv4 prefix without host bits.',
    type: 'string',
    maxLength: 18,
    pattern: '^[0-9]{1,3}(?:\\.[0-9]{1,3}){3}/[0-9]{1,2}$',
    format: 'foremesh-prefix',
    examples: ['10.1.0.0/24'],
  },
  address: {
    title: 'IP address',
    description: 'One IPv4 address in four decimal parts, or one IPv6 address in its short form (RFC 5952).',
    type: 'string',
    maxLength: 39,
    pattern: '^(?:[0-9]{1,3}(?:\\.[0-9]{1,3}){3}|[0-9a-f:]{2,39})$',
    format: 'foremesh-address',
    examples: ['100.64.1.1', '2001:db8:1::1'],
  },
  ipv4Address: {
    title: 'IPv4 address',
    description: 'One IPv4 address in four decimal parts.',
    type: 'string',
    maxLength: 15,
    pattern: '^[0-9]{1,3}(?:\\.[0-9]{1,3}){3}$',
    format: 'foremesh-address',
    examples: ['10.1.0.53'],
  },
  hostPrefix: {
    title: 'IPv4 address with prefix length',
    description: 'An IPv4 address and the length of its network.',
    type: 'string',
    maxLength: 18,
    pattern: '^[0-9]{1,3}(?:\\.[0-9]{1,3}){3}/[0-9]{1,2}$',
    format: 'foremesh-host-prefix',
    examples: ['10.1.0.1/24'],
  },
  hostName: {
    title: 'Host name',
    description: 'A host name in lower case, with at least one dot; *. in front means every name below it, not the name itself.',
    type: 'string',
    minLength: 3,
    maxLength: 253,
    pattern: HOST_NAME_PATTERN,
    examples: ['git.example.org', '*.teams.example'],
  },
  hostPrefix6: {
    title: 'IPv6 address with prefix length',
    description: 'An IPv6 address in its short form (RFC 5952) and the length of its network.',
    type: 'string',
    maxLength: 43,
    pattern: '^[0-9a-f:]{2,39}/[0-9]{1,3}$',
    format: 'foremesh-host-prefix',
    examples: ['fd00:1::1/64'],
  },
  interface: {
    title: 'Interface name',
    description: 'Name of a Linux network interface, at most 15 characters.',
    type: 'string',
    maxLength: 15,
    pattern: '^[a-z][a-z0-9._-]{0,14}$',
    examples: ['lan', 'eth0'],
  },
  label: {
    title: 'Label',
    description: 'A short text for people: letters, digits, spaces and the marks . , \' ( ) & + / -',
    type: 'string',
    minLength: 1,
    maxLength: 60,
    pattern: "^[\\p{L}\\p{N}][\\p{L}\\p{N} .,'()&+/-]*$",
    examples: ['Berlin'],
  },
  portRange: {
    title: 'Ports',
    description: 'One port, or a range of them including both ends.',
    type: ['integer', 'string'],
    minimum: 0,
    maximum: 65_535,
    maxLength: 11,
    pattern: '^[0-9]{1,5}-[0-9]{1,5}$',
    examples: [443, '5000-5099'],
  },
  instant: {
    title: 'Instant',
    description: 'A moment in UTC, ISO 8601.',
    type: 'string',
    maxLength: 24,
    pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\\.[0-9]{3})?)?Z$',
    examples: ['2026-11-22T18:00:00Z'],
  },
  timeOfDay: {
    title: 'Time of day',
    description: 'Hours and minutes, 00:00 to 23:59.',
    type: 'string',
    maxLength: 5,
    pattern: '^(?:[01][0-9]|2[0-3]):[0-5][0-9]$',
    examples: ['22:00'],
  },
  timeZone: {
    title: 'Time zone',
    description: 'A name of the IANA time zone database.',
    type: 'string',
    maxLength: 60,
    pattern: '^[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}$',
    format: 'foremesh-time-zone',
    examples: ['Europe/Berlin', 'UTC'],
  },
  expectedChange: {
    title: 'Expected change',
    description: 'A factor on what would come without it (× or x, then a number), or additional bandwidth (+, then a bandwidth).',
    type: 'string',
    maxLength: 24,
    pattern: '^(?:[×x][0-9]{1,3}(?:\\.[0-9]{1,3})?|\\+[0-9]{1,9}(?:\\.[0-9]{1,6})?(?:kbps|Mbps|Gbps|Tbps))$',
    examples: ['×3', '+200Mbps'],
  },
} as const satisfies Record<string, JsonSchema>;

export type ValueTypeName = keyof typeof VALUE_TYPES;

/** The value types whose failure is a matter of units, which has its own code. */
export const UNIT_TITLES: ReadonlySet<string> = new Set([VALUE_TYPES.duration.title, VALUE_TYPES.bandwidth.title, VALUE_TYPES.ratio.title, VALUE_TYPES.expectedChange.title]);

/** A field of one of the shared types; `fallback` is its default, undefined when the field must be written or may be absent. */
export function field(type: ValueTypeName, description: string, fallback?: unknown): JsonSchema {
  return { $ref: `#/$defs/${type}`, description, ...(fallback === undefined ? {} : { default: fallback }) };
}

export function list(items: JsonSchema, description: string, itemsMax: number, more: JsonSchema = {}): JsonSchema {
  return { type: 'array', description, items, maxItems: itemsMax, ...more };
}

export function object(description: string, properties: Record<string, JsonSchema>, required: readonly string[], more: JsonSchema = {}): JsonSchema {
  return { type: 'object', description, additionalProperties: false, required, properties, ...more };
}

export function choice(values: readonly string[], description: string, fallback?: string): JsonSchema {
  return { type: 'string', enum: values, description, ...(fallback === undefined ? {} : { default: fallback }) };
}

export function integer(minimum: number, maximum: number, description: string, fallback?: number): JsonSchema {
  return { type: 'integer', minimum, maximum, description, ...(fallback === undefined ? {} : { default: fallback }) };
}

export function number(minimum: number, maximum: number, description: string, fallback?: number): JsonSchema {
  return { type: 'number', minimum, maximum, description, ...(fallback === undefined ? {} : { default: fallback }) };
}

export function flag(description: string, fallback: boolean): JsonSchema {
  return { type: 'boolean', description, default: fallback };
}
