/** JSON Schema of `plan/mesh.yaml`: exactly the noun Plan, nothing more, so that a hand-made file cannot smuggle anything in. */
const NAME = '[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?';
const UPLINK = `${NAME}/${NAME}`;

const name = { type: 'string', pattern: `^${NAME}$` };
const site = name;
const tunnelId = { type: 'string', pattern: '^t-[0-9a-f]{8}$' };
const uplink = { type: 'string', pattern: `^${UPLINK}$` };
const path = { type: 'string', pattern: `^${UPLINK}~${UPLINK}$` };
const pair = { type: 'string', pattern: `^${NAME}>${NAME}$` };
const instant = { type: 'integer', minimum: 0, maximum: 8_640_000_000_000_000 };
const text = { type: 'string', maxLength: 1000 };
const address = { type: 'string', minLength: 2, maxLength: 45, pattern: '^[0-9a-fA-F:.]+$' };

function object(properties: Record<string, object>, optional: readonly string[] = []): object {
  return { type: 'object', additionalProperties: false, required: Object.keys(properties).filter((name) => !optional.includes(name)), properties };
}

function list(items: object, maxItems = 100_000): object {
  return { type: 'array', items, maxItems };
}

const way = { type: 'array', items: tunnelId, minItems: 1, maxItems: 2 };
const end = object({ node: name, site, uplink, address, overlay: address });
const cipher = { type: 'string', pattern: '^[a-z0-9]{1,30}$' };
const suite = object({ encryption: cipher, integrity: cipher, prf: cipher, group: cipher });
const changeKey = {
  anyOf: [
    object({ kind: { enum: ['tunnel-add', 'tunnel-remove'] }, path, securityProfile: name }),
    object({ kind: { const: 'reroute' }, pair, classId: name, paths: list(list(path, 2), 20) }),
    object({ kind: { const: 'serving-node' }, site, node: name }),
    object({ kind: { const: 'admission' }, pair }),
  ],
};
const order = {
  anyOf: [
    object({ kind: { const: 'pin-path' }, pair, path, classId: name }, ['classId']),
    object({ kind: { const: 'avoid-path' }, path }),
    object({ kind: { const: 'drain-node' }, node: name }),
  ],
};

export const PLAN_SCHEMA: object = object({
  schema: { const: 'foremesh/plan/v1' },
  mesh: text,
  servingNodes: list(object({ site, node: name })),
  tunnels: list(object({ id: tunnelId, path, index: { type: 'integer', minimum: 0, maximum: 2_147_483_647 }, a: end, b: end, securityProfile: name, plannedAt: instant })),
  assignments: list(
    object({
      from: site,
      to: site,
      classId: name,
      routes: { type: 'array', minItems: 1, maxItems: 20, items: object({ tunnels: way, weight: { type: 'integer', minimum: 1, maximum: 100 } }) },
      backups: list(way, 20),
      copies: list(way, 20),
    }, ['copies']),
  ),
  admitted: list({ type: 'array', items: site, minItems: 2, maxItems: 2 }),
  securityProfiles: list(
    object({
      name,
      level: { type: 'integer', minimum: 1, maximum: 3 },
      ike: list(suite, 20),
      esp: list(suite, 20),
      ikeRekeyMs: { type: 'number', minimum: 0 },
      espRekeyMs: { type: 'number', minimum: 0 },
      pfs: { type: 'boolean' },
      postQuantum: { enum: ['off', 'ppk', 'mlkem', 'mlkem-preferred'] },
    }),
  ),
  overrides: list(object({ id: text, what: order, until: instant, why: text, by: text })),
  vetoes: list(object({ fingerprint: text, what: text, change: changeKey, until: instant, commit: text })),
});
