import { Ajv } from 'ajv';
import { anything, array, assert, constantFrom, integer, nat, property, tuple, type Arbitrary } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NODE_CONFIG_SCHEMA } from '../../../agent/sync/node-config-schema.ts';
import { faultIn, type Shape } from '../../../agent/sync/shape.ts';
import { EXAMPLE_CONFIG } from './example-config.ts';

const FORMATS = { address: (text: string) => text.includes('.'), prefix: (text: string) => text.includes('/'), 'host-prefix': (text: string) => text.includes('/') };

/** What the world's validator says of the same schema. */
function ajvSays(schema: Shape): (value: unknown) => boolean {
  const ajv = new Ajv({ strict: true, strictRequired: false, ownProperties: true });
  for (const [name, test] of Object.entries(FORMATS)) ajv.addFormat(name, test);
  return ajv.compile(schema);
}

const ODD: Arbitrary<unknown> = constantFrom<unknown[]>('', '10.0.0.1', '10.0.0.0/8', 't-0123abcd', 'x'.repeat(200), '💥'.repeat(30), 'a\n', -1, 0, 1, 1.5, 40, 2 ** 40, Number.NaN, Number.POSITIVE_INFINITY, true, false, null, [], {}, [[]], { __proto__: null }, Object.create({ id: 'inherited' }), undefined);

/** The value with one thing in it, found by walking `steps`, replaced, removed, doubled or added to. */
function changed(value: unknown, steps: readonly number[], how: number, odd: unknown): unknown {
  if (typeof value !== 'object' || value === null || steps.length === 0) return how % 4 === 1 && Array.isArray(value) ? [...(value as unknown[]), odd] : odd;
  const keys = Object.keys(value);
  const key = keys[(steps[0] ?? 0) % Math.max(1, keys.length)];
  if (key === undefined) return odd;
  const next = changed((value as Record<string, unknown>)[key], steps.slice(1), how, odd);
  if (Array.isArray(value)) return value.map((item: unknown, index) => (String(index) === key ? next : item));
  const entries = Object.entries(value).flatMap(([name, item]) => (name === key ? (how % 4 === 2 && steps.length === 1 ? [] : [[name, next] as const]) : [[name, item] as const]));
  return Object.fromEntries(how % 4 === 3 && steps.length === 1 ? [...entries, ['strange', odd]] : entries);
}

describe('the check of a config’s shape', () => {
  const agreed = ajvSays(NODE_CONFIG_SCHEMA);

  it('says of any damaged config what a general JSON Schema validator says', () => {
    let refused = 0;
    assert(
      property(array(nat(40), { maxLength: 7 }), integer({ min: 0, max: 3 }), ODD, (steps, how, odd) => {
        const value = changed(EXAMPLE_CONFIG, steps, how, odd);
        const isRight = agreed(value);
        if (!isRight) refused++;
        expect(faultIn(value, NODE_CONFIG_SCHEMA, FORMATS) === null).toBe(isRight);
      }),
      { numRuns: 4000 },
    );
    expect(refused).toBeGreaterThan(1000);
    expect(faultIn(EXAMPLE_CONFIG, NODE_CONFIG_SCHEMA, FORMATS)).toBeNull();
  });

  it.each<Shape>([
    { type: 'object', additionalProperties: false, required: ['a'], properties: { a: { type: 'integer', minimum: 0, maximum: 9 }, b: { type: 'number', exclusiveMinimum: 0 } } },
    { type: 'array', minItems: 1, maxItems: 2, items: { type: 'string', maxLength: 3, pattern: '^[^x]*$' } },
    { type: 'string', enum: ['a', 'b'] },
    { const: true },
    { type: 'boolean' },
  ])('agrees with it about anything at all: %j', (schema) => {
    const says = ajvSays(schema);
    const near = tuple(constantFrom('a', 'b', 'c', '💥'), ODD).map(([key, odd]) => ({ a: 1, [key]: odd }));
    for (const values of [anything(), ODD, near, array(constantFrom<unknown[]>('a', '💥💥💥', 'xyz', 'long one', 1), { maxLength: 3 })] as Arbitrary<unknown>[]) {
      assert(property(values, (value) => {
        expect(faultIn(value, schema, FORMATS) === null).toBe(says(value));
      }), { numRuns: 300 });
    }
  });

  it('names the place and what must be there', () => {
    expect(faultIn({ ...EXAMPLE_CONFIG, tunnels: [{ ...EXAMPLE_CONFIG.tunnels[0], peer: 'No Name' }] }, NODE_CONFIG_SCHEMA, FORMATS)).toMatch(/^\/tunnels\/0\/peer must match pattern/);
    expect(faultIn(null, NODE_CONFIG_SCHEMA, FORMATS)).toBe('/ must be object');
  });
});
