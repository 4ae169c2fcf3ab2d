import { readFileSync, writeFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { COMBINED_SCHEMA, INTENT_KINDS, INTENT_SCHEMAS, readConfigFolder, type JsonSchema } from '../../src/intent/index.ts';

const published: [string, JsonSchema][] = [
  ...INTENT_KINDS.map((kind): [string, JsonSchema] => [`schemas/${kind.toLowerCase()}.schema.json`, INTENT_SCHEMAS[kind]]),
  ['schemas/foremesh.schema.json', COMBINED_SCHEMA],
];

describe('published schemas', () => {
  it.each(published)('%s is what the code checks with (UPDATE_SCHEMAS=1 rewrites it)', (file, schema) => {
    const text = `${JSON.stringify(schema, null, 2)}\n`;
    if (process.env['UPDATE_SCHEMAS'] === '1') writeFileSync(file, text);
    expect(readFileSync(file, 'utf8')).toBe(text);
  });

  it('describe every field, for the editor to show', () => {
    const bare = INTENT_KINDS.flatMap((kind) => fieldsWithout(INTENT_SCHEMAS[kind], kind));
    expect(bare).toEqual([]);
  });

  it('the combined schema accepts every document of the example mesh and refuses one of an unknown kind', async () => {
    const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, strictRequired: false });
    for (const format of ['foremesh-prefix', 'foremesh-address', 'foremesh-host-prefix', 'foremesh-time-zone']) ajv.addFormat(format, true);
    const validate = ajv.compile(COMBINED_SCHEMA);
    for (const { file, text } of await readConfigFolder('.')) {
      for (const document of parseAllDocuments(text)) expect([file, validate(document.toJS()), validate.errors]).toEqual([file, true, null]);
    }
    expect(validate({ apiVersion: 'foremesh/v1', kind: 'Sites', name: 'x' })).toBe(false);
  });

  it('use only patterns that are fast on hostile input', () => {
    const patterns = [...new Set([...JSON.stringify(COMBINED_SCHEMA).matchAll(/"pattern":("(?:[^"\\]|\\.)*")/g)].map((match) => JSON.parse(match[1]!) as string))];
    expect(patterns.length).toBeGreaterThan(8);
    for (const pattern of patterns) {
      // A run of one allowed character and then one that is not: what makes a backtracking pattern explode. Ends at all, or the test times out.
      for (const seed of ['a', '1', '1ms', '1m', '10.', 'a-', 'a ', '-']) expect(new RegExp(pattern, 'u').test(`${seed.repeat(5000)}!`)).toBe(false);
    }
  });
});

function fieldsWithout(schema: JsonSchema, path: string): string[] {
  const properties = (schema['properties'] ?? {}) as Record<string, JsonSchema>;
  const items = schema['items'] as JsonSchema | undefined;
  return [
    ...Object.entries(properties).flatMap(([name, property]) => [
      ...(typeof property['description'] === 'string' ? [] : [`${path}.${name}`]),
      ...fieldsWithout(property, `${path}.${name}`),
    ]),
    ...(items ? fieldsWithout(items, `${path}[]`) : []),
  ];
}
