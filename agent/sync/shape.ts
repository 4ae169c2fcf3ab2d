/** What `faultIn` knows of JSON Schema: enough for a config of plain data; a schema with any other word is a mistake of ours. */
export interface Shape {
  type?: 'object' | 'array' | 'string' | 'boolean' | 'integer' | 'number';
  const?: string | number | boolean;
  enum?: readonly string[];
  properties?: Readonly<Record<string, Shape>>;
  required?: readonly string[];
  additionalProperties?: false;
  items?: Shape;
  minItems?: number;
  maxItems?: number;
  maxLength?: number;
  pattern?: string;
  format?: string;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
}

export type Formats = Readonly<Record<string, (text: string) => boolean>>;

type Rule = (value: unknown, shape: Shape, formats: Formats) => string | null;

/** By the word that asks for it. A word says nothing about values of another type, as in JSON Schema. */
const RULES: Readonly<Record<keyof Shape, Rule>> = {
  type: (value, { type }) => (isOfType(value, type!) ? null : `must be ${type}`),
  const: (value, shape) => (value === shape.const ? null : 'must be equal to constant'),
  enum: (value, shape) => (shape.enum!.some((one) => one === value) ? null : 'must be equal to one of the allowed values'),
  maxLength: (value, { maxLength }) => (typeof value !== 'string' || value.length <= maxLength! || Array.from(value).length <= maxLength! ? null : `must NOT have more than ${maxLength} characters`),
  pattern: (value, { pattern }) => (typeof value !== 'string' || regExp(pattern!).test(value) ? null : `must match pattern "${pattern}"`),
  format: (value, { format }, formats) => (typeof value !== 'string' || formats[format!]!(value) ? null : `must match format "${format}"`),
  minimum: (value, { minimum }) => (typeof value !== 'number' || value >= minimum! ? null : `must be >= ${minimum}`),
  exclusiveMinimum: (value, { exclusiveMinimum }) => (typeof value !== 'number' || value > exclusiveMinimum! ? null : `must be > ${exclusiveMinimum}`),
  maximum: (value, { maximum }) => (typeof value !== 'number' || value <= maximum! ? null : `must be <= ${maximum}`),
  minItems: (value, { minItems }) => (!Array.isArray(value) || value.length >= minItems! ? null : `must NOT have fewer than ${minItems} items`),
  maxItems: (value, { maxItems }) => (!Array.isArray(value) || value.length <= maxItems! ? null : `must NOT have more than ${maxItems} items`),
  required: (value, { required }) => {
    const missing = isRecord(value) ? required!.find((key) => !has(value, key)) : undefined;
    return missing === undefined ? null : `must have required property '${missing}'`;
  },
  additionalProperties: (value, { properties }) => (!isRecord(value) || Object.keys(value).every((key) => Object.hasOwn(properties!, key)) ? null : 'must NOT have additional properties'),
  properties: () => null, // gone into by `faultIn`
  items: () => null,
};

/** The first thing about a value that its shape does not allow, as `/path what`; null when there is none. Bounds come before what is in them, so nothing large is walked through in vain. */
export function faultIn(value: unknown, shape: Shape, formats: Formats, at = ''): string | null {
  for (const word of Object.keys(shape)) {
    const fault = RULES[word as keyof Shape](value, shape, formats);
    if (fault !== null) return `${at === '' ? '/' : at} ${fault}`;
  }
  return childrenOf(value, shape).reduce<string | null>((found, [key, child, childShape]) => found ?? faultIn(child, childShape, formats, `${at}/${key}`), null);
}

function childrenOf(value: unknown, { items, properties }: Shape): (readonly [key: string | number, child: unknown, shape: Shape])[] {
  if (Array.isArray(value)) return items ? value.map((child: unknown, index) => [index, child, items] as const) : [];
  if (!isRecord(value) || !properties) return [];
  return Object.entries(properties).flatMap(([key, shape]) => (has(value, key) ? [[key, value[key], shape] as const] : []));
}

function isOfType(value: unknown, type: NonNullable<Shape['type']>): boolean {
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return isRecord(value);
  if (type === 'integer') return Number.isInteger(value);
  return typeof value === type && (type !== 'number' || Number.isFinite(value));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Its own and not `undefined`. */
function has(value: Record<string, unknown>, key: string): boolean {
  return Object.hasOwn(value, key) && value[key] !== undefined;
}

const compiled = new Map<string, RegExp>();

function regExp(pattern: string): RegExp {
  const found = compiled.get(pattern) ?? new RegExp(pattern, 'u');
  compiled.set(pattern, found);
  return found;
}
